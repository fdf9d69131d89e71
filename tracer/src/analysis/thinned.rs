//! Sums of what was left out of a log, put where they belong as far as that is known.

use rustc_hash::FxHashMap;

use super::memory::{Memory, is_thread};
use super::paths::PathId;
use super::source::Source;
use super::tree::CallTree;
use crate::functions::Row;
use crate::log::schema::ThinnedRow;
use crate::summary::FunctionSums;

/// The sums of a log, added up over all segments.
#[derive(Debug, Default)]
pub(super) struct Thinned {
    /// Of calls that were left out, by thread and function and its caller.
    left_out: FxHashMap<(u32, Row, Option<Row>), FunctionSums>,
    /// What calls in the log seem to have taken themselves, and did not, by the same.
    seeming: FxHashMap<(u32, Row, Option<Row>), Seeming>,
}

/// To be added to the amounts that calls seem to have taken themselves; below 0 for all but memory and calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seeming {
    pub(super) wall_ns: i64,
    pub(super) off_cpu_ns: i64,
    pub(super) rss_bytes: i64,
    pub(super) faults: i64,
    pub(super) calls_made: i64,
}

impl Thinned {
    /// Takes in a row, if it is of the part that is asked for.
    pub(super) fn add(&mut self, row: &ThinnedRow, memory: &mut Memory, source: &mut Source) {
        let (pid, tid) = (row.pid as u32, row.tid as u32);
        let scope = source.scope();
        if row.rss_changes > 0 && scope.has_process(pid) {
            memory.add_thinned(row, scope.has_change(pid, row.tid));
        }
        if (row.activations == 0 && row.kept == 0) || !is_thread(row.tid) || !scope.has_thread(pid, tid) {
            return;
        }
        let function = source.row_of(row.function_id as u32, pid);
        if !source.is_wanted(function) || (row.kept != 0 && !source.scope().functions.is_all()) {
            return;
        }
        let caller = (row.caller_id != 0).then(|| source.row_of(row.caller_id as u32, pid));
        let key = (source.number_of_thread(pid, tid), function, caller.filter(|&row| source.is_wanted(row)));
        if row.kept == 0 {
            self.left_out.entry(key).or_default().merge(&row.sums());
        } else {
            self.seeming.entry(key).or_default().add(row);
        }
    }

    /// Puts everything in the tree: below its caller, where there is one path only that ends in that.
    pub(super) fn put(self, tree: &mut CallTree) {
        let mut known: FxHashMap<(u32, Row), Vec<PathId>> = FxHashMap::default();
        for (path, row, _) in tree.calls() {
            if let Some(thread) = tree.paths.thread_of(path) {
                known.entry((thread, row)).or_default().push(path);
            }
        }
        let paths = |thread, row| known.get(&(thread, row)).map_or(&[][..], Vec::as_slice);
        for ((thread, row, caller), seeming) in sorted(self.seeming) {
            let mut paths = paths(thread, row).to_vec();
            // Those where it has the same caller come first.
            paths.sort_by_key(|&path| tree.paths.row(tree.paths.parent(path)) != caller);
            tree.add_seeming(&paths, seeming);
        }
        for ((thread, row, caller), sums) in sorted(self.left_out) {
            let from = caller.map(|caller| match paths(thread, caller) {
                [only] => *only,
                _ => tree.path(thread, None, caller),
            });
            tree.add_left_out(thread, from, row, &sums);
        }
    }
}

impl Seeming {
    fn add(&mut self, row: &ThinnedRow) {
        self.wall_ns = self.wall_ns.saturating_add(row.own_ns);
        self.off_cpu_ns = self.off_cpu_ns.saturating_add(row.own_off_cpu_ns);
        self.rss_bytes = self.rss_bytes.saturating_add(row.own_rss);
        self.faults = self.faults.saturating_add(row.own_faults);
        self.calls_made = self.calls_made.saturating_add(row.calls_made);
    }
}

fn sorted<K: Ord + Copy, V>(sums: FxHashMap<K, V>) -> Vec<(K, V)> {
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_unstable_by_key(|(key, _)| *key);
    sums
}
