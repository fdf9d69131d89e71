//! The traced processes, by the kernel side's index and by process id.

use rustc_hash::FxHashMap;

use crate::charge::ProcessMemory;
use crate::event::ProcessIndex;
use crate::report::ProcessReport;

/// What is known of a process besides its numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessAbout {
    /// Process id of the traced process that forked it; `None`: it was not followed from a fork on.
    pub parent: Option<u32>,
    /// Command line; escape where shown.
    pub command: Option<String>,
    /// Its ids in PID namespaces below ours, the last as it sees itself.
    pub inner_pids: Vec<u32>,
    /// Version of its interpreter.
    pub version: Option<String>,
    /// How it is traced.
    pub source: Option<String>,
}

impl ProcessAbout {
    /// Adds what is known of the process now.
    pub(super) fn add(&mut self, other: Self) {
        let Self { parent, command, inner_pids, version, source } = other;
        self.parent = self.parent.or(parent);
        self.command = command.or(self.command.take());
        if !inner_pids.is_empty() {
            self.inner_pids = inner_pids;
        }
        self.version = version.or(self.version.take());
        self.source = source.or(self.source.take());
    }
}

/// One process.
#[derive(Clone, Debug, Default)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) about: ProcessAbout,
    pub(super) memory: ProcessMemory,
    /// A function of it was named.
    pub(super) ran: bool,
    /// Followed, but not known to run Python yet, or any more, and none of its functions was seen.
    pub(super) hidden: bool,
    /// Its last thread has ended: what comes under its index or its pid next is another process.
    ended: bool,
    /// Records lost, as its threads told.
    pub(super) lost: u64,
    /// Records lost, as the kernel side counted them.
    pub(super) lost_in_kernel: u64,
}

/// All processes. Their numbers here are never reused, unlike the kernel side's indices and process ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Processes {
    all: Vec<Process>,
    by_index: FxHashMap<ProcessIndex, usize>,
    /// Of those that have not ended.
    by_pid: FxHashMap<u32, usize>,
}

impl Processes {
    /// Number of the process that has this index now.
    pub(super) fn number(&mut self, index: ProcessIndex) -> usize {
        match self.by_index.get(&index) {
            Some(&number) => number,
            None => self.put(index, 0),
        }
    }

    /// The same where the memory of a process is first seen: that can't be of one that has ended.
    pub(super) fn number_of_new_memory(&mut self, index: ProcessIndex) -> usize {
        let number = self.number(index);
        if self.all[number].ended { self.put(index, 0) } else { number }
    }

    /// An index stands for this process.
    pub(super) fn identify(&mut self, index: ProcessIndex, pid: u32) -> usize {
        match self.by_index.get(&index) {
            Some(&number) if self.all[number].pid == pid => number,
            _ => self.begin(index, pid),
        }
    }

    /// An index stands for this process from now on; it may have been known under another index.
    pub(super) fn begin(&mut self, index: ProcessIndex, pid: u32) -> usize {
        if let Some(&number) = self.by_pid.get(&pid) {
            self.by_index.insert(index, number);
            return number;
        }
        let unnamed = self.by_index.get(&index).copied().filter(|&number| self.all[number].pid == 0);
        let number = unnamed.unwrap_or_else(|| self.put(index, pid));
        self.all[number].pid = pid;
        self.by_pid.insert(pid, number);
        number
    }

    /// A process that did not exist before. Its first thread may have been told of already: that is sent at the same time by
    /// another ring, and one of them can be held up by younger records.
    pub(super) fn born(&mut self, index: ProcessIndex, pid: u32) -> usize {
        if self.by_pid.get(&pid) != self.by_index.get(&index) {
            self.by_pid.remove(&pid);
        }
        self.begin(index, pid)
    }

    /// A process has ended. Nothing happens if the index is another one's by now.
    pub(super) fn end(&mut self, index: ProcessIndex, pid: u32) {
        let holder = self.number(index);
        if self.all[holder].pid != 0 && self.all[holder].pid != pid {
            return;
        }
        let number = self.identify(index, pid);
        self.all[number].ended = true;
        if self.by_pid.get(&pid) == Some(&number) {
            self.by_pid.remove(&pid);
        }
    }

