//! Sums of groups of calls: by file, module, thread or process. What a group took with all that it called counts
//! calls inside of calls of the same group once.

use std::hash::Hash;

use rustc_hash::{FxHashMap, FxHashSet};

use super::names::Names;
use super::paths::{PathId, Step, Way};
use super::place::{OwnFolder, module};
use super::tree::CallTree;
use crate::charge::Cost;
use crate::event::Function;
use crate::functions::Row;
use crate::report::UNNAMED;
use crate::summary::FunctionSums;

/// Of a path whose function is in no group.
const NO_GROUP: usize = usize::MAX;

/// What calls are grouped by, besides their process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// File.
    File,
    /// Module, as far as the file's name tells.
    Module,
    /// Thread.
    Thread,
    /// Nothing else.
    Process,
}

/// What the calls of a group have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GroupKey {
    /// Number of the process; `None`: of all processes.
    pub process: Option<usize>,
    /// Process id; 0: of all processes.
    pub pid: u32,
    /// Thread, by number, if grouped by that.
    pub thread: Option<u32>,
    /// File or module, if grouped by that; escape where shown.
    pub name: String,
}

/// A group of calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// What they have in common.
    pub key: GroupKey,
    /// Functions that were called.
    pub functions: u64,
    /// What the calls came to.
    pub sums: FunctionSums,
}

/// Groups the calls of a recording. Threads are process and thread ids by number; `merge`: processes are one.
pub fn groups(
    tree: &CallTree,
    names: &Names,
    threads: &[(u32, u32)],
    by: GroupBy,
    merge: bool,
) -> Vec<Group> {
    let own = OwnFolder::of(names.iter().filter_map(|named| named.function.as_ref()));
    let name_of = |function: Option<&Function>| match (by, function) {
        (GroupBy::File, Some(function)) => function.file.clone(),
        (GroupBy::Module, Some(function)) => module(&function.file, &own),
        (GroupBy::File | GroupBy::Module, None) => UNNAMED.to_owned(),
        (GroupBy::Thread | GroupBy::Process, _) => String::new(),
    };
    let merge = merge && by != GroupBy::Process;
    let mut keys = Index::default();
    // The part of the key that the function says; what the thread adds is added for each path.
    let of_rows: Vec<GroupKey> = names
        .iter()
        .map(|named| {
            let (process, pid) = if merge { (None, 0) } else { (Some(named.process), named.pid) };
            GroupKey { process, pid, thread: None, name: name_of(named.function.as_ref()) }
        })
        .collect();
    let mut of_pairs: FxHashMap<(Row, u32), usize> = FxHashMap::default();
    let mut group_of = |row: Row, thread: u32| {
        let thread = if by == GroupBy::Thread { thread } else { u32::MAX };
        *of_pairs.entry((row, thread)).or_insert_with(|| {
            let mut key = of_rows[row as usize].clone();
            if let Some(&(pid, _)) = threads.get(thread as usize) {
                (key.pid, key.thread) = (pid, Some(thread));
            }
            keys.number(key)
        })
    };
    let mut thread = 0;
    let mut of_paths = vec![NO_GROUP; tree.paths.len()];
    tree.paths.depth_first(|path, way| match (way, tree.paths.step(path)) {
        (Way::In, Step::Thread(number)) => thread = number,
        // What stands for no function is in no group: the report has a row for it.
        (Way::In, Step::Function(row)) if names.get(row).is_function() => {
            of_paths[path as usize] = group_of(row, thread);
        }
        (Way::In, Step::Function(_)) | (Way::Out, _) => {}
    });
    let keys = keys.items;
    let mut groups: Vec<Group> = keys.into_iter().map(|key| Group { key, ..Group::default() }).collect();
    add_up(tree, &of_paths, &mut groups);
    groups
}

fn add_up(tree: &CallTree, of_paths: &[usize], groups: &mut [Group]) {
    let mut open = vec![0_usize; groups.len()];
    let mut functions: FxHashSet<(usize, Row)> = FxHashSet::default();
    tree.paths.depth_first(|path: PathId, way| {
        let (Some(row), at) = (tree.paths.row(path), of_paths[path as usize]) else { return };
        if at == NO_GROUP {
            return;
        }
        if way == Way::Out {
            open[at] -= 1;
            return;
        }
        let node = tree.get(path);
        let sums = &mut groups[at].sums;
        sums.merge(&FunctionSums { cumulative: Cost::default(), ..node.sums });
        if open[at] == 0 {
            sums.cumulative += node.total;
        }
        open[at] += 1;
        groups[at].functions += u64::from(functions.insert((at, row)));
    });
}

/// Numbers for things, from 0 on.
struct Index<T> {
    numbers: FxHashMap<T, usize>,
    items: Vec<T>,
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self { numbers: FxHashMap::default(), items: Vec::new() }
    }
}

impl<T: Clone + Eq + Hash> Index<T> {
    fn number(&mut self, item: T) -> usize {
        let next = self.items.len();
        let number = *self.numbers.entry(item.clone()).or_insert(next);
        if number == next {
            self.items.push(item);
        }
        number
    }
}
