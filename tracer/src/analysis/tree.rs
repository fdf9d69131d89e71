//! Sums by call path.

use std::ops::AddAssign;

use super::Visit;
use super::paths::{PathId, Paths, ROOT};
use crate::charge::Cost;
use crate::functions::Row;
use crate::summary::FunctionSums;

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
        let thread = self.paths.thread(thread);
        let path = self.paths.call(thread, thread, row);
        let sums = self.at(path);
        sums.sums.own.rss_bytes = sums.sums.own.rss_bytes.saturating_add(bytes);
        sums.add_rss(bytes);
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
    fn add_rss(&mut self, bytes: i64) {
        let side = if bytes > 0 { &mut self.grew_bytes } else { &mut self.shrank_bytes };
        *side = side.saturating_add(bytes.unsigned_abs());
    }
}
