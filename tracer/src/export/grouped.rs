//! Functions as formats see them that tell fewer of them apart than a recording does: each has a number, in the order
//! of what it is known by.

use std::collections::BTreeMap;

use crate::analysis::names::{Named, Names};
use crate::analysis::paths::{PathId, Paths};
use crate::functions::Row;

/// The functions of a recording, by what a format knows them by.
pub(super) struct Grouped<K> {
    keys: Vec<K>,
    /// By [`Row`].
    numbers: Vec<usize>,
}

impl<K: Clone + Ord> Grouped<K> {
    /// Groups functions by `key`.
    pub(super) fn by<'a>(names: &'a Names, key: impl Fn(&'a Named) -> K) -> Self {
        let keys: Vec<K> = names.iter().map(key).collect();
        let mut known: BTreeMap<&K, usize> = keys.iter().map(|key| (key, 0)).collect();
        known.values_mut().enumerate().for_each(|(number, at)| *at = number);
        let numbers = keys.iter().map(|key| known[key]).collect();
        let keys = known.into_keys().cloned().collect();
        Self { keys, numbers }
    }

    /// What the functions are known by, in the order of their numbers.
    pub(super) fn keys(&self) -> &[K] {
        &self.keys
    }

    /// The number of a function.
    pub(super) fn number(&self, row: Row) -> usize {
        self.numbers[row as usize]
    }

    /// The functions of a path by their numbers, innermost first.
    pub(super) fn outward<'a>(&'a self, paths: &'a Paths, path: PathId) -> impl Iterator<Item = usize> + 'a {
        paths.outward(path).filter_map(|path| paths.row(path)).map(|row| self.number(row))
    }
}
