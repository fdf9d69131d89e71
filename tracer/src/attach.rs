//! Loads the kernel programs, puts them where a plan says, and tells them which processes to follow.
//!
//! All probes of an image are in place before a process of it is made known to the kernel side, so that no thread is
//! followed with half of its probes.

mod aggregate;
pub mod calibrate;
mod error;
mod holders;
mod hooks;
mod mapped;
mod multi;
pub mod namespace;
mod offsets;
mod release;
mod sampling;
mod tables;
pub mod threads;
mod totals;
pub mod uprobe;
pub mod windows;

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    sync::mpsc::Receiver,
};

use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, Queue},
    programs::{BtfTracePoint, ProgramError, UProbe},
};
use aya_log::EbpfLogger;
use tracer_common::{
    layout::Layout,
    limits::{CPU_RING_BYTES, RING_BYTES, SHARED_RING_BYTES},
    ring::Slot,
    sample::{PythonThread, SampledProcess},
    site::Site,
    state::{Code, CodeKey, GlobState, Interpreter, KernelOffsets, Process},
};
use zerocopy::IntoBytes as _;

pub use self::{
    aggregate::AggregateSizes,
    error::AttachError,
    hooks::{Hooks, ImageIndex},
};
use self::{
    error::{program_error, refused},
    hooks::Images,
    threads::ThreadTable,
    totals::Totals,
    uprobe::Target,
    windows::{WindowChange, WindowSwitch, Windows},
};
use crate::{btf::Btf, receive::Rings};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracer-ebpf"));

const UPROBES: [&str; 6] = ["frame_start", "frame_end", "frame_yield", "frame_raise", "code_freed", "empty"];
const TRACEPOINTS: [&str; 4] =
    ["sched_switch", "sched_process_fork", "sched_process_exec", "sched_process_exit"];
