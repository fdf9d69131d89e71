//! Call trees as people want to see them: one for each process or for all, threads together or apart, runs of library
//! frames as one node, direct recursion as one node.

mod outliner;

use std::ops::AddAssign;

use rustc_hash::FxHashMap;

use super::tree::PathSums;
use crate::functions::Row;
pub use outliner::Outliner;

/// What call trees are to look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// All processes are one.
    pub merge: bool,
    /// The first level are threads.
    pub by_thread: bool,
    /// Library frames, and direct recursion, one by one.
    pub all_frames: bool,
}

/// What stands at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Frame {
    /// A thread, by number.
    Thread(u32),
    /// A function.
    Function(Row),
    /// Functions of libraries that call each other.
    Library,
}

/// Amounts of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Of what is asked for.
    pub amount: u64,
    /// Resident memory added, bytes.
    pub grew_bytes: u64,
    /// Resident memory given back, bytes.
    pub shrank_bytes: u64,
}

/// A node of a call tree.
#[derive(Clone, Debug)]
pub struct Node {
    /// What stands there.
    pub frame: Frame,
    /// The number of the node that it is below, smaller than its own.
    pub parent: Option<u32>,
    /// Without its children. Of callers: 0, as their children are part of what they called.
    pub own: Weight,
    /// With them.
    pub total: Weight,
    /// Calls of it.
    pub calls: u64,
    /// How many calls of it, resumptions included, ended with more resident memory than they began with.
    pub ended_larger: u64,
    /// It calls itself.
    pub recursive: bool,
    /// Of library frames: their packages, by what they weigh themselves; the only function, if it is one.
    pub packages: Vec<(u32, u64)>,
    only: Option<Row>,
}

/// A call tree, of one process or of all.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// Number of the process.
    pub process: Option<usize>,
    /// What all calls weigh together.
    pub whole: Weight,
    /// Nodes, each after the one that it is below.
    pub nodes: Vec<Node>,
    /// How many more functions there are, in a tree of callers.
    pub left_out: usize,
    known: FxHashMap<(Option<u32>, Frame), u32>,
}

impl AddAssign for Weight {
    fn add_assign(&mut self, other: Self) {
        self.amount = self.amount.saturating_add(other.amount);
        self.grew_bytes = self.grew_bytes.saturating_add(other.grew_bytes);
        self.shrank_bytes = self.shrank_bytes.saturating_add(other.shrank_bytes);
    }
}

impl Weight {
    /// Of what the calls of a path did themselves.
    pub fn of(sums: &PathSums, measure: impl Fn(&PathSums) -> u64) -> Self {
        Self { amount: measure(sums), grew_bytes: sums.grew_bytes, shrank_bytes: sums.shrank_bytes }
    }

    /// What was added and not given back, bytes.
    pub fn stayed_bytes(&self) -> i64 {
        let difference = i128::from(self.grew_bytes) - i128::from(self.shrank_bytes);
        difference.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

impl Node {
    fn new(frame: Frame, parent: Option<u32>) -> Self {
        Self {
            frame,
            parent,
            own: Weight::default(),
            total: Weight::default(),
            calls: 0,
            ended_larger: 0,
            recursive: false,
            packages: Vec::new(),
            only: None,
        }
    }

    /// The function, if it is one only.
    pub fn row(&self) -> Option<Row> {
        match self.frame {
            Frame::Function(row) => Some(row),
            Frame::Library => self.only,
            Frame::Thread(_) => None,
        }
    }
}

impl Outline {
    /// The nodes below each node, and last those that are below none.
    pub fn children(&self) -> Vec<Vec<u32>> {
        let mut children = vec![Vec::new(); self.nodes.len() + 1];
        for (number, node) in (0..).zip(&self.nodes) {
            children[node.parent.map_or(self.nodes.len(), |parent| parent as usize)].push(number);
        }
        children
    }

    fn child(&mut self, parent: Option<u32>, frame: Frame) -> u32 {
        let next = self.nodes.len() as u32;
        let at = *self.known.entry((parent, frame)).or_insert(next);
        if at == next {
            self.nodes.push(Node::new(frame, parent));
        }
        at
    }

    /// The node of a number.
    fn at(&mut self, node: u32) -> &mut Node {
        &mut self.nodes[node as usize]
    }

    /// Adds what is below each node.
    fn add_up(&mut self) {
        for at in (0..self.nodes.len()).rev() {
            let own = self.nodes[at].own;
            self.nodes[at].total += own;
            let total = self.nodes[at].total;
            match self.nodes[at].parent {
                Some(parent) => self.at(parent).total += total,
                None => self.whole += total,
            }
        }
    }
}
