//! Loads the kernel programs, puts them where a plan says, and tells them which processes to follow.
//!
//! All probes of an image are in place before a process of it is made known to the kernel side, so that no thread is
//! followed with half of its probes.

mod aggregate;
mod bpf;
pub mod calibrate;
mod error;
mod holders;
mod hooks;
mod load;
mod mapped;
mod maps;
mod multi;
pub mod namespace;
mod offsets;
mod options;
mod perf_event;
mod release;
mod rings;
mod sampling;
mod skipped;
mod tables;
pub mod threads;
mod totals;
pub mod uprobe;
pub mod windows;

use std::sync::mpsc::Receiver;

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, PerCpuArray, Queue},
};
use aya_log::EbpfLogger;
use tracer_common::{
    layout::Layout,
    sample::{PythonThread, SampledProcess},
    state::{Code, CodeKey, GlobState, Interpreter, KernelOffsets, Process, Running},
};

pub use self::{
    aggregate::AggregateSizes,
    error::AttachError,
    hooks::{Hooks, ImageIndex},
    options::{LoadOptions, Mode, Unknown},
};
use self::{
    hooks::Images,
    perf_event::PerfEvent,
    threads::ThreadTable,
    totals::Totals,
    windows::{WindowChange, WindowSwitch, Windows},
};

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
    current: PerCpuArray<MapData, Running>,
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
    /// Of samples, one for each CPU.
    timers: Vec<PerfEvent>,
}

impl Kernel {
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

    /// Does this kernel say when a thread came to its CPU? (`CONFIG_SCHED_INFO` and `CONFIG_FAIR_GROUP_SCHED`.)
    pub fn tells_arrivals(&self) -> bool {
        self.offsets.task_last_arrival != 0
    }
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
