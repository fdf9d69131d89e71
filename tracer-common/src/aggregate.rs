//! Values of the maps in which the kernel side adds calls up by itself: a stack for each thread, sums for each function
//! and for each process.
//!
//! A row is a function: the code objects of one process that have the same name, file and line. Its number is the
//! function id.

use crate::limits::{STACK_FRAMES, STACK_PAGE_FRAMES};

/// Entries of a [`StackPage`].
const PAGE: usize = STACK_PAGE_FRAMES as usize;
/// Pages that one stack may have.
const PAGES: usize = (STACK_FRAMES / STACK_PAGE_FRAMES) as usize;
/// Buckets by which the frames and functions of a stack are found; a power of two.
pub const BUCKETS: usize = 256;

/// Amounts of everything that is charged.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Wall time in nanoseconds, or the time of a thread's last event.
    pub wall_ns: u64,
    /// Part of it not running on a CPU.
    pub off_cpu_ns: u64,
    /// Page faults.
    pub faults: u64,
    /// Change of resident memory in pages of 4096 bytes.
    pub rss_pages: i64,
}

impl Amount {
    /// The sum of two amounts, modulo 2^64.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            wall_ns: self.wall_ns.wrapping_add(other.wall_ns),
            off_cpu_ns: self.off_cpu_ns.wrapping_add(other.off_cpu_ns),
            faults: self.faults.wrapping_add(other.faults),
            rss_pages: self.rss_pages.wrapping_add(other.rss_pages),
        }
    }

    /// This amount less another one, modulo 2^64.
    #[must_use]
    pub fn less(&self, other: &Self) -> Self {
        Self {
            wall_ns: self.wall_ns.wrapping_sub(other.wall_ns),
            off_cpu_ns: self.off_cpu_ns.wrapping_sub(other.off_cpu_ns),
            faults: self.faults.wrapping_sub(other.faults),
            rss_pages: self.rss_pages.wrapping_sub(other.rss_pages),
        }
    }
}

/// An open frame.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenFrame {
    /// Its address.
    pub frame: u64,
    /// Its row.
    pub row: u32,
    /// Place and one of the next frame further out in the same bucket of [`Stack::by_frame`]; 0: none.
    pub next_by_frame: u16,
    /// The same for [`Stack::by_row`].
    pub next_by_row: u16,
    /// What the thread had used when it began.
    pub from: Amount,
    /// What calls that it made directly have used, of those that have ended.
    pub callees: Amount,
    /// Calls and resumptions made directly by it.
    pub calls_made: u64,
    /// 1: its function is open further out, too.
    pub recursive: u32,
    /// Unused.
    pub pad: u32,
}

const _: () = assert!(size_of::<OpenFrame>() == 96);

/// Open frames. Pages are handed out to the stacks that need them; number 0 means "none".
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StackPage {
    /// Outermost first.
    pub frames: [OpenFrame; PAGE],
}

/// The stack of a thread, by its slot. What each event needs is in its first two cache lines.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct Stack {
    /// What the thread has used up to its last event. The time is 0 until the thread is first heard of.
    pub now: Amount,
    /// Open frames.
    pub depth: u32,
    /// Bits of [`stack_state`].
    pub state: u32,
    /// Not 0 while the kernel side changes anything here.
    pub busy: u32,
    /// Unused.
    pub pad: u32,
    /// Events of frames.
    pub counts: FrameCounts,
    /// Its last event, if that was an exception ([`stack_state::RAISED`]).
    pub raised_at: Amount,
    /// Pages of memory from before the stack was known.
    pub postponed_pages: i64,
    /// Numbers of its pages, the outermost frames first.
    pub pages: [u16; PAGES],
    /// Place and one of the innermost frame by a hash of its address; 0: none.
    pub by_frame: [u16; BUCKETS],
    /// The same by a hash of its row, of frames whose function is not open further out.
    pub by_row: [u16; BUCKETS],
}

/// Bits of [`Stack::state`].
pub mod stack_state {
    /// The stack is as the interpreter has it.
    pub const KNOWN: u32 = 1;
    /// It was known at some time: what is found open later began unseen.
    pub const SEEN: u32 = 2;
    /// The top frame's last event was an exception.
    pub const RAISED: u32 = 4;
    /// Its source does not see that generators and coroutines are suspended.
    pub const MISSES_SUSPENSIONS: u32 = 8;
    /// Its source does not see that exceptions leave frames.
    pub const MISSES_UNWINDS: u32 = 16;
}

/// Events of frames, and what had to be made good.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameCounts {
    /// All of them.
    pub events: u64,
    /// Starts of a frame that had started.
    pub duplicates: u64,
    /// Ends of frames that are on no stack.
    pub unmatched_ends: u64,
    /// Frames whose beginning or end was not seen.
    pub repaired: u64,
    /// Frames for which there was no room: counted, but not timed.
    pub untimed: u64,
}

/// What all calls of a function took: amounts, which are added to when one ends, in the first cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionSums {
    /// Without what it called.
    pub own: Amount,
    /// What its cumulative amounts (with all that it called, recursion counted once) are beyond these, modulo 2^64: what its
    /// callees used, less its own part where it was open further out, too. Nothing is added here for most calls.
    pub beyond_own: Amount,
    /// Calls.
    pub calls: u64,
    /// Resumptions.
    pub resumes: u64,
    /// Calls and resumptions made directly by it, of those of its calls that have ended.
    pub calls_made: u64,
    /// How often it did not end by itself, as far as is known.
    pub cut: u64,
    /// How often its end came out later.
    pub late_ends: u64,
    /// Found open at a thread's first event.
    pub open_at_attach: u64,
    /// Found open later.
    pub found: u64,
    /// Index of its process.
    pub process: u64,
}

impl FunctionSums {
    /// With all that it called; recursion counted once.
    pub fn cumulative(&self) -> Amount {
        self.own.plus(&self.beyond_own)
    }
}

/// What is known of a process as a whole.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessSums {
    /// Pages by member when counting began.
    pub base: [i64; 4],
    /// Change since then.
    pub delta: [i64; 4],
    /// Change of resident memory since then, all members of it.
    pub rss_delta: i64,
    /// The highest that ever was; 0 at least.
    pub rss_peak: i64,
    /// Part of it by threads without a Python frame.
    pub no_frame: i64,
    /// Part of it by other tasks.
    pub outside: i64,
    /// 1: the base is known.
    pub has_base: u64,
    /// Of its threads that have ended.
    pub counts: FrameCounts,
}

#[cfg(feature = "user")]
mod pod {
    // SAFETY: repr(C), integers only, without implicit padding.
    unsafe impl aya::Pod for super::ProcessSums {}
}
