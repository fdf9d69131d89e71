//! From a log of samples to sums by call path.

use rustc_hash::FxHashMap;

use super::Source;
use super::paths::PathId;
use super::tree::CallTree;
use crate::charge::Cost;
use crate::event::{FunctionId, Origin};
use crate::log::rows::{amount, origin};
use crate::log::schema::{PathRow, SampleRow};
use crate::pipeline::amounts;
use crate::summary::FunctionSums;

/// The call paths of a log, and where they are in a tree.
#[derive(Debug, Default)]
pub(super) struct SampledPaths {
    /// By number: the path that it goes on from, and the function.
    known: FxHashMap<u32, (u32, FunctionId)>,
    /// By thread and number.
    placed: FxHashMap<(u32, u32), PathId>,
}

impl SampledPaths {
    /// A path of the log.
    pub(super) fn add(&mut self, row: &PathRow) {
        let (path, caller) = (row.path_id as u32, row.from_path as u32);
        // A path goes on from one that was there before: so there is no circle, whatever the file says.
        if caller < path {
            self.known.insert(path, (caller, row.function_id as u32));
        }
    }

    /// Adds a sample to a tree. False: it holds a code that is not known.
    pub(super) fn add_sample(&mut self, row: &SampleRow, tree: &mut CallTree, source: &mut Source) -> bool {
        let Some(origin) = origin(row.kind) else { return false };
        let (pid, tid) = (row.pid as u32, row.tid as u32);
        let thread = source.number_of_thread(pid, tid);
        let path = self.place(row.path_id as u32, pid, thread, tree, source);
        if origin == Origin::Memory {
            tree.add_rss(path, row.rss_delta);
        } else {
            let (cost, samples) = amounts(origin, amount(row.samples), amount(row.weight_ns));
            tree.add_samples(path, cost, samples);
        }
        true
    }

    /// Where a path of the log is in the tree, without functions that are not asked for.
    fn place(
        &mut self,
        path: u32,
        pid: u32,
        thread: u32,
        tree: &mut CallTree,
        source: &mut Source,
    ) -> PathId {
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
            let row = source.row_of(function, pid);
            if source.is_wanted(row) {
                place = tree.path(thread, Some(place), row);
            }
            self.placed.insert((thread, number), place);
        }
        place
    }
}

/// What was sampled of threads while they ran no Python function: by process id.
pub(super) fn without_functions(tree: &CallTree, source: &Source) -> FxHashMap<u32, FunctionSums> {
    let mut sums = FxHashMap::<u32, FunctionSums>::default();
    for (thread, of) in tree.threads() {
        if let Some(&(pid, _)) = source.threads().get(thread as usize) {
            let own = Cost { rss_bytes: 0, ..of.sums.own };
            sums.entry(pid).or_default().merge(&FunctionSums { own, ..of.sums });
        }
    }
    sums
}
