//! Resident memory of one process.

use crate::event::{FunctionId, Member};

/// In [`RssChange::tid`]: a thread of the process that is not followed. -1 in the log.
pub const UNFOLLOWED: u32 = u32::MAX;

/// One change of resident memory, with its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RssChange {
    /// When, monotonic nanoseconds.
    pub time_ns: u64,
    /// Process id.
    pub pid: u32,
    /// Thread that caused it; 0: another task; [`UNFOLLOWED`].
    pub tid: u32,
    /// Function on top of that thread.
    pub function: Option<FunctionId>,
    /// Kind.
    pub member: Member,
    /// Change in bytes.
    pub delta_bytes: i64,
    /// Resident memory of the process after it; of a swap change, what is swapped out.
    pub total_bytes: i64,
}

/// Who a change is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charged {
    /// A function on top of a thread.
    Function,
    /// A thread that has no Python frame open, or is not followed.
    NoFrame,
    /// Another task: reclaim, `process_madvise`.
    Outside,
}

/// Resident memory of a process: where it began, where it went, and what no function is charged with.
#[derive(Clone, Debug, Default)]
pub struct ProcessMemory {
    base: Option<[i64; 4]>,
    delta: [i64; 4],
    peak_delta: i64,
    no_frame_bytes: i64,
    outside_bytes: i64,
}

impl ProcessMemory {
    /// The memory of a process of which all changes were added up elsewhere: what it began with and the change since then
    /// by member, the highest change of resident memory, and what no function is charged with.
    pub fn added_up(
        base: [i64; 4],
        delta: [i64; 4],
        peak_delta: i64,
        no_frame_bytes: i64,
        outside_bytes: i64,
    ) -> Self {
        Self { base: Some(base), delta, peak_delta, no_frame_bytes, outside_bytes }
    }

    /// The totals when counting began. Changes of this process may already have come from other CPUs.
    ///
    /// A second base means a new address space (exec): the jump to it, by member, is nobody's change, and is
    /// returned to be charged to the outside.
    pub fn base(&mut self, bytes: [i64; 4]) -> [i64; 4] {
        let Some(base) = self.base else {
            self.base = Some(bytes);
            return [0; 4];
        };
        std::array::from_fn(|i| bytes[i] - (base[i] + self.delta[i]))
    }

    /// A change; the total after it, as [`RssChange::total_bytes`] has it. It still has to be [charged](Self::charge).
    pub fn change(&mut self, member: Member, delta_bytes: i64) -> i64 {
        self.delta[member as usize] += delta_bytes;
        if !member.in_rss() {
            return self.swap_bytes();
        }
        self.peak_delta = self.peak_delta.max(rss(&self.delta));
        self.end_bytes()
    }

    /// Says who a change is charged to.
    pub fn charge(&mut self, member: Member, delta_bytes: i64, charged: Charged) {
        match charged {
            _ if !member.in_rss() => {}
            Charged::Function => {}
            Charged::NoFrame => self.no_frame_bytes += delta_bytes,
            Charged::Outside => self.outside_bytes += delta_bytes,
        }
    }

    /// Resident memory at the beginning.
    pub fn start_bytes(&self) -> i64 {
        self.base.as_ref().map_or(0, rss)
    }

    /// Resident memory now.
    pub fn end_bytes(&self) -> i64 {
        self.start_bytes() + rss(&self.delta)
    }

    /// The most there was.
    pub fn peak_bytes(&self) -> i64 {
        self.start_bytes() + self.peak_delta
    }

    /// Swapped out now.
    pub fn swap_bytes(&self) -> i64 {
        self.base.map_or(0, |base| base[Member::Swap as usize]) + self.delta[Member::Swap as usize]
    }

    /// Changes by threads without a Python frame.
    pub fn no_frame_bytes(&self) -> i64 {
        self.no_frame_bytes
    }

    /// Changes by other tasks.
    pub fn outside_bytes(&self) -> i64 {
        self.outside_bytes
    }
}

fn rss(bytes: &[i64; 4]) -> i64 {
    bytes.iter().sum::<i64>() - bytes[Member::Swap as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_is_kept_apart() {
        let mut memory = ProcessMemory::default();
        memory.base([100, 200, 50, 10]);
        assert_eq!(memory.change(Member::Anon, -40), 270);
        assert_eq!(memory.change(Member::Swap, 40), 90);
        memory.charge(Member::Anon, -40, Charged::Outside);
        memory.charge(Member::Swap, 40, Charged::Outside);
        assert_eq!((memory.start_bytes(), memory.end_bytes(), memory.outside_bytes()), (310, 270, -40));
    }

    #[test]
    fn the_peak_is_the_highest_total_even_if_the_base_comes_late() {
        let mut memory = ProcessMemory::default();
        memory.change(Member::File, 30);
        memory.charge(Member::File, 30, Charged::NoFrame);
        memory.base([100, 0, 0, 0]);
        memory.change(Member::File, -50);
        assert_eq!((memory.start_bytes(), memory.peak_bytes(), memory.end_bytes()), (100, 130, 80));
        assert_eq!(memory.no_frame_bytes(), 30);
    }

    #[test]
    fn a_second_base_gives_the_jump_to_it() {
        let mut memory = ProcessMemory::default();
        assert_eq!(memory.base([10, 20, 0, 0]), [0; 4]);
        memory.change(Member::Anon, 5);
        assert_eq!(memory.base([3, 4, 1, 0]), [-7, -21, 1, 0]);
    }
}
