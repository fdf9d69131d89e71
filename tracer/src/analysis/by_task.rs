//! Sums by asyncio task: the calls of one instance of the outermost coroutine on a stack.
//!
//! Calls come backward, so a task is over for us with its first step. Of those that are over only the largest are kept.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::names::Names;
use super::{Visit, tree::CallTree};
use crate::charge::{Began, FinishedCall};
use crate::functions::Row;
use crate::summary::FunctionSums;

/// Tasks kept one by one.
const MOST: usize = 100_000;

/// One task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its number: [`Visit::task`].
    pub instance: u64,
    /// Its coroutine.
    pub row: Row,
    /// When its first step began, monotonic nanoseconds.
    pub start_ns: u64,
    /// When its last step ended.
    pub end_ns: u64,
    /// Its first step was not seen: it began earlier.
    pub is_cut: bool,
    /// Steps of its coroutine.
    pub steps: u64,
    /// What all calls in its steps came to; `cumulative` is that of the steps.
    pub sums: FunctionSums,
}

impl Task {
    /// How long it was suspended between its first step and its last, nanoseconds.
    pub fn waited_ns(&self) -> u64 {
        (self.end_ns - self.start_ns).saturating_sub(self.sums.cumulative.wall_ns)
    }
}

/// All tasks of a recording.
#[derive(Debug)]
pub struct Tasks {
    live: FxHashMap<u64, Task>,
    over: Vec<Task>,
    /// How many were too many to be kept, and their sums by coroutine.
    left_out: u64,
    others: FxHashMap<Row, FunctionSums>,
    /// What ran in no task, by function.
    outside: FxHashMap<Row, FunctionSums>,
    most: usize,
}

/// The sums of a recording by task.
#[derive(Debug)]
pub struct ByTask {
    /// The tasks, those that ran longest if there are very many.
    pub tasks: Vec<Task>,
    /// How many more there were.
    pub left_out: u64,
    /// Their sums, by number of the process.
    pub others: BTreeMap<usize, FunctionSums>,
    /// What ran in no task, by number of the process.
    pub outside: BTreeMap<usize, FunctionSums>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::keeping(MOST)
    }
}

impl Tasks {
    fn keeping(most: usize) -> Self {
        Self {
            live: FxHashMap::default(),
            over: Vec::new(),
            left_out: 0,
            others: FxHashMap::default(),
            outside: FxHashMap::default(),
            most,
        }
    }

    /// Takes in a call, later ones first.
    pub fn add(&mut self, visit: &Visit) {
        let call = &visit.call;
        if visit.task == 0 {
            add(self.outside.entry(visit.row).or_default(), call, call.depth == 0);
            return;
        }
        let task = self.live.entry(visit.task).or_insert(Task {
            instance: visit.task,
            row: visit.row,
            start_ns: call.start_ns,
            end_ns: 0,
            is_cut: true,
            steps: 0,
            sums: FunctionSums::default(),
        });
        let is_step = call.instance == visit.task;
        add(&mut task.sums, call, is_step);
        if !is_step {
            return;
        }
        task.row = visit.row;
        task.steps += 1;
        task.start_ns = call.start_ns;
        task.end_ns = task.end_ns.max(call.end_ns);
        if call.began == Began::Call {
            task.is_cut = false;
            let task = *task;
            self.live.remove(&task.instance);
            self.over.push(task);
            if self.over.len() >= 2 * self.most {
                self.cut();
            }
        }
    }

    /// All calls have been added. `tree` has them too, and memory that no call's row tells of.
    pub fn finish(mut self, tree: &CallTree, names: &Names) -> ByTask {
        let live = std::mem::take(&mut self.live);
        self.over.extend(live.into_values());
        self.cut();
        let process = |row: Row| names.get(row).process;
        let by_process = |by_row: FxHashMap<Row, FunctionSums>| {
            let mut sums: BTreeMap<usize, FunctionSums> = BTreeMap::new();
            for (row, of_row) in by_row {
                sums.entry(process(row)).or_default().merge(&of_row);
            }
            sums
        };
        let (others, mut outside) = (by_process(self.others), by_process(self.outside));
        // What no call's row tells of is of no task.
        let mut all: BTreeMap<usize, FunctionSums> = BTreeMap::new();
        for (_, row, sums) in tree.calls() {
            all.entry(process(row)).or_default().merge(&sums.sums);
        }
        let mut told = outside.clone();
        let tasks = self.over.iter().map(|task| (process(task.row), &task.sums));
        for (process, sums) in tasks.chain(others.iter().map(|(&process, sums)| (process, sums))) {
            told.entry(process).or_default().merge(sums);
        }
        for (process, sums) in &all {
            let told = told.get(process).copied().unwrap_or_default();
            add_rest(outside.entry(*process).or_default(), sums, &told);
        }
        ByTask { tasks: self.over, left_out: self.left_out, others, outside }
    }

