//! What is to be loaded, and what the programs are told of it.

use super::AggregateSizes;

/// What is done about processes that were not made known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// Nothing.
    #[default]
    Ignored,
    /// Whenever one calls exec, that is told.
    Told,
    /// The same, and every process of a hooked image is traced.
    Traced,
}

/// How functions are seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// By probes, all the time.
    #[default]
    Traced,
    /// By samples of stacks, for time alone ([`Kernel::start_sampling`]); no probe is put anywhere.
    SampledForTime,
    /// The same; stacks are read at each change of memory too.
    Sampled,
    /// The same, and by probes in windows ([`Kernel::take_windows`]).
    SampledInWindows,
}

impl Mode {
    /// Are probes put in place?
    pub fn hooks(self) -> bool {
        matches!(self, Self::Traced | Self::SampledInWindows)
    }
}

/// What to load.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Size of all event rings together in bytes, a power of two of at least a page; `None`: what suits the machine.
    pub ring_bytes: Option<u32>,
    /// What to do about processes that were not made known.
    pub unknown: Unknown,
    /// Trace the children of traced processes, from their fork on.
    pub follow: bool,
    /// Function globs are given: the kernel side checks each function.
    pub filtering: bool,
    /// How functions are seen.
    pub mode: Mode,
    /// Events are sent.
    pub streaming: bool,
    /// Calls are added up in the kernel, in maps of these sizes.
    pub aggregate: Option<AggregateSizes>,
    /// What the kernel programs log.
    pub log_level: log::LevelFilter,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            ring_bytes: None,
            unknown: Unknown::default(),
            follow: false,
            filtering: false,
            mode: Mode::default(),
            streaming: true,
            aggregate: None,
            log_level: log::LevelFilter::Off,
        }
    }
}

impl LoadOptions {
    fn traces_all(self) -> bool {
        self.unknown == Unknown::Traced
    }

    pub(super) fn hooks(self) -> bool {
        self.mode.hooks()
    }

    /// 0: no stacks are sampled; 1: for time; 2: at changes of memory too.
    fn samples(self) -> u32 {
        match self.mode {
            Mode::Traced => 0,
            Mode::SampledForTime => 1,
            Mode::Sampled | Mode::SampledInWindows => 2,
        }
    }

    pub(super) fn in_windows(self) -> bool {
        self.mode == Mode::SampledInWindows
    }

    fn watches_exec(self) -> bool {
        self.unknown != Unknown::Ignored
    }

    /// Constants of the programs that these options decide on.
    pub(super) fn globals(self) -> [(&'static str, u32); 9] {
        [
            ("ALL", u32::from(self.traces_all())),
            ("FOLLOW", u32::from(self.follow)),
            ("WATCH_EXEC", u32::from(self.watches_exec())),
            ("FILTERING", u32::from(self.filtering)),
            ("SAMPLING", self.samples()),
            ("STREAMING", u32::from(self.streaming)),
            ("AGGREGATING", u32::from(self.aggregate.is_some())),
            ("ROWS_LIMIT", self.aggregate.map_or(0, |sizes| sizes.functions)),
            ("STACK_PAGES_LIMIT", self.aggregate.map_or(0, |sizes| sizes.stack_pages + 1)),
        ]
    }
}
