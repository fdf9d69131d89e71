//! From rows, read backward, to calls with their path and what they took themselves.
//!
//! Each thread has a stack of the calls that its next row may lie in. A row at the depth of an open call, or further
//! out, closes that: nothing that it called can come any more. So calls are handed on in the reverse of the order in
//! which they began, what was called before its caller.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::names::Names;
use super::paths::{PathId, Paths};
use super::scope::Scope;
use crate::charge::{Began, Cost, Ended, FinishedCall};
use crate::correction::{Calibration, Corrected, Correction};
use crate::functions::Row;
use crate::log::rows::{began, call_of, end_of};
use crate::log::schema::{CallRow, EventRow};

/// A call of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The call. Its depth is that among the functions asked for. It is cut to the time range that is asked for: then it counts as found open if it had begun before, and as
    /// open at the end if it ended later; of its own amounts only the wall time is known, the others are 0.
    pub call: FinishedCall,
    /// Its function.
    pub row: Row,
    /// Its call path.
    pub path: PathId,
    /// Its thread, by number in the order in which they are met.
    pub thread: u32,
    /// The outermost coroutine on its stack, by [`FinishedCall::instance`]: the task that it is part of; 0: none.
    pub task: u64,
    /// Calls and resumptions made by it and by what it called, those of functions that are not asked for too.
    pub calls_inside: u64,
}

/// The threads of a log, between two rows.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    scope: &'a Scope,
    /// Monotonic nanoseconds.
    range: Range<u64>,
    pub(super) names: Names,
    /// By row.
    wanted: Vec<bool>,
    pub(super) paths: Paths,
    threads: Threads,
    open: Vec<Vec<Open>>,
    /// Calls cut to the time range.
    pub(super) cut: u64,
    pub(super) damage: Damage,
}

impl Visit {
    /// Its duration without what probes added to it.
    pub fn corrected(&self, correction: Correction) -> Corrected {
        let cost_ns = self.probe_cost_ns(correction.calibration);
        correction.of_bounds(self.call.ended.is_late()).of(self.call.total.wall_ns, cost_ns)
    }

    /// What probes added to its duration, nanoseconds.
    pub fn probe_cost_ns(&self, calibration: Calibration) -> u64 {
        let whole = self.call.began.in_window() && self.call.ended != Ended::OpenAtDetach;
        calibration.cost_ns(whole, self.calls_inside)
    }
}

/// Rows that could not be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Damage {
    /// They hold codes that are not known.
    pub(super) unknown_codes: u64,
    /// Ends whose beginning is missing.
    pub(super) unbegun: u64,
    /// Beginnings whose end is missing. In a recording that was cut off that is as it must be.
    pub(super) unended: u64,
}

/// Numbers of threads.
#[derive(Clone, Debug, Default)]
pub(super) struct Threads {
    numbers: FxHashMap<(u32, u32), u32>,
    ids: Vec<(u32, u32)>,
}

/// A call whose own calls may still come.
#[derive(Debug)]
struct Open {
    call: FinishedCall,
    /// Of an events log: its beginning has not come yet.
    half: bool,
    row: Row,
    path: PathId,
    task: u64,
    children: Cost,
    calls_made: u64,
    calls_inside: u64,
}

impl Threads {
    /// The number of a thread, given by process and thread id.
    pub(super) fn number(&mut self, pid: u32, tid: u32) -> u32 {
        let next = self.ids.len() as u32;
        let number = *self.numbers.entry((pid, tid)).or_insert(next);
        if number == next {
            self.ids.push((pid, tid));
        }
        number
    }

