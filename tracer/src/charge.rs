//! What a call took: wall time, time off CPU, resident memory, page faults. All exact integers, so that the parts
//! of a whole add up to it.

mod memory;

use std::ops::{AddAssign, Sub};

use crate::event::FunctionId;
pub use memory::{Charged, ProcessMemory, RssChange, UNFOLLOWED};

/// An amount of everything that is charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Wall time in nanoseconds.
    pub wall_ns: u64,
    /// Part of it not running on a CPU.
    pub off_cpu_ns: u64,
    /// Change of resident memory in bytes.
    pub rss_bytes: i64,
    /// Page faults.
    pub faults: u64,
}

impl Cost {
    /// Time on a CPU in nanoseconds.
    pub fn cpu_ns(self) -> u64 {
        self.wall_ns.saturating_sub(self.off_cpu_ns)
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.wall_ns = self.wall_ns.saturating_add(other.wall_ns);
        self.off_cpu_ns = self.off_cpu_ns.saturating_add(other.off_cpu_ns);
        self.rss_bytes = self.rss_bytes.saturating_add(other.rss_bytes);
        self.faults = self.faults.saturating_add(other.faults);
    }
}

impl Sub for Cost {
    type Output = Self;

    /// The rest. A part is never larger than its whole, except in a damaged log: then the rest is 0.
    fn sub(self, part: Self) -> Self {
        Self {
            wall_ns: self.wall_ns.saturating_sub(part.wall_ns),
            off_cpu_ns: self.off_cpu_ns.saturating_sub(part.off_cpu_ns),
            rss_bytes: self.rss_bytes.saturating_sub(part.rss_bytes),
            faults: self.faults.saturating_sub(part.faults),
        }
    }
}

/// How an activation of a function began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Began {
    /// Called.
    Call,
    /// Went on after a yield or await, or was thrown into.
    Resumed,
    /// Open when its thread was first seen: counts as neither.
    OpenAtAttach,
    /// Its beginning was not seen: found open after a loss.
    Unseen,
}

impl Began {
    /// Was it called or resumed in the window, as far as is known?
    pub fn in_window(self) -> bool {
        matches!(self, Self::Call | Self::Resumed)
    }
}

/// How an activation of a function ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Returned.
    Returned,
    /// Left by an exception.
    Raised,
    /// Yielded or awaits.
    Suspended,
    /// Still open at the end of the window.
    OpenAtDetach,
    /// Its end was not seen; the time is when that came out.
    Unseen,
    /// Open when its thread ended or its process called exec.
    WithThread,
    /// Yielded or awaits, where the source does not see that; the time is when it came out.
    SuspendedUnseen,
    /// Left by an exception, where the source does not see that; the time is when it came out.
    RaisedUnseen,
}

impl Ended {
    /// Did the function end in the window, as far as is known, and not only with what was recorded?
    pub fn by_itself(self) -> bool {
        !matches!(self, Self::OpenAtDetach | Self::WithThread | Self::Unseen)
    }

    /// Is the time of the end only a bound from above?
    pub fn is_late(self) -> bool {
        matches!(self, Self::SuspendedUnseen | Self::RaisedUnseen)
    }
}

/// A function begins or goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BegunCall {
    /// When.
    pub time_ns: u64,
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Which function.
    pub function: FunctionId,
    /// How many calls are open further out.
    pub depth: u32,
    /// How.
    pub began: Began,
    /// The same function is open further out.
    pub recursive: bool,
    /// Which generator or coroutine this is a step of; 0: of none.
    pub instance: u64,
}

/// A function has ended or was suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinishedCall {
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Which function.
    pub function: FunctionId,
    /// The function it was called from, as far as that is traced.
    pub caller: Option<FunctionId>,
    /// How many calls are open further out.
    pub depth: u32,
    /// Beginning, monotonic nanoseconds.
    pub start_ns: u64,
    /// End, monotonic nanoseconds.
    pub end_ns: u64,
    /// What it took with all that it called.
    pub total: Cost,
    /// What it took itself.
    pub own: Cost,
    /// Calls and resumptions made directly by it.
    pub calls_made: u64,
    /// How it began.
    pub began: Began,
    /// How it ended.
    pub ended: Ended,
    /// The same function is open further out, whose total holds this one.
    pub recursive: bool,
    /// Which generator or coroutine this is a step of, a number of its own throughout a recording; 0: of none.
    pub instance: u64,
}

