//! From a log of samples to sums by call path.

use rustc_hash::FxHashMap;

use super::names::Names;
use super::paths::PathId;
use super::rebuild::number_of;
use super::samples::TimeSample;
use super::scope::Scope;
use super::tree::CallTree;
use super::walk::Threads;
use crate::event::{FunctionId, Origin};
use crate::functions::Row;
use crate::log::rows::{amount, origin};
use crate::log::schema::{PathRow, SampleRow};
use crate::pipeline::amounts;
use crate::report::ProcessReport;

/// What a log's samples are brought together with.
pub(super) struct Reading<'a> {
    names: &'a mut Names,
    threads: &'a mut Threads,
    scope: &'a Scope,
    processes: &'a [ProcessReport],
    /// The call paths of the log by number: the path that each goes on from, and the function.
    known: FxHashMap<u32, (u32, FunctionId)>,
    /// Where they are in the tree, by thread and number.
    placed: FxHashMap<(u32, u32), PathId>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        names: &'a mut Names,
        threads: &'a mut Threads,
        scope: &'a Scope,
        processes: &'a [ProcessReport],
    ) -> Self {
        let (known, placed) = (FxHashMap::default(), FxHashMap::default());
        Self { names, threads, scope, processes, known, placed }
    }

    /// A path of the log.
    pub(super) fn path(&mut self, row: &PathRow) {
        let (path, caller) = (row.path_id as u32, row.from_path as u32);
        // A path goes on from one that was there before: so there is no circle, whatever the file says.
        if caller < path {
            self.known.insert(path, (caller, row.function_id as u32));
        }
    }

    /// Adds a row to a tree. What it says of time is handed on.
    ///
    /// # Errors
    /// If it holds a code that is not known.
    pub(super) fn add(
        &mut self,
        row: &SampleRow,
        tree: &mut CallTree,
        mut also: impl FnMut(&TimeSample),
    ) -> Result<(), UnknownCode> {
        let origin = origin(row.kind).ok_or(UnknownCode)?;
        let (pid, tid) = (row.pid as u32, row.tid as u32);
        let thread = self.threads.number(pid, tid);
        let place = self.place(row.path_id as u32, pid, thread, tree);
        if origin == Origin::Memory {
            // What moves outside all functions is in the sums of the process.
            if tree.paths.row(place).is_some() {
                tree.add_rss(place, row.rss_delta);
            }
            return Ok(());
        }
        let path = if tree.paths.row(place).is_some() {
            place
        } else {
            let no_frame = self.names.no_frame(number_of(self.processes, pid), pid);
            tree.path(thread, None, no_frame)
        };
        let weight_ns = amount(row.weight_ns);
        let (cost, samples) = amounts(origin, amount(row.samples), weight_ns);
        tree.add_samples(path, cost, samples);
        let waited_ns = if origin == Origin::OffCpu { weight_ns } else { 0 };
        let time_ns = amount(row.time_ns).saturating_sub(waited_ns);
        also(&TimeSample { time_ns, weight_ns, thread, path, origin });
        Ok(())
    }

    /// Where a path of the log is in the tree, without functions that are not asked for.
    fn place(&mut self, path: u32, pid: u32, thread: u32, tree: &mut CallTree) -> PathId {
        let mut functions = Vec::new();
        let mut at = path;
        let from = loop {
            if let Some(&placed) = self.placed.get(&(thread, at)) {
                break Some(placed);
            }
            let Some(&(caller, function)) = self.known.get(&at) else { break None };
            functions.push((at, function));
            at = caller;
        };
        let mut place = from.unwrap_or_else(|| tree.paths.thread(thread));
        for (number, function) in functions.into_iter().rev() {
            let row = self.row_of(function, pid);
            if self.scope.wants(self.names.get(row).function.as_ref()) {
                place = tree.path(thread, Some(place), row);
            }
            self.placed.insert((thread, number), place);
        }
        place
    }

    fn row_of(&mut self, function: FunctionId, pid: u32) -> Row {
        let known = self.names.row(function);
        known.unwrap_or_else(|| self.names.add_unnamed(function, number_of(self.processes, pid), pid))
    }
}

/// A code that this version does not know.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnknownCode;