const MEMORY_TRACEPOINTS: [&str; 3] = ["rss_stat", "page_fault_user", "page_fault_kernel"];

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

    fn hooks(self) -> bool {
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

    fn in_windows(self) -> bool {
        self.mode == Mode::SampledInWindows
    }

    fn watches_exec(self) -> bool {
        self.unknown != Unknown::Ignored
    }

    /// Constants of the programs that these options decide on.
    fn globals(self) -> [(&'static str, u32); 9] {
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

/// How large the rings are.
#[derive(Clone, Copy)]
struct RingSizes {
    /// Event rings, a power of two: those of CPUs with the same remainder are one.
    rings: u32,
    /// Slots of each, a power of two.
    slots: u32,
    /// Bytes of the ring buffer for the rest.
    shared_bytes: u32,
}

impl RingSizes {
    fn new(asked: Option<u32>) -> Self {
        let cpus = aya::util::online_cpus().map_or(1, |cpus| cpus.len() as u32);
        let rings = cpus.next_power_of_two();
        let bytes = asked.unwrap_or_else(|| RING_BYTES.max(rings * CPU_RING_BYTES));
        let slots = (bytes / rings).max(LEAST_RING_BYTES) / size_of::<Slot>() as u32;
        Self { rings, slots, shared_bytes: bytes.min(SHARED_RING_BYTES) }
    }

    /// Constants of the programs that these sizes decide on.
    fn globals(self) -> [(&'static str, u32); 2] {
        [("EVENT_RINGS", self.rings), ("RING_SLOTS", self.slots)]
    }
}

/// Least size of a ring: a page.
const LEAST_RING_BYTES: u32 = 4096;

/// The loaded kernel side.
pub struct Kernel {
    ebpf: Ebpf,
    /// Programs for uprobe-multi links, where the kernel has those.
    multi: Option<multi::Programs>,
    /// Where processes are traced in windows only: where it is told which.
    windows: Option<WindowSwitch>,
    /// What opens them, until it is taken.
    opener: Option<(Windows, Receiver<WindowChange>)>,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
    threads: ThreadTable,
    processes: Array<MapData, Process>,
    interpreters: Array<MapData, Interpreter>,
    /// Address spaces numbered by us.
    spaces: u32,
    process_of: HashMap<MapData, u32, u32>,
    tasks: HashMap<MapData, u32, u32>,
    mms: HashMap<MapData, u64, u32>,
    current: PerCpuArray<MapData, u32>,
    free_threads: Queue<MapData, u32>,
    free_processes: Queue<MapData, u32>,
    sampled: Array<MapData, SampledProcess>,
    python_threads: Array<MapData, PythonThread>,
    layouts: Array<MapData, Layout>,
    codes: HashMap<MapData, CodeKey, Code>,
    globs: Array<MapData, GlobState>,
    totals: Totals,
    aggregate: Option<aggregate::Tables>,
    offsets: KernelOffsets,
    images: Images,
}

impl Kernel {
    /// Loads all programs and starts those on tracepoints.
    ///
    /// # Errors
    /// See [`AttachError`].
    pub fn load(options: LoadOptions) -> Result<(Self, Rings), AttachError> {
        if OBJECT.is_empty() {
            return Err(AttachError::NoObject);
        }
        let btf = Btf::of_kernel()?;
        let namespace = namespace::of_this_process().map_err(AttachError::Namespace)?;
        let offsets = offsets::of_kernel(&btf, namespace).map_err(AttachError::Structure)?;
        let aya_btf = aya::Btf::from_sys_fs()?;
        let sizes = RingSizes::new(options.ring_bytes);
        let globals: Vec<_> = options.globals().into_iter().chain(sizes.globals()).collect();
        let mut loader = EbpfLoader::new();
        aggregate::size(&mut loader, options.aggregate);
        for (name, value) in &globals {
            loader.override_global(name, value, true);
        }
        let mut ebpf = loader
            .btf(Some(&aya_btf))
            .verifier_log_level(VerifierLogLevel::DISABLE)
            .override_global("KERNEL", &offsets, true)
            .override_global(aya_log::LEVEL, &(options.log_level as u8), true)
            .map_max_entries("RING", sizes.shared_bytes)
            .map_max_entries("EVENT_SLOTS", sizes.rings * sizes.slots)
            .map_max_entries("EVENT_POSITIONS", sizes.rings)
            .load(OBJECT)
            .map_err(refused)?;
        let mut multi =
            if options.hooks() { load_multi(&ebpf, &offsets, &globals, options.log_level) } else { None };
        if multi.is_none() && options.hooks() {
            load_perf(&mut ebpf)?;
        }
        let process_of = take(&mut ebpf, "PROCESS_OF");
        let (windows, opener) = if options.in_windows() {
            let programs = multi.as_mut().ok_or(AttachError::NoWindows)?;
            let (switch, opener) = windows(&mut ebpf, programs, &process_of).map_err(AttachError::Windows)?;
            (Some(switch), Some(opener))
        } else {
            (None, None)
        };
        let rings = rings(&ebpf, sizes).map_err(AttachError::Rings)?;
        let mut kernel = Self {
            threads: ThreadTable::new(take(&mut ebpf, "THREADS")).map_err(AttachError::Threads)?,
            processes: Array::try_from(take(&mut ebpf, "PROCESSES"))?,
            interpreters: Array::try_from(take(&mut ebpf, "INTERPRETERS"))?,
            spaces: 0,
            process_of: HashMap::try_from(process_of)?,
            tasks: HashMap::try_from(take(&mut ebpf, "TASKS"))?,
            mms: HashMap::try_from(take(&mut ebpf, "MMS"))?,
            current: PerCpuArray::try_from(take(&mut ebpf, "CURRENT"))?,
            free_threads: Queue::try_from(take(&mut ebpf, "FREE_THREADS"))?,
            free_processes: Queue::try_from(take(&mut ebpf, "FREE_PROCESSES"))?,
            sampled: Array::try_from(take(&mut ebpf, "SAMPLED"))?,
            python_threads: Array::try_from(take(&mut ebpf, "PYTHON_THREADS"))?,
            layouts: Array::try_from(take(&mut ebpf, "LAYOUTS"))?,
            codes: HashMap::try_from(take(&mut ebpf, "CODES"))?,
            globs: Array::try_from(take(&mut ebpf, "GLOBS"))?,
            totals: Totals::new(take(&mut ebpf, "TOTALS")).map_err(AttachError::Totals)?,
            aggregate: options.aggregate.map(|sizes| aggregate::Tables::new(&mut ebpf, sizes)).transpose()?,
            logger: EbpfLogger::init(&mut ebpf).ok(),
            ebpf,
            multi,
            windows,
            opener,
            offsets,
            images: Images::default(),
        };
        kernel.end_aggregate(u64::MAX);
        kernel.start_tracepoints(&aya_btf)?;
        Ok((kernel, rings))
    }

    /// Hooks by a perf event for each site from here on, also where the kernel has uprobe-multi links.
    ///
    /// # Errors
    /// If the kernel refuses the programs.
    pub fn use_perf_events(&mut self) -> Result<(), AttachError> {
        if self.multi.take().is_some() {
            load_perf(&mut self.ebpf)?;
        }
        Ok(())
    }

    /// Are probes put in place by uprobe-multi links, rather than by perf events?
    pub fn hooks_by_links(&self) -> bool {
        self.multi.is_some()
    }

    /// Are processes traced in windows?
    pub fn in_windows(&self) -> bool {
        self.windows.is_some()
    }

    /// What opens windows, and where it is told on which processes: once, if it was asked for when loading.
    pub fn take_windows(&mut self) -> Option<(Windows, Receiver<WindowChange>)> {
        self.opener.take()
    }

    fn start_tracepoints(&mut self, btf: &aya::Btf) -> Result<(), AttachError> {
        let memory: &[&'static str] = if self.follows_memory() { &MEMORY_TRACEPOINTS } else { &[] };
        for &name in TRACEPOINTS.iter().chain(memory) {
            let program: &mut BtfTracePoint = self
                .ebpf
                .program_mut(name)
                .ok_or(ProgramError::NotLoaded)
                .and_then(TryInto::try_into)
                .map_err(|source| program_error(name, source))?;
            program.load(name, btf).map_err(|source| program_error(name, source))?;
            program.attach().map_err(|source| program_error(name, source))?;
        }
        Ok(())
    }

    /// Passes on what the kernel programs have logged.
    pub fn flush_log(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }

    /// Does this kernel let us follow resident memory?
    pub fn follows_memory(&self) -> bool {
        self.offsets.mm_rss_stat != 0
    }
}

/// The rings of a loaded object.
fn rings(ebpf: &Ebpf, sizes: RingSizes) -> io::Result<Rings> {
    let descriptor = |name| ebpf.map(name).and_then(duplicate).unwrap_or(Err(io::ErrorKind::NotFound.into()));
    Ok(Rings {
        shared: descriptor("RING")?,
        shared_bytes: sizes.shared_bytes,
        event_slots: descriptor("EVENT_SLOTS")?,
        event_positions: descriptor("EVENT_POSITIONS")?,
        event_rings: sizes.rings,
        slots_per_ring: sizes.slots,
    })
}

/// What opens windows, and what tells it of processes.
fn windows(
    ebpf: &mut Ebpf,
    programs: &mut multi::Programs,
    process_of: &Map,
) -> io::Result<(WindowSwitch, (Windows, Receiver<WindowChange>))> {
    // For any kind of site: this program asks for the cookie.
    let program = programs.get("window_start", Site(0))?;
    let process_of = duplicate(process_of).unwrap_or_else(|| Err(io::ErrorKind::InvalidInput.into()))?;
    let process_of = MapData::from_fd(process_of).and_then(|data| HashMap::try_from(Map::HashMap(data)));
    let windows = Windows::new(
        take(ebpf, "WINDOWS"),
        take(ebpf, "WINDOW_STARTS"),
        process_of.map_err(io::Error::other)?,
        program,
    )?;
    let (switch, changes) = WindowSwitch::new();
    Ok((switch, (windows, changes)))
}

/// Loads the programs for perf events.
fn load_perf(ebpf: &mut Ebpf) -> Result<(), AttachError> {
    for name in UPROBES {
        uprobe(ebpf, name).load().map_err(|source| program_error(name, source))?;
    }
    Ok(())
}

/// The programs for uprobe-multi links; `None` where the kernel has no such links.
fn load_multi(
    ebpf: &Ebpf,
    offsets: &KernelOffsets,
    globals: &[(&'static str, u32)],
    log_level: log::LevelFilter,
) -> Option<multi::Programs> {
    let mut all = vec![("KERNEL", offsets.as_bytes().to_vec()), (aya_log::LEVEL, vec![log_level as u8])];
    all.extend(globals.iter().map(|&(name, value)| (name, value.to_ne_bytes().to_vec())));
    let maps: io::Result<_> = ebpf
        .maps()
        .filter_map(|(name, map)| Some(duplicate(map)?.map(|map| (name.to_owned(), map))))
        .collect();
    let programs = maps.and_then(|maps| multi::Programs::of(OBJECT, &all, maps)).and_then(|mut programs| {
        // The kernel checks the file last: without links of this kind the answer is another one.
        let site = multi::MultiSite { offset: 0, semaphore: 0, cookie: 0 };
        let empty = programs.get("empty", Site(0))?;
        match multi::link(empty.as_fd(), Path::new("/"), &[site], Target::All) {
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => Ok(programs),
            Err(error) => Err(error),
            Ok(_) => Err(io::Error::other("a folder was hooked")),
        }
    });
    programs.map_err(|error| log::debug!("no uprobe-multi links: {error}")).ok()
}

#[expect(
    clippy::expect_used,
    reason = "the object is part of this binary: a missing program is a build error"
)]
fn uprobe<'a>(ebpf: &'a mut Ebpf, name: &str) -> &'a mut UProbe {
    ebpf.program_mut(name).and_then(|program| program.try_into().ok()).expect("a program of our own object")
}

#[expect(clippy::expect_used, reason = "the object is part of this binary: a missing map is a build error")]
fn take(ebpf: &mut Ebpf, name: &str) -> Map {
    ebpf.take_map(name).expect("a map of our own object")
}

fn map_data(map: &Map) -> Result<&MapData, MapError> {
    match map {
        Map::Array(data) => Ok(data),
        _ => Err(MapError::InvalidMapType { map_type: 0 }),
    }
}

/// Another descriptor of a map, of the kinds that there are.
fn duplicate(map: &Map) -> Option<io::Result<OwnedFd>> {
    let (Map::Array(data)
    | Map::HashMap(data)
    | Map::LruHashMap(data)
    | Map::PerCpuArray(data)
    | Map::Queue(data)
    | Map::RingBuf(data)) = map
    else {
        return None;
    };
    Some(data.fd().as_fd().try_clone_to_owned())
}

/// `CLOCK_MONOTONIC` of the machine's own time namespace in nanoseconds: the clock of all records. Steps of the time of day
/// do not change it.
pub fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` lives until the call returns.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let here_ns = time.tv_sec * 1_000_000_000 + time.tv_nsec;
    (here_ns - namespace::monotonic_offset_ns()) as u64
}
