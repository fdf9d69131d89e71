//! What to record, and how.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use crate::{
    attach::{AggregateSizes, Mode, Unknown},
    filter::FunctionFilter,
    log::LogOptions,
    python::plan::Wanted,
    select::Selectors,
};

use super::Limits;

/// What to trace.
#[derive(Clone, Debug)]
pub enum Targets {
    /// These processes.
    Selected(Selection),
    /// Every Python process there is and every one that starts later.
    All,
    /// A command, from its first function.
    Command(Vec<OsString>),
}

/// Processes that were asked for.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// By process id.
    pub pids: Vec<u32>,
    /// All that match, now or when they call exec later.
    pub selectors: Selectors,
    /// Begin even if none matches yet.
    pub wait: bool,
}

impl Targets {
    /// What is to be done about processes that have nothing to do with those that are traced first?
    pub(super) fn unknown(&self) -> Unknown {
        match self {
            Self::All => Unknown::Traced,
            Self::Selected(selection) if !selection.selectors.is_empty() => Unknown::Told,
            Self::Selected(_) | Self::Command(_) => Unknown::Ignored,
        }
    }
}

/// How to record.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to trace.
    pub targets: Targets,
    /// Trace the children of traced processes too.
    pub follow: bool,
    /// End after this time; otherwise at Ctrl-C or when the targets have ended.
    pub duration: Option<Duration>,
    /// Which functions.
    pub filter: FunctionFilter,
    /// What the plans are to be like.
    pub wanted: Wanted,
    /// Samples a second and CPU, where they come from samples ([`crate::python::plan::SourceChoice::Sample`]).
    pub sample_rate: Option<u32>,
    /// With samples: read the stack at each change of memory too, to charge it there.
    pub sample_memory: bool,
    /// Sample the targets for so long before probes are put in place and after they are gone; 0: not.
    pub untraced: Duration,
    /// Where to keep the event log, and what it is to hold.
    pub log: Option<(PathBuf, LogOptions)>,
    /// Size of all event rings together in bytes; `None`: what suits the machine.
    pub ring_bytes: Option<u32>,
    /// What ends it early.
    pub limits: Limits,
    /// What tracing may cost each process, as a share of its own time: then it is traced in windows.
    pub max_overhead: Option<f64>,
    /// Add calls up in the kernel, in tables of these sizes; otherwise by events.
    pub aggregate: Option<AggregateSizes>,
}

impl Options {
    /// How functions are seen.
    pub(super) fn mode(&self) -> Mode {
        match (self.sample_rate, self.max_overhead) {
            (_, Some(_)) => Mode::SampledInWindows,
            (Some(_), None) if self.sample_memory => Mode::Sampled,
            (Some(_), None) => Mode::SampledForTime,
            (None, None) => Mode::Traced,
        }
    }

    /// Are events of frames needed?
    pub(super) fn streams(&self) -> bool {
        self.aggregate.is_none() || self.log.is_some()
    }
}
