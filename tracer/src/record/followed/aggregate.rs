//! What the kernel side adds up by itself, fetched: of a process when it ends, of the rest when the recording does.

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::Result;
use log::debug;
use rustc_hash::FxHashMap;
use tracer_common::aggregate::FunctionSums;

use super::{Followed, silent::Silent};
use crate::{
    aggregate::{Aggregate, OpenStack, add_sums},
    attach::monotonic_ns,
    decode,
    engine::{Engine, Message},
    event::{FunctionId, ProcessIndex},
    pipeline::ThreadTotals,
    units::count,
};

/// What is known before it is asked for.
#[derive(Debug, Default)]
pub(super) struct Added {
    /// Of threads of which the kernel side hears no more: what they were counted for, and what closing their frames adds
    /// to the sums of functions.
    counts: Aggregate,
    closed: FxHashMap<FunctionId, FunctionSums>,
    /// Changes of memory, in pages, of threads whose stacks were never seen.
    unseen_pages: BTreeMap<ProcessIndex, i64>,
    /// Names of functions that were lost.
    nameless: u64,
    /// All was fetched.
    done: bool,
}

impl Followed {
    /// Begins to add up, where the kernel side does: what there is up to now is left out.
    pub(in crate::record) fn begin_aggregate(&mut self) -> Result<()> {
        Ok(self.kernel.begin_aggregate()?)
    }

    /// Ends the window, and says when that was: nothing of after that is added up.
    pub(in crate::record) fn end_window(&mut self) -> Result<u64> {
        const AHEAD_NS: u64 = 1_000_000;
        if !self.kernel.aggregates() {
            return Ok(monotonic_ns());
        }
        // The kernel side must know of it before it has come.
        loop {
            let end_ns = monotonic_ns() + AHEAD_NS;
            self.kernel.end_aggregate(end_ns);
            let left_ns = end_ns.saturating_sub(monotonic_ns());
            if left_ns > 0 {
                thread::sleep(Duration::from_nanos(left_ns));
                return Ok(end_ns);
            }
        }
    }

    /// Frames' events that were added up in the processes that are followed now; `None`: nothing is added up.
    pub(in crate::record) fn frame_events(&self) -> Option<u64> {
        let ended = |&index: &ProcessIndex| Some(self.kernel.process_sums(index).ok()??.counts.events);
        let ended: u64 = self.processes.keys().filter_map(ended).sum();
        self.kernel.aggregates().then(|| self.kernel.frame_events() + ended)
    }

    /// Fetches everything, at the end of the window. `threads` are the counters of then. Notes say what is missing.
    pub(in crate::record) fn aggregate(
        &mut self,
        end_ns: u64,
        threads: &[ThreadTotals],
        silent: &Silent,
    ) -> Result<Option<Aggregate>> {
        if !self.kernel.aggregates() {
            return Ok(None);
        }
        self.kernel.seal_aggregate()?;
        let mut open = 0;
        for totals in threads {
            open += self.close_stack(totals, end_ns, silent.has_read(totals.thread))?;
        }
        let mut whole = std::mem::take(&mut self.added.counts);
        whole.counts.open_at_detach = open;
        for (row, mut sums) in self.kernel.function_sums()? {
            self.add_closed(row, &mut sums);
            whole.add_function(sums.process as ProcessIndex, Some(row), &sums);
        }
        for index in self.processes.keys().copied().collect::<Vec<_>>() {
            whole.add(self.of_process(index)?);
        }
        self.added.done = true;
        self.note_what_had_no_room(whole.untimed)?;
        Ok(Some(whole))
    }

    /// Tells the engine what was added up of a process that is not followed any more.
    pub(super) fn tell_aggregate(&mut self, index: ProcessIndex, engine: &Engine) {
        if !self.kernel.aggregates() || self.added.done {
            return;
        }
        match self.of_process(index) {
            Ok(part) => engine.tell(Message::Aggregate(part)),
            Err(error) => debug!("{error}"),
        }
    }

    /// Tells the engine of functions whose names found no room in the ring buffer.
    pub(in crate::record) fn tell_waiting_names(&mut self, engine: &Engine) {
        match self.kernel.waiting_names() {
            Ok((names, lost)) => {
                for name in &names {
                    engine.tell(Message::Event(decode::function(name)));
                }
                self.added.nameless = lost;
            }
            Err(error) => debug!("{error}"),
        }
    }

    /// Closes what a thread has open, of which the kernel side hears no more. How many frames that were.
    pub(super) fn close_stack(&mut self, totals: &ThreadTotals, end_ns: u64, is_told: bool) -> Result<u64> {
        let Some(open) = self.kernel.take_stack(totals.thread)? else { return Ok(0) };
        self.added.counts.add_counts(&open.stack.counts);
        if !open.is_seen() && !is_told {
            let process = self.kernel.thread_at(totals.thread).process;
            *self.added.unseen_pages.entry(process).or_default() += open.stack.postponed_pages;
        }
        for (row, sums) in open.close(end_ns, totals.off_cpu_ns, totals.faults) {
            add_sums(self.added.closed.entry(row).or_default(), &sums);
        }
        let OpenStack { frames, .. } = open;
        Ok(frames.len() as u64)
    }

    fn of_process(&mut self, index: ProcessIndex) -> Result<Aggregate> {
        let mut part = Aggregate::default();
        if let Some(sums) = self.kernel.process_sums(index)? {
            let unseen_pages = self.added.unseen_pages.remove(&index).unwrap_or_default();
            part.add_process(index, &sums, unseen_pages);
        }
        if let Some((row, mut sums)) = self.kernel.take_other_sums(index) {
            self.add_closed(row, &mut sums);
            part.add_function(index, None, &sums);
        }
        Ok(part)
    }

    fn add_closed(&mut self, row: FunctionId, sums: &mut FunctionSums) {
        if let Some(closed) = self.added.closed.remove(&row) {
            add_sums(sums, &closed);
        }
    }

    /// Says what the tables of the kernel side were too small for.
    fn note_what_had_no_room(&mut self, untimed: u64) -> Result<()> {
        let (room, left_out) = self.kernel.functions_left_out()?;
        if left_out > 0 {
            self.notes.push(format!(
                "more than {} functions: those seen later are one row for each process (--aggregate stream tells them apart)",
                count(u64::from(room))
            ));
        }
        if untimed > 0 {
            self.notes.push(format!(
                "{} calls are counted, but not timed: their stacks were too deep for the kernel's tables (--aggregate stream has no such limit)",
                count(untimed)
            ));
        }
        if self.added.nameless > 0 {
            self.notes.push(format!("the names of {} functions were lost", count(self.added.nameless)));
        }
        Ok(())
    }
}