    /// Process and thread ids, by number.
    pub(super) fn ids(&self) -> &[(u32, u32)] {
        &self.ids
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(scope: &'a Scope, range: Range<u64>, names: Names) -> Self {
        let wanted = names.iter().map(|named| scope.wants(named.function.as_ref())).collect();
        Self {
            scope,
            range,
            names,
            wanted,
            paths: Paths::default(),
            threads: Threads::default(),
            open: Vec::new(),
            cut: 0,
            damage: Damage::default(),
        }
    }

    /// A row of `calls`. `process` has the number of a process that names don't tell.
    pub(super) fn call(
        &mut self,
        row: &CallRow,
        process: impl Fn(u32) -> usize,
        take: &mut impl FnMut(&Visit, &Paths),
    ) {
        let Some(call) = call_of(row) else {
            self.damage.unknown_codes += 1;
            return;
        };
        if self.scope.has_thread(call.pid, call.tid) && !self.outside(call.start_ns, call.end_ns) {
            let thread = self.thread(call.pid, call.tid);
            while self.top(thread).is_some_and(|top| {
                top.call.depth >= call.depth || (top.call.start_ns > call.start_ns && !top.half)
            }) {
                self.close(thread, take);
            }
            self.open(thread, call, false, process);
        }
    }

    /// A row of `events`.
    pub(super) fn event(
        &mut self,
        row: &EventRow,
        process: impl Fn(u32) -> usize,
        take: &mut impl FnMut(&Visit, &Paths),
    ) {
        let (pid, tid, depth) = (row.pid as u32, row.tid as u32, row.depth as u32);
        if !self.scope.has_thread(pid, tid) {
            return;
        }
        let thread = self.thread(pid, tid);
        if let Some(began) = began(row.kind) {
            self.begin(thread, row, began, take);
            return;
        }
        let Some(call) = end_of(row) else {
            self.damage.unknown_codes += 1;
            return;
        };
        // What ended before the range began lies in it with no part; its beginning finds nothing open.
        self.drop_deeper(thread, depth);
        self.open(thread, call, true, process);
    }

    /// No row is left. `begun_before`: earlier ones are gone, and with them the beginnings that have not come.
    pub(super) fn finish(&mut self, begun_before: bool, take: &mut impl FnMut(&Visit, &Paths)) {
        for thread in 0..self.open.len() {
            while let Some(top) = self.open[thread].last_mut() {
                if top.half && !begun_before {
                    self.drop_top(thread);
                    continue;
                }
                if top.half {
                    top.call.start_ns = 0;
                }
                self.close(thread, take);
            }
        }
    }

    /// Process and thread ids by thread number, and the call paths.
    pub(super) fn into_parts(self) -> (Names, Threads, Paths) {
        (self.names, self.threads, self.paths)
    }

    fn begin(&mut self, thread: usize, row: &EventRow, began: Began, take: &mut impl FnMut(&Visit, &Paths)) {
        if self.names.row(row.function_id as u32).is_some_and(|row| !self.wanted[row as usize]) {
            return;
        }
        self.drop_deeper(thread, row.depth as u32 + 1);
        let Some(top) = self.open[thread].last_mut().filter(|top| {
            top.half && top.call.depth == row.depth as u32 && top.call.function == row.function_id as u32
        }) else {
            self.damage.unended += 1;
            return;
        };
        let start_ns = u64::try_from(row.time_ns).unwrap_or(0).min(top.call.end_ns);
        top.call.start_ns = start_ns;
        top.call.total.wall_ns = top.call.end_ns - start_ns;
        top.call.began = began;
        top.half = false;
        self.close(thread, take);
    }

    fn thread(&mut self, pid: u32, tid: u32) -> usize {
        let thread = self.threads.number(pid, tid) as usize;
        if thread >= self.open.len() {
            self.open.resize_with(thread + 1, Vec::new);
        }
        thread
    }

    fn top(&self, thread: usize) -> Option<&Open> {
        self.open[thread].last()
    }

    fn outside(&self, start_ns: u64, end_ns: u64) -> bool {
        end_ns < self.range.start || start_ns > self.range.end
    }

    /// Opens a call, on top of those that are open.
    fn open(&mut self, thread: usize, call: FinishedCall, half: bool, process: impl Fn(u32) -> usize) {
        let row = self.names.row(call.function).unwrap_or_else(|| {
            self.wanted.push(self.scope.wants(None));
            self.names.add_unnamed(call.function, process(call.pid), call.pid)
        });
        if !self.wanted[row as usize] {
            // It hit probes all the same, in the time of the call that it lies in.
            if let Some(caller) = self.open[thread].last_mut() {
                caller.calls_inside += 1;
            }
            return;
        }
        let root = self.paths.thread(thread as u32);
        let (from, task) = self.open[thread].last().map_or((root, 0), |top| (top.path, top.task));
        let task = if task == 0 && self.names.get(row).is_coroutine() { call.instance } else { task };
        let path = self.paths.call(root, from, row);
        self.open[thread].push(Open {
            call,
            half,
            row,
            path,
            task,
            children: Cost::default(),
            calls_made: 0,
            calls_inside: 0,
        });
    }

    /// Hands the top call on: all that it called has been.
    fn close(&mut self, thread: usize, take: &mut impl FnMut(&Visit, &Paths)) {
        let Some(open) = self.open[thread].pop() else { return };
        let Open { mut call, row, path, task, children, calls_made, calls_inside, .. } = open;
        if self.outside(call.start_ns, call.end_ns) {
            return;
        }
        if call.start_ns < self.range.start || call.end_ns > self.range.end {
            cut(&mut call, &self.range, children);
            self.cut += 1;
        }
        call.own = call.total - children;
        call.calls_made = calls_made;
        call.depth = self.open[thread].len() as u32;
        if let Some(caller) = self.open[thread].last_mut() {
            caller.children += call.total;
            let began_in_window = u64::from(call.began.in_window());
            caller.calls_made += began_in_window;
            caller.calls_inside += calls_inside + began_in_window;
        }
        take(&Visit { call, row, path, thread: thread as u32, task, calls_inside }, &self.paths);
    }

    /// Of an events log: beginnings at this depth, or further in, will not come any more.
    fn drop_deeper(&mut self, thread: usize, depth: u32) {
        while self.top(thread).is_some_and(|top| top.call.depth >= depth) {
            self.drop_top(thread);
        }
    }

    fn drop_top(&mut self, thread: usize) {
        if let Some(open) = self.open[thread].pop() {
            self.damage.unbegun += 1;
            if let Some(caller) = self.open[thread].last_mut() {
                caller.children += open.children;
                caller.calls_made += open.calls_made;
                caller.calls_inside += open.calls_inside;
            }
        }
    }
}

/// Cuts a call to a time range. Only its wall time can be divided; of the rest it has what lies in whole calls.
fn cut(call: &mut FinishedCall, range: &Range<u64>, children: Cost) {
    if call.start_ns < range.start {
        (call.start_ns, call.began) = (range.start, Began::OpenAtAttach);
    }
    if call.end_ns > range.end {
        (call.end_ns, call.ended) = (range.end, Ended::OpenAtDetach);
    }
    call.total = Cost { wall_ns: call.end_ns - call.start_ns, ..children };
}