    /// Keeps those that ran longest one by one.
    fn cut(&mut self) {
        if self.over.len() <= self.most {
            return;
        }
        self.over.select_nth_unstable_by_key(self.most, |task| Reverse(task.sums.cumulative.wall_ns));
        for task in self.over.split_off(self.most) {
            self.left_out += 1;
            self.others.entry(task.row).or_default().merge(&task.sums);
        }
    }
}

/// Adds what all calls have more than is told of them.
fn add_rest(sums: &mut FunctionSums, all: &FunctionSums, told: &FunctionSums) {
    sums.calls += all.calls.saturating_sub(told.calls);
    sums.resumes += all.resumes.saturating_sub(told.resumes);
    sums.open_at_attach += all.open_at_attach.saturating_sub(told.open_at_attach);
    sums.activations += all.activations.saturating_sub(told.activations);
    sums.ends += all.ends.saturating_sub(told.ends);
    sums.late_ends += all.late_ends.saturating_sub(told.late_ends);
    sums.own += all.own - told.own;
    sums.cumulative += all.own - told.own;
}

/// Adds a call; with all that it called only if it is of the outermost ones.
fn add(sums: &mut FunctionSums, call: &FinishedCall, outermost: bool) {
    let cumulative = sums.cumulative;
    sums.add(call);
    sums.cumulative = cumulative;
    if outermost {
        sums.cumulative += call.total;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charge::{Cost, Ended};

    /// A call in a step of a task.
    fn visit(task: u64, instance: u64, start_ns: u64, wall_ns: u64, began: Began) -> Visit {
        let total = Cost { wall_ns, ..Cost::default() };
        let call = FinishedCall {
            pid: 1,
            tid: 1,
            function: 1,
            caller: None,
            depth: u32::from(task != instance),
            start_ns,
            end_ns: start_ns + wall_ns,
            total,
            own: total,
            calls_made: 0,
            began,
            ended: Ended::Returned,
            recursive: false,
            instance,
        };
        Visit { call, row: 0, path: 2, thread: 0, task, calls_inside: 0 }
    }

    #[test]
    fn a_task_has_what_runs_in_its_steps() {
        let mut tasks = Tasks::default();
        for visit in [
            visit(7, 7, 100, 10, Began::Resumed),
            visit(7, 0, 12, 3, Began::Call),
            visit(7, 8, 11, 5, Began::Call),
            visit(7, 7, 10, 20, Began::Call),
        ] {
            tasks.add(&visit);
        }
        let [task] = tasks.over[..] else { panic!("{:?}", tasks.over) };
        assert_eq!((task.steps, task.sums.calls, task.sums.resumes), (2, 3, 1));
        assert_eq!((task.sums.cumulative.wall_ns, task.sums.own.wall_ns), (30, 38));
        assert_eq!((task.start_ns, task.end_ns, task.waited_ns(), task.is_cut), (10, 110, 70, false));
        assert!(tasks.live.is_empty());
    }

    #[test]
    fn of_very_many_the_longest_are_kept_and_the_rest_added_up() {
        let mut tasks = Tasks::keeping(3);
        for task in 1..=20 {
            tasks.add(&visit(task, task, 1_000 - task * 10, task, Began::Call));
            assert!(tasks.over.len() < 6);
        }
        tasks.cut();
        let mut kept: Vec<_> = tasks.over.iter().map(|task| task.instance).collect();
        kept.sort_unstable();
        assert_eq!(kept, [18, 19, 20]);
        assert_eq!((tasks.left_out, tasks.others[&0].calls), (17, 17));
        assert_eq!(tasks.others[&0].own.wall_ns, (1..=17).sum::<u64>());
    }
}
