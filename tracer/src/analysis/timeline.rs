//! The calls of a log in the order in which they began, thread by thread: what drawings of time are made of.
//!
//! The log gives them in the reverse of that order. They wait in [`Blocks`], 64 bytes each.

mod merged;

use std::io;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Visit;
use super::blocks::Blocks;
use super::walk::Threads;
use crate::charge::{Began, Ended};
use crate::correction::{Corrected, Correction};
use crate::functions::Row;

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Span {
    /// Beginning, monotonic nanoseconds.
    pub start_ns: u64,
    /// End.
    pub end_ns: u64,
    /// Part of that not on a CPU, nanoseconds.
    pub off_cpu_ns: u64,
    /// Change of resident memory with all that it called, bytes.
    pub rss_bytes: i64,
    /// Which generator or coroutine it is a step of; 0: of none.
    pub instance: u64,
    /// Calls and resumptions made by it and by what it called.
    pub calls_inside: u64,
    /// Its function.
    pub row: Row,
    /// How many calls are open further out.
    pub depth: u32,
    /// Page faults with all that it called.
    pub faults: u32,
    flags: u32,
}

impl Span {
    const CUT_START: u32 = 1;
    const CUT_END: u32 = 2;
    const RESUMED: u32 = 4;
    const LATE: u32 = 8;

    fn new(visit: &Visit) -> Self {
        let call = &visit.call;
        let mut flags = 0;
        match call.began {
            Began::Call => {}
            Began::Resumed => flags |= Self::RESUMED,
            Began::OpenAtAttach | Began::Unseen => flags |= Self::CUT_START,
        }
        if call.ended == Ended::OpenAtDetach {
            flags |= Self::CUT_END;
        }
        if call.ended.is_late() {
            flags |= Self::LATE;
        }
        Self {
            start_ns: call.start_ns,
            end_ns: call.end_ns,
            off_cpu_ns: call.total.off_cpu_ns,
            rss_bytes: call.total.rss_bytes,
            instance: call.instance,
            calls_inside: visit.calls_inside,
            row: visit.row,
            depth: call.depth,
            faults: u32::try_from(call.total.faults).unwrap_or(u32::MAX),
            flags,
        }
    }

    /// Its duration without what probes added to it.
    pub fn corrected(&self, correction: Correction) -> Corrected {
        let whole = !self.is_cut_at_start() && !self.is_cut_at_end();
        let cost_ns = correction.calibration.cost_ns(whole, self.calls_inside);
        correction.of_bounds(self.flags & Self::LATE != 0).of(self.end_ns - self.start_ns, cost_ns)
    }

    /// Did it begin before what is shown?
    pub fn is_cut_at_start(&self) -> bool {
        self.flags & Self::CUT_START != 0
    }

    /// Did it go on after what is shown?
    pub fn is_cut_at_end(&self) -> bool {
        self.flags & Self::CUT_END != 0
    }

    /// Did a generator or coroutine go on with it?
    pub fn is_resumed(&self) -> bool {
        self.flags & Self::RESUMED != 0
    }
}

/// All calls of a log.
#[derive(Debug)]
pub struct Timeline {
    /// The latest calls first.
    calls: Blocks<Span>,
    ids: Vec<(u32, u32)>,
}

