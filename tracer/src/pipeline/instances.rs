//! Generators and coroutines: which steps belong to the same one.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::charge::{Began, Ended};
use crate::functions::Row;

/// `co_flags` of code whose runs can be suspended: generator, coroutine, iterable coroutine, asynchronous generator.
pub(super) const SUSPENDS: u32 = 0x20 | 0x80 | 0x100 | 0x200;
/// Known at once; beyond that all are forgotten, and seem to be others when they go on.
const MOST: usize = 1 << 20;

/// The generators and coroutines of all processes, by the address of their frame, which they keep until they end.
#[derive(Clone, Debug, Default)]
pub(super) struct Instances {
    by_frame: FxHashMap<(usize, u64), (Row, u64)>,
    /// Which rows are of generators or coroutines.
    rows: Vec<bool>,
    /// Processes whose source tells a suspension from a return; up to CPython 3.11 some do not.
    suspending: FxHashSet<usize>,
    latest: u64,
}

impl Instances {
    /// This row is of a generator or coroutine.
    pub(super) fn may_suspend(&mut self, row: Row) {
        let row = row as usize;
        if row >= self.rows.len() {
            self.rows.resize(row + 1, false);
        }
        self.rows[row] = true;
    }

    /// The number of the one whose frame of a process begins, goes on or was found open; 0 if it is an ordinary call.
    pub(super) fn step(&mut self, (process, frame): (usize, u64), row: Row, began: Began) -> u64 {
        if !self.rows.get(row as usize).is_some_and(|&suspends| suspends) {
            return 0;
        }
        let known = self.by_frame.get(&(process, frame));
        if let Some(&(_, instance)) = known.filter(|(of, _)| began != Began::Call && *of == row) {
            return instance;
        }
        if self.by_frame.len() >= MOST {
            self.by_frame.clear();
        }
        self.latest += 1;
        self.by_frame.insert((process, frame), (row, self.latest));
        self.latest
    }

    /// A step has ended. What has returned, or was left by an exception, does not go on.
    pub(super) fn ended(&mut self, (process, frame): (usize, u64), ended: Ended) {
        match ended {
            Ended::Suspended | Ended::SuspendedUnseen => {
                self.suspending.insert(process);
            }
            Ended::Returned | Ended::Raised | Ended::RaisedUnseen if self.suspending.contains(&process) => {
                self.by_frame.remove(&(process, frame));
            }
            _ => {}
        }
    }

    /// No frame of a process is left.
    pub(super) fn forget(&mut self, process: usize) {
        self.by_frame.retain(|&(of, _), _| of != process);
        self.suspending.remove(&process);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_a_frame_are_of_one_until_it_begins_again() {
        let mut instances = Instances::default();
        instances.may_suspend(3);
        let first = instances.step((0, 0x10), 3, Began::Call);
        assert_eq!(instances.step((0, 0x10), 3, Began::Resumed), first);
        assert_ne!(instances.step((1, 0x10), 3, Began::Resumed), first, "another process");
        let second = instances.step((0, 0x10), 3, Began::Call);
        assert_ne!(second, first);
        assert_eq!(instances.step((0, 0x10), 3, Began::OpenAtAttach), second);
    }

    #[test]
    fn what_goes_on_where_one_has_ended_is_another() {
        let mut instances = Instances::default();
        instances.may_suspend(3);
        let first = instances.step((0, 0x10), 3, Began::Call);
        instances.ended((0, 0x10), Ended::Returned);
        assert_eq!(instances.step((0, 0x10), 3, Began::Resumed), first, "that may have been a yield");
        instances.ended((0, 0x10), Ended::Suspended);
        assert_eq!(instances.step((0, 0x10), 3, Began::Resumed), first);
        instances.ended((0, 0x10), Ended::Raised);
        assert_ne!(instances.step((0, 0x10), 3, Began::Resumed), first, "thrown into before it began");
    }

    #[test]
    fn ordinary_calls_have_no_number() {
        let mut instances = Instances::default();
        instances.may_suspend(3);
        assert_eq!([2, 4].map(|row| instances.step((0, 0x10), row, Began::Call)), [0, 0]);
    }

    #[test]
    fn nothing_is_left_of_a_process() {
        let mut instances = Instances::default();
        instances.may_suspend(3);
        let (gone, other) =
            (instances.step((0, 0x10), 3, Began::Call), instances.step((1, 0x10), 3, Began::Call));
        instances.forget(0);
        assert_ne!(instances.step((0, 0x10), 3, Began::Resumed), gone);
        assert_eq!(instances.step((1, 0x10), 3, Began::Resumed), other);
    }
}
