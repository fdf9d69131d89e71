//! Sums by call path.

use std::ops::AddAssign;

use super::Visit;
use super::paths::{PathId, Paths, ROOT};
use super::thinned::Seeming;
use crate::charge::Cost;
use crate::functions::Row;
use crate::summary::{FunctionSums, Samples};

/// What the calls of one path came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathSums {
    /// As of a function, of the calls of this path only.
    pub sums: FunctionSums,
    /// With all that goes on from this path.
    pub total: Cost,
    /// Resident memory that its calls added, each taken for itself and without what it called, in bytes.
    pub grew_bytes: u64,
    /// What they gave back.
    pub shrank_bytes: u64,
}

/// The sums of all call paths of a log.
#[derive(Clone, Debug, Default)]
pub struct CallTree {
    /// The paths.
    pub paths: Paths,
    sums: Vec<PathSums>,
}

impl AddAssign for PathSums {
    fn add_assign(&mut self, other: Self) {
        self.sums.merge(&other.sums);
        self.total += other.total;
        self.grew_bytes = self.grew_bytes.saturating_add(other.grew_bytes);
        self.shrank_bytes = self.shrank_bytes.saturating_add(other.shrank_bytes);
    }
}

impl CallTree {
    /// Counts one call.
    pub(super) fn add(&mut self, visit: &Visit) {
        let sums = self.at(visit.path);
        sums.sums.add(&visit.call);
        sums.add_rss(visit.call.own.rss_bytes);
    }

    /// All calls have been counted: these are their paths.
    pub(super) fn set_paths(&mut self, paths: Paths) {
        self.sums.resize(paths.len(), PathSums::default());
        self.paths = paths;
    }

    /// Memory of a function that no call's row tells of.
    pub(super) fn add_rest(&mut self, (thread, row): (u32, Row), bytes: i64) {
        let path = self.path(thread, None, row);
        self.add_rss(path, bytes);
    }

    /// Sums of calls of a function that are not in the log, called `from` a path, or from outside all functions.
    pub(super) fn add_left_out(
        &mut self,
        thread: u32,
        from: Option<PathId>,
        row: Row,
        left_out: &FunctionSums,
    ) {
        let path = self.path(thread, from, row);
        let sums = self.at(path);
        sums.sums.merge(left_out);
        sums.add_rss(left_out.own.rss_bytes);
    }

    /// Corrects what the calls of these paths seem to have taken themselves, those of the first path first.
    pub(super) fn add_seeming(&mut self, paths: &[PathId], mut seeming: Seeming) {
        for &path in paths {
            self.at(path).correct(&mut seeming);
        }
    }

    /// Counts samples that were taken on a path.
    pub(super) fn add_samples(&mut self, path: PathId, cost: Cost, samples: Samples) {
        let sums = &mut self.at(path).sums;
        sums.own += cost;
        sums.samples += samples;
    }

    /// Memory that was changed on a path.
    pub(super) fn add_rss(&mut self, path: PathId, bytes: i64) {
        let sums = self.at(path);
        sums.sums.own.rss_bytes = sums.sums.own.rss_bytes.saturating_add(bytes);
        sums.add_rss(bytes);
    }

    /// Once all is added up: of samples, what a path took with all that goes on from it is the cumulative amount of its
    /// function, unless that is open further out.
    pub(super) fn set_cumulative(&mut self) {
        for path in self.paths.iter() {
            let Some(row) = self.paths.row(path) else { continue };
            let is_open = |outer| self.paths.row(outer) == Some(row);
            if !self.paths.outward(self.paths.parent(path)).any(is_open) {
                let sums = &mut self.sums[path as usize];
                sums.sums.cumulative = sums.total;
            }
        }
    }

    /// The path of a function called `from` another path, or from outside all functions.
    pub(super) fn path(&mut self, thread: u32, from: Option<PathId>, row: Row) -> PathId {
        let thread = self.paths.thread(thread);
        self.paths.call(thread, from.unwrap_or(thread), row)
    }

    /// Nothing more is added.
    pub(super) fn add_up(&mut self) {
        for path in self.paths.iter().rev() {
            let own = self.sums[path as usize].sums.own;
            self.sums[path as usize].total += own;
            let total = self.sums[path as usize].total;
            self.sums[self.paths.parent(path) as usize].total += total;
        }
    }

    /// The sums of a path.
    pub fn get(&self, path: PathId) -> &PathSums {
        &self.sums[path as usize]
    }

    /// The sums of all paths together.
    pub fn total(&self) -> Cost {
        self.get(ROOT).total
    }

    /// All paths that end in a function, callers before what they call.
    pub fn calls(&self) -> impl DoubleEndedIterator<Item = (PathId, Row, &PathSums)> {
        self.paths.iter().filter_map(|path| Some((path, self.paths.row(path)?, self.get(path))))
    }

    fn at(&mut self, path: PathId) -> &mut PathSums {
        let at = path as usize;
        if at >= self.sums.len() {
            self.sums.resize(at + 1, PathSums::default());
        }
        &mut self.sums[at]
    }
}

impl PathSums {
    /// Takes in as much of a correction as fits, and leaves the rest.
    fn correct(&mut self, seeming: &mut Seeming) {
        let FunctionSums { own, calls_made, .. } = &mut self.sums;
        for (amount, change) in [
            (&mut own.wall_ns, &mut seeming.wall_ns),
            (&mut own.off_cpu_ns, &mut seeming.off_cpu_ns),
            (&mut own.faults, &mut seeming.faults),
            (calls_made, &mut seeming.calls_made),
        ] {
            let corrected = amount.saturating_add_signed(*change);
            *change = change.saturating_sub(corrected as i64 - *amount as i64);
            *amount = corrected;
        }
        let bytes = std::mem::take(&mut seeming.rss_bytes);
        own.rss_bytes = own.rss_bytes.saturating_add(bytes);
        // What seemed to have been added was not.
        let (same, other) = if bytes < 0 {
            (&mut self.grew_bytes, &mut self.shrank_bytes)
        } else {
            (&mut self.shrank_bytes, &mut self.grew_bytes)
        };
        let taken = bytes.unsigned_abs().min(*same);
        *same -= taken;
        *other = other.saturating_add(bytes.unsigned_abs() - taken);
    }

    /// Adds a change of resident memory, on the side it belongs to.
    pub(crate) fn add_rss(&mut self, bytes: i64) {
        let side = if bytes > 0 { &mut self.grew_bytes } else { &mut self.shrank_bytes };
        *side = side.saturating_add(bytes.unsigned_abs());
    }
}