impl Timeline {
    /// One that has no calls yet.
    ///
    /// # Errors
    /// If no file can be made in the folder for temporary files (`TMPDIR`, or `/var/tmp`).
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { calls: Blocks::new()?, ids: Vec::new() })
    }

    /// Adds a call, later ones first.
    pub(super) fn add(&mut self, visit: &Visit) -> io::Result<()> {
        self.calls.push(visit.thread as usize, Span::new(visit))
    }

    /// All calls have been added.
    pub(super) fn finish(&mut self, threads: &Threads) {
        threads.ids().clone_into(&mut self.ids);
        self.calls.reserve(self.ids.len());
    }

    /// Process and thread id of each thread, by number.
    pub fn threads(&self) -> &[(u32, u32)] {
        &self.ids
    }

    /// How many calls a thread made, resumptions and those found open among them.
    pub fn len(&self, thread: usize) -> usize {
        self.calls.len(thread)
    }

    /// When the first call of a thread begins, monotonic nanoseconds.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn first_ns(&self, thread: usize) -> io::Result<Option<u64>> {
        Ok(self.calls.last(thread)?.map(|span| span.start_ns))
    }

    /// Goes through the calls of a thread, earlier ones first, and callers before what they called.
    ///
    /// # Errors
    /// If the file can't be read, and what `take` returns.
    pub fn each<E: From<io::Error>>(
        &self,
        thread: usize,
        take: impl FnMut(&Span) -> Result<(), E>,
    ) -> Result<(), E> {
        self.calls.each_backward(thread, take)
    }

    /// The same as beginnings and ends, in the order of time: ends come before what begins at the same time, and a
    /// call ends after all that it called.
    ///
    /// # Errors
    /// As [`Timeline::each`].
    pub fn edges<E: From<io::Error>>(
        &self,
        thread: usize,
        mut take: impl FnMut(Edge<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut open: Vec<Span> = Vec::new();
        self.each(thread, |span| {
            while let Some(over) = open.pop_if(|outer| outer.depth >= span.depth) {
                take(Edge::End(&over))?;
            }
            open.push(*span);
            take(Edge::Begin(span))
        })?;
        while let Some(over) = open.pop() {
            take(Edge::End(&over))?;
        }
        Ok(())
    }
}

