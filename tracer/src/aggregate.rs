//! What the kernel side has added up by itself (`--aggregate kernel`), as the later stages know it. What is still open
//! at the end is closed here, by the rules of [`crate::charge`].

use tracer_common::aggregate::{
    Amount, FrameCounts, FunctionSums, OpenFrame, ProcessSums, Stack, stack_state,
};

use crate::charge::{Cost, ProcessMemory};
use crate::event::{FunctionId, ProcessIndex};
use crate::pipeline::Counts;
use crate::summary;

/// Bytes of a page as the kernel counts them (x86-64).
pub const PAGE_BYTES: i64 = 4096;

/// Sums that the kernel side has made, or a part of them.
#[derive(Clone, Debug, Default)]
pub struct Aggregate {
    /// Sums by process and function. The same may be there more than once; `None`: functions beyond those that the kernel
    /// side has room for.
    pub functions: Vec<(ProcessIndex, Option<FunctionId>, summary::FunctionSums)>,
    /// Memory of processes.
    pub memory: Vec<(ProcessIndex, ProcessMemory)>,
    /// What was counted.
    pub counts: Counts,
    /// Frames that were counted, but not timed: their stacks had no room.
    pub untimed: u64,
}

impl Aggregate {
    /// Adds the sums of one function.
    pub fn add_function(&mut self, process: ProcessIndex, id: Option<FunctionId>, sums: &FunctionSums) {
        let sums = function_sums(sums);
        self.counts.open_at_attach += sums.open_at_attach;
        self.counts.late_ends += sums.late_ends;
        self.functions.push((process, id, sums));
    }

    /// Adds what is known of a process: its memory, and the counts of its threads that have ended. `no_frame_pages` are
    /// changes of threads whose stacks were never seen.
    pub fn add_process(&mut self, process: ProcessIndex, sums: &ProcessSums, no_frame_pages: i64) {
        self.add_counts(&sums.counts);
        if sums.has_base != 0 {
            let bytes = |pages: i64| pages.saturating_mul(PAGE_BYTES);
            let memory = ProcessMemory::added_up(
                sums.base.map(bytes),
                sums.delta.map(bytes),
                bytes(sums.rss_peak),
                bytes(sums.no_frame.saturating_add(no_frame_pages)),
                bytes(sums.outside),
            );
            self.memory.push((process, memory));
        }
    }

    /// Adds what was counted of a thread.
    pub fn add_counts(&mut self, counts: &FrameCounts) {
        self.counts.events += counts.events;
        self.counts.duplicates += counts.duplicates;
        self.counts.unmatched_ends += counts.unmatched_ends;
        self.counts.repaired += counts.repaired;
        self.untimed += counts.untimed;
    }

    /// Adds the counts of another part.
    pub fn add(&mut self, other: Self) {
        let Self { functions, memory, counts, untimed } = other;
        self.functions.extend(functions);
        self.memory.extend(memory);
        self.untimed += untimed;
        self.counts.add(&counts);
    }
}

/// The stack of a thread as the kernel side left it.
#[derive(Clone, Debug)]
pub struct OpenStack {
    /// Its state.
    pub stack: Stack,
    /// Its frames, outermost first.
    pub frames: Vec<OpenFrame>,
}

impl OpenStack {
    /// Was it ever known?
    pub fn is_seen(&self) -> bool {
        self.stack.state & stack_state::SEEN != 0
    }

    /// Closes all that is open, as of `end_ns`, with the thread's counters of then: what that adds to which function.
    /// Innermost first.
    pub fn close(&self, end_ns: u64, off_cpu_ns: u64, faults: u64) -> Vec<(FunctionId, FunctionSums)> {
        let now = self.stack.now;
        let elapsed = end_ns.saturating_sub(now.wall_ns);
        let off_cpu_due = off_cpu_ns.saturating_sub(now.off_cpu_ns);
        let now = Amount {
            wall_ns: now.wall_ns + elapsed,
            off_cpu_ns: now.off_cpu_ns + off_cpu_due.min(elapsed),
            faults: now.faults.max(faults),
            ..now
        };
        let mut callee = Amount::default();
        let closed = self.frames.iter().rev().map(|frame| {
            let whole = used(&frame.from, &now);
            let own = used(&callee, &used(&frame.callees, &whole));
            callee = whole;
            let cumulative = if frame.recursive == 0 { whole } else { Amount::default() };
            let (beyond_own, calls_made) = (cumulative.less(&own), frame.calls_made);
            (frame.row, FunctionSums { own, beyond_own, calls_made, cut: 1, ..FunctionSums::default() })
        });
        closed.collect()
    }
}

/// Adds sums of the same function.
pub fn add_sums(into: &mut FunctionSums, other: &FunctionSums) {
    into.own = into.own.plus(&other.own);
    into.beyond_own = into.beyond_own.plus(&other.beyond_own);
    into.calls += other.calls;
    into.resumes += other.resumes;
    into.calls_made += other.calls_made;
    into.cut += other.cut;
    into.late_ends += other.late_ends;
    into.open_at_attach += other.open_at_attach;
    into.found += other.found;
}