/// An open call.
#[derive(Clone, Copy, Debug)]
pub struct Activation {
    /// Which function.
    pub function: FunctionId,
    /// How it began.
    pub began: Began,
    /// Its last event was an exception.
    pub raised: bool,
    /// The thread's meter at that event.
    pub raised_at: Cost,
    /// The same function is open further out.
    pub recursive: bool,
    /// Which generator or coroutine this is a step of; 0: of none.
    pub instance: u64,
    /// Calls and resumptions made directly by it.
    pub calls_made: u64,
    /// The thread's meter when it began.
    pub from: Cost,
    /// Sum of what it called.
    pub children: Cost,
}

/// A thread's running totals. `wall_ns` is the time of its last event, the rest counts from the slot's beginning.
#[derive(Clone, Debug)]
pub struct Meter {
    now: Cost,
    off_cpu_due_ns: u64,
    off_cpu_seen_ns: u64,
    faults_due: u64,
    faults_seen: u64,
}

impl Meter {
    /// A meter that begins at a time.
    pub fn new(opened_ns: u64) -> Self {
        let now = Cost { wall_ns: opened_ns, ..Cost::default() };
        Self { now, off_cpu_due_ns: 0, off_cpu_seen_ns: 0, faults_due: 0, faults_seen: 0 }
    }

    /// The totals as of the last event.
    pub fn now(&self) -> Cost {
        self.now
    }

    /// The kernel side's counters, to be charged with the time up to the next event.
    pub fn counters(&mut self, off_cpu_ns: u64, faults: u64) {
        self.off_cpu_due_ns += off_cpu_ns.saturating_sub(self.off_cpu_seen_ns);
        self.off_cpu_seen_ns = self.off_cpu_seen_ns.max(off_cpu_ns);
        self.faults_due += faults.saturating_sub(self.faults_seen);
        self.faults_seen = self.faults_seen.max(faults);
    }

    /// Resident memory changed.
    pub fn rss(&mut self, delta_bytes: i64) {
        self.now.rss_bytes = self.now.rss_bytes.saturating_add(delta_bytes);
    }

    /// Goes on to the time of an event; never back. How far it went, in nanoseconds.
    pub fn advance(&mut self, time_ns: u64) -> u64 {
        let elapsed = time_ns.saturating_sub(self.now.wall_ns);
        self.now.wall_ns += elapsed;
        if self.off_cpu_due_ns > 0 {
            // Its slot can be older than what is known of the thread: no call is charged more time off CPU than it
            // took, the rest waits for the next.
            let off_cpu = self.off_cpu_due_ns.min(elapsed);
            self.now.off_cpu_ns += off_cpu;
            self.off_cpu_due_ns -= off_cpu;
        }
        self.now.faults += std::mem::take(&mut self.faults_due);
        elapsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_charged_with_the_time_up_to_the_next_event() {
        let mut meter = Meter::new(100);
        meter.counters(30, 2);
        assert_eq!(meter.now(), Cost { wall_ns: 100, ..Cost::default() });
        assert_eq!(meter.advance(150), 50);
        assert_eq!(meter.now(), Cost { wall_ns: 150, off_cpu_ns: 30, rss_bytes: 0, faults: 2 });
    }

    #[test]
    fn time_off_cpu_never_exceeds_the_time() {
        let mut meter = Meter::new(0);
        meter.counters(30, 0);
        meter.advance(10);
        assert_eq!(meter.now().off_cpu_ns, 10);
        meter.advance(100);
        assert_eq!(meter.now().off_cpu_ns, 30);
    }

    #[test]
    fn neither_time_nor_counters_go_back() {
        let mut meter = Meter::new(100);
        meter.counters(5, 5);
        meter.counters(3, 4);
        assert_eq!(meter.advance(90), 0);
        meter.advance(200);
        assert_eq!(meter.now(), Cost { wall_ns: 200, off_cpu_ns: 5, rss_bytes: 0, faults: 5 });
    }
}