/// A beginning or an end.
#[derive(Clone, Copy, Debug)]
pub enum Edge<'a> {
    /// This call begins.
    Begin(&'a Span),
    /// This call ends.
    End(&'a Span),
}

#[cfg(test)]
mod tests {
    use super::super::blocks::BLOCK;
    use super::*;
    use crate::charge::{Cost, FinishedCall};

    fn visit(thread: u32, start_ns: u64, end_ns: u64, depth: u32) -> Visit {
        let total = Cost { wall_ns: end_ns - start_ns, off_cpu_ns: 3, rss_bytes: -4096, faults: 1 };
        let call = FinishedCall {
            pid: 1,
            tid: thread,
            function: 1,
            caller: None,
            depth,
            start_ns,
            end_ns,
            total,
            own: total,
            calls_made: 0,
            began: Began::Call,
            ended: Ended::Returned,
            recursive: false,
            instance: 0,
        };
        Visit { call, row: 7, path: 0, thread, task: 0, calls_inside: 0 }
    }

    /// A timeline of threads that each make so many calls of one nanosecond, two nanoseconds apart.
    fn steady(calls: &[usize]) -> Timeline {
        let mut timeline = Timeline::new().unwrap();
        let mut threads = Threads::default();
        for at in (0..calls.iter().copied().max().unwrap_or(0)).rev() {
            for (thread, _) in calls.iter().enumerate().filter(|&(_, &calls)| at < calls) {
                let start_ns = 10 + 2 * at as u64;
                timeline.add(&visit(thread as u32, start_ns, start_ns + 1, 0)).unwrap();
            }
        }
        (0..calls.len()).for_each(|tid| _ = threads.number(1, tid as u32));
        timeline.finish(&threads);
        timeline
    }

    fn starts(timeline: &Timeline, thread: usize) -> Vec<u64> {
        let mut starts = Vec::new();
        let go_on = |span: &Span| {
            starts.push(span.start_ns);
            io::Result::Ok(())
        };
        timeline.each(thread, go_on).unwrap();
        starts
    }

    #[test]
    fn calls_come_back_in_order_however_many_blocks_they_fill() {
        let calls = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 5];
        let timeline = steady(&calls);
        for (thread, &calls) in calls.iter().enumerate() {
            let expected: Vec<u64> = (0..calls as u64).map(|at| 10 + 2 * at).collect();
            assert_eq!(starts(&timeline, thread), expected);
            assert_eq!(timeline.len(thread), calls);
            assert_eq!(timeline.first_ns(thread).unwrap(), expected.first().copied());
        }
    }

    #[test]
    fn many_threads_do_not_mix() {
        let calls: Vec<usize> = (0..500).map(|thread| thread % 7 * 100).collect();
        let timeline = steady(&calls);
        assert_eq!(timeline.threads().len(), 500);
        assert!((0..500).all(|thread| starts(&timeline, thread).len() == calls[thread]));
    }

    #[test]
    fn a_thread_without_calls_is_there_and_empty() {
        let timeline = steady(&[0, 1]);
        assert_eq!((timeline.threads().len(), starts(&timeline, 0)), (2, Vec::new()));
    }

    #[test]
    fn a_span_is_what_its_call_was() {
        let mut visit = visit(0, 5, 9, 4);
        (visit.call.began, visit.call.ended, visit.call.instance) = (Began::Resumed, Ended::OpenAtDetach, 3);
        let span = Span::new(&visit);
        assert_eq!((span.start_ns, span.end_ns, span.off_cpu_ns), (5, 9, 3));
        assert_eq!((span.rss_bytes, span.faults, span.instance), (-4096, 1, 3));
        assert_eq!((span.row, span.depth), (7, 4));
        assert!(span.is_resumed() && span.is_cut_at_end() && !span.is_cut_at_start());
        visit.call.began = Began::OpenAtAttach;
        assert!(Span::new(&visit).is_cut_at_start() && !Span::new(&visit).is_resumed());
    }

    #[test]
    fn at_the_same_time_ends_come_before_beginnings_and_callers_begin_first() {
        let mut timeline = Timeline::new().unwrap();
        // Later ones first: a call of no length, and before it one with two calls in it, all at the same time.
        for depth in [0, 1, 1, 0] {
            timeline.add(&visit(0, 5, 5, depth)).unwrap();
        }
        let mut threads = Threads::default();
        threads.number(1, 0);
        timeline.finish(&threads);
        let mut edges = Vec::new();
        let go_on = |edge: Edge<'_>| {
            edges.push(match edge {
                Edge::Begin(span) => ('(', span.depth),
                Edge::End(span) => (')', span.depth),
            });
            io::Result::Ok(())
        };
        timeline.edges(0, go_on).unwrap();
        let expected = [('(', 0), ('(', 1), (')', 1), ('(', 1), (')', 1), (')', 0), ('(', 0), (')', 0)];
        assert_eq!(edges, expected);
    }

    #[test]
    fn merged_threads_are_in_the_order_of_time_and_each_in_its_own() {
        let timeline = steady(&[0, 2 * BLOCK + 3, 5, BLOCK]);
        let mut merged: Vec<Vec<(bool, u64)>> = vec![Vec::new(); 4];
        let mut last_ns = 0;
        let taken: io::Result<()> = timeline.merged(0..4, |thread, edge| {
            let (begins, time_ns) = match edge {
                Edge::Begin(span) => (true, span.start_ns),
                Edge::End(span) => (false, span.end_ns),
            };
            assert!(time_ns >= last_ns);
            last_ns = time_ns;
            merged[thread].push((begins, time_ns));
            Ok(())
        });
        taken.unwrap();
        for (thread, merged) in merged.iter().enumerate() {
            let mut alone = Vec::new();
            let go_on = |edge: Edge<'_>| {
                alone.push(match edge {
                    Edge::Begin(span) => (true, span.start_ns),
                    Edge::End(span) => (false, span.end_ns),
                });
                io::Result::Ok(())
            };
            timeline.edges(thread, go_on).unwrap();
            assert_eq!(*merged, alone);
        }
    }

    #[test]
    fn who_takes_the_calls_can_stop() {
        let timeline = steady(&[3 * BLOCK]);
        let mut taken = 0;
        let stopped = timeline.each(0, |_| {
            taken += 1;
            if taken == BLOCK + 2 { Err(io::Error::other("enough")) } else { Ok(()) }
        });
        assert_eq!((stopped.unwrap_err().to_string(), taken), ("enough".to_owned(), BLOCK + 2));
    }
}