    pub(super) fn get(&self, number: usize) -> &Process {
        &self.all[number]
    }

    pub(super) fn get_mut(&mut self, number: usize) -> &mut Process {
        &mut self.all[number]
    }

    /// Records lost in all of them.
    pub(super) fn lost(&self) -> u64 {
        self.all.iter().map(Process::lost).sum()
    }

    /// Their rows of the report.
    pub(super) fn reports(&self) -> Vec<ProcessReport> {
        let shown = self.all.iter().enumerate().filter(|(_, process)| !process.hidden);
        shown.map(|(number, process)| process.report(number)).collect()
    }

    fn put(&mut self, index: ProcessIndex, pid: u32) -> usize {
        self.all.push(Process { pid, ..Process::default() });
        let number = self.all.len() - 1;
        self.by_index.insert(index, number);
        number
    }
}

impl Process {
    /// Records lost. The kernel side's count holds those that no thread lived to tell.
    fn lost(&self) -> u64 {
        self.lost.max(self.lost_in_kernel)
    }

    fn report(&self, number: usize) -> ProcessReport {
        let ProcessAbout { parent, command, inner_pids, version, source } = self.about.clone();
        ProcessReport {
            process: number,
            pid: self.pid,
            parent,
            command,
            version,
            source,
            rss_start_bytes: self.memory.start_bytes(),
            rss_end_bytes: self.memory.end_bytes(),
            rss_peak_bytes: self.memory.peak_bytes(),
            outside_rss_bytes: self.memory.outside_bytes(),
            no_frame_rss_bytes: self.memory.no_frame_bytes(),
            swap_bytes: self.memory.swap_bytes(),
            lost: self.lost(),
            inner_pids,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_handed_out_again_is_another_process() {
        let mut processes = Processes::default();
        let first = processes.identify(1, 100);
        let second = processes.identify(1, 200);
        assert_ne!(first, second);
        assert_eq!(processes.number(1), second);
    }

    #[test]
    fn a_process_heard_of_before_its_pid_keeps_its_number() {
        let mut processes = Processes::default();
        let number = processes.number(7);
        assert_eq!(processes.identify(7, 100), number);
        assert_eq!(processes.get(number).pid, 100);
    }

    #[test]
    fn two_indices_of_one_pid_are_one_process() {
        let mut processes = Processes::default();
        assert_eq!(processes.identify(1, 100), processes.identify(2, 100));
    }

    #[test]
    fn a_thread_that_is_told_before_its_process_is_of_that_process() {
        let mut processes = Processes::default();
        let number = processes.identify(1, 100);
        assert_eq!(processes.born(1, 100), number);
        assert_eq!(processes.reports().len(), 1);
    }

    #[test]
    fn a_pid_that_is_used_again_is_another_process() {
        let mut processes = Processes::default();
        let first = processes.identify(1, 100);
        processes.end(1, 100);
        assert_eq!(processes.identify(1, 100), first, "what comes late is still its own");
        let second = processes.begin(2, 100);
        assert_ne!(first, second);
        // Its end was lost.
        let third = processes.born(3, 100);
        assert_ne!(second, third);
    }

    #[test]
    fn an_end_that_is_told_late_is_not_the_next_ones() {
        let mut processes = Processes::default();
        processes.born(1, 100);
        processes.end(1, 100);
        let next = processes.born(1, 200);
        processes.end(1, 100);
        assert_eq!((processes.number(1), processes.identify(1, 200)), (next, next));
        assert_eq!(processes.reports().len(), 2);
    }

    #[test]
    fn memory_first_seen_under_the_index_of_a_process_that_has_ended_is_of_the_next_one() {
        let mut processes = Processes::default();
        let first = processes.identify(1, 100);
        processes.end(1, 100);
        let next = processes.number_of_new_memory(1);
        assert_ne!(first, next);
        assert_eq!(processes.born(1, 200), next);
    }
}
