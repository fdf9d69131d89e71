//! What a pipeline is told at the beginning and at the end of the window, and what it counts meanwhile.

use crate::correction::Calibration;
use crate::event::{ProcessIndex, Slot};
use crate::filter::FunctionFilter;
use crate::report::{OwnCost, Windowing};

/// What a pipeline has to know before the first event.
#[derive(Clone, Debug, Default)]
pub struct PipelineOptions {
    /// Beginning of the recording window, monotonic nanoseconds. No time before it is charged to anything.
    pub window_start_ns: u64,
    /// The same moment on the wall clock, nanoseconds since 1970.
    pub start_unix_ns: u64,
    /// Frames of other functions are left out of the stacks.
    pub filter: FunctionFilter,
    /// Times a second that each CPU is looked at, where stacks are sampled.
    pub sample_rate: Option<u32>,
    /// What the probes of a call take, if that was measured.
    pub calibration: Option<Calibration>,
    /// This kernel's memory can't be followed.
    pub memory_unknown: bool,
}

/// What is known at the end of the window, from the kernel side's maps.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// End of the window, monotonic nanoseconds.
    pub end_ns: u64,
    /// Counters of the threads that are alive.
    pub threads: Vec<ThreadTotals>,
    /// Counters of the processes that are followed still.
    pub processes: Vec<ProcessTotals>,
    /// Records about processes and threads that found no room.
    pub lost_tasks: u64,
    /// How often a probe was hit.
    pub probe_hits: u64,
    /// What all hits together cost the traced processes, in nanoseconds.
    pub probe_cost_ns: u64,
    /// What pytracer itself took.
    pub own: Option<OwnCost>,
    /// What sampling took, if it was sampled.
    pub sampling: Option<SamplingCost>,
    /// How processes were traced in windows, if they were.
    pub windowing: Option<Windowing>,
    /// What the reader of the report should know besides.
    pub notes: Vec<String>,
}

/// What sampling took.
#[derive(Clone, Copy, Debug, Default)]
pub struct SamplingCost {
    /// Stacks that were read while their thread was held up: by a timer, or at a change of memory.
    pub taken: u64,
    /// What that took in nanoseconds, without the timer's interrupt itself.
    pub cost_ns: u64,
}

/// A thread's counters since it got its slot.
#[derive(Clone, Copy, Debug)]
pub struct ThreadTotals {
    /// Its slot.
    pub thread: Slot,
    /// Time off CPU; for a thread that is off CPU now, up to now.
    pub off_cpu_ns: u64,
    /// Page faults.
    pub faults: u64,
}

/// A process's counters in the kernel side.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessTotals {
    /// Its index.
    pub process: ProcessIndex,
    /// Records that found no room.
    pub lost: u64,
    /// Starts reported twice.
    pub duplicates: u64,
    /// Hits that were not what their site promises.
    pub mismatches: u64,
    /// Threads that got no slot.
    pub no_slot: u64,
}

/// Events seen and what had to be made good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events of every kind.
    pub events: u64,
    /// Frames whose beginning or end was not seen.
    pub repaired: u64,
    /// Ends that the source does not see, and that came out at a later event.
    pub late_ends: u64,
    /// Frames found open at a thread's first event.
    pub open_at_attach: u64,
    /// Frames open at the end of the window.
    pub open_at_detach: u64,
    /// Starts of a frame that had started.
    pub duplicates: u64,
    /// Ends of frames that are on no stack: unwanted ones, and the interpreter's own entry frames.
    pub unmatched_ends: u64,
    /// Events of threads that were never announced.
    pub unknown_thread: u64,
    /// Hits that were not what their site promises.
    pub mismatches: u64,
    /// Threads that got no slot.
    pub no_slot: u64,
}

impl Counts {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.repaired += other.repaired;
        self.late_ends += other.late_ends;
        self.open_at_attach += other.open_at_attach;
        self.open_at_detach += other.open_at_detach;
        self.duplicates += other.duplicates;
        self.unmatched_ends += other.unmatched_ends;
        self.unknown_thread += other.unknown_thread;
        self.mismatches += other.mismatches;
        self.no_slot += other.no_slot;
    }
}
