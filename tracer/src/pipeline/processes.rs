//! The traced processes, by the kernel side's index and by process id.

use rustc_hash::FxHashMap;

use crate::charge::ProcessMemory;
use crate::event::ProcessIndex;
use crate::report::ProcessReport;

/// One process.
#[derive(Clone, Debug, Default)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) version: Option<String>,
    pub(super) source: Option<String>,
    pub(super) memory: ProcessMemory,
    /// Records lost, as its threads told.
    pub(super) lost: u64,
    /// Records lost, as the kernel side counted them.
    pub(super) lost_in_kernel: u64,
}

/// All processes. Their numbers here are never reused, unlike the kernel side's indices.
#[derive(Clone, Debug, Default)]
pub(super) struct Processes {
    all: Vec<Process>,
    by_index: FxHashMap<ProcessIndex, usize>,
    by_pid: FxHashMap<u32, usize>,
}

impl Processes {
    /// Number of the process that has this index now.
    pub(super) fn number(&mut self, index: ProcessIndex) -> usize {
        if let Some(&number) = self.by_index.get(&index) {
            return number;
        }
        let number = self.push(0);
        self.by_index.insert(index, number);
        number
    }

    /// An index stands for this process from now on.
    pub(super) fn identify(&mut self, index: ProcessIndex, pid: u32) -> usize {
        let current = self.by_index.get(&index).copied();
        match current.map(|number| self.all[number].pid) {
            Some(known) if known == pid => {}
            Some(0) if !self.by_pid.contains_key(&pid) => {
                let number = self.number(index);
                self.all[number].pid = pid;
                self.by_pid.insert(pid, number);
            }
            _ => {
                let number = self.by_pid.get(&pid).copied().unwrap_or_else(|| self.push(pid));
                self.by_pid.insert(pid, number);
                self.by_index.insert(index, number);
            }
        }
        self.number(index)
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
        self.all.iter().map(Process::report).collect()
    }

    fn push(&mut self, pid: u32) -> usize {
        self.all.push(Process { pid, ..Process::default() });
        self.all.len() - 1
    }
}

impl Process {
    /// Records lost. The kernel side's count holds those that no thread lived to tell.
    fn lost(&self) -> u64 {
        self.lost.max(self.lost_in_kernel)
    }

    fn report(&self) -> ProcessReport {
        ProcessReport {
            pid: self.pid,
            version: self.version.clone(),
            source: self.source.clone(),
            rss_start_bytes: self.memory.start_bytes(),
            rss_end_bytes: self.memory.end_bytes(),
            rss_peak_bytes: self.memory.peak_bytes(),
            outside_rss_bytes: self.memory.outside_bytes(),
            no_frame_rss_bytes: self.memory.no_frame_bytes(),
            swap_bytes: self.memory.swap_bytes(),
            lost: self.lost(),
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
}