/// What was used between two moments, or the rest of an amount without a part.
fn used(from: &Amount, to: &Amount) -> Amount {
    Amount {
        wall_ns: to.wall_ns.saturating_sub(from.wall_ns),
        off_cpu_ns: to.off_cpu_ns.saturating_sub(from.off_cpu_ns),
        faults: to.faults.saturating_sub(from.faults),
        rss_pages: to.rss_pages.wrapping_sub(from.rss_pages),
    }
}

fn cost(amount: &Amount) -> Cost {
    let Amount { wall_ns, off_cpu_ns, faults, rss_pages } = *amount;
    Cost { wall_ns, off_cpu_ns, faults, rss_bytes: rss_pages.saturating_mul(PAGE_BYTES) }
}

fn function_sums(sums: &FunctionSums) -> summary::FunctionSums {
    let FunctionSums { calls, resumes, open_at_attach, found, cut, late_ends, calls_made, .. } = *sums;
    let activations = calls + resumes + open_at_attach + found;
    summary::FunctionSums {
        calls,
        resumes,
        open_at_attach,
        activations,
        ends: activations.saturating_sub(cut),
        late_ends,
        calls_made,
        own: cost(&sums.own),
        cumulative: cost(&sums.cumulative()),
        samples: summary::Samples::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(wall_ns: u64, off_cpu_ns: u64, faults: u64, rss_pages: i64) -> Amount {
        Amount { wall_ns, off_cpu_ns, faults, rss_pages }
    }

    fn open(row: u32, from: Amount, callees: Amount, recursive: bool) -> OpenFrame {
        OpenFrame { row, from, callees, recursive: u32::from(recursive), ..OpenFrame::default() }
    }

    fn stack(now: Amount, frames: Vec<OpenFrame>) -> OpenStack {
        // SAFETY: integers only.
        let empty = unsafe { std::mem::zeroed::<Stack>() };
        let state = stack_state::KNOWN | stack_state::SEEN;
        let stack = Stack { now, depth: frames.len() as u32, state, ..empty };
        OpenStack { stack, frames }
    }

    /// A call of row 1 that began at 100 and has used nothing but time.
    fn leaf() -> OpenFrame {
        open(1, amount(100, 0, 0, 0), Amount::default(), false)
    }

    #[test]
    fn each_is_charged_what_no_callee_used_and_each_function_its_whole_once() {
        let frames = vec![
            open(7, amount(100, 0, 0, 0), amount(20, 5, 1, 2), false),
            open(8, amount(150, 10, 1, 2), Amount::default(), false),
            open(7, amount(160, 10, 1, 2), amount(5, 0, 0, -1), true),
        ];
        let closed = stack(amount(170, 10, 1, 5), frames).close(200, 20, 4);
        assert_eq!(closed.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [7, 8, 7]);
        assert_eq!((closed[0].1.own, closed[0].1.cumulative()), (amount(35, 10, 3, 4), Amount::default()));
        assert_eq!((closed[1].1.own, closed[1].1.cumulative()), (amount(10, 0, 0, 0), amount(50, 10, 3, 3)));
        assert_eq!((closed[2].1.own, closed[2].1.cumulative()), (amount(30, 5, 0, 0), amount(100, 20, 4, 5)));
    }

    #[test]
    fn time_off_cpu_is_never_more_than_the_time() {
        let closed = stack(amount(100, 0, 0, 0), vec![leaf()]).close(130, 500, 0);
        assert_eq!(closed[0].1.own, Amount { wall_ns: 30, off_cpu_ns: 30, ..Amount::default() });
    }

    #[test]
    fn an_end_before_the_last_event_takes_nothing_away() {
        let closed = stack(amount(120, 0, 3, 0), vec![leaf()]).close(90, 0, 2);
        assert_eq!(closed[0].1.own, Amount { wall_ns: 20, faults: 3, ..Amount::default() });
    }

    #[test]
    fn what_is_closed_at_the_end_has_not_ended_by_itself() {
        let frames = vec![OpenFrame { calls_made: 4, ..leaf() }];
        let closed = stack(amount(100, 0, 0, 0), frames).close(130, 0, 0);
        let mut sums = FunctionSums { calls: 3, cut: 1, calls_made: 5, ..FunctionSums::default() };
        add_sums(&mut sums, &closed[0].1);
        let mut whole = Aggregate::default();
        whole.add_function(1, Some(1), &sums);
        let sums = &whole.functions[0].2;
        assert_eq!((sums.activations, sums.ends, sums.calls_made, sums.own.wall_ns), (3, 1, 9, 30));
    }

    #[test]
    fn parts_add_up() {
        let sums = FunctionSums {
            calls: 3,
            resumes: 2,
            open_at_attach: 1,
            found: 1,
            late_ends: 2,
            ..FunctionSums::default()
        };
        let mut whole = Aggregate::default();
        whole.add_function(1, Some(5), &sums);
        let mut part = Aggregate::default();
        part.add_function(1, None, &sums);
        part.add_counts(&FrameCounts { events: 9, untimed: 4, ..FrameCounts::default() });
        whole.add(part);
        assert_eq!(
            whole.functions.iter().map(|(_, id, sums)| (*id, sums.activations)).collect::<Vec<_>>(),
            [(Some(5), 7), (None, 7)]
        );
        assert_eq!(
            (whole.counts.events, whole.counts.open_at_attach, whole.counts.late_ends, whole.untimed),
            (9, 2, 4, 4)
        );
    }
}
