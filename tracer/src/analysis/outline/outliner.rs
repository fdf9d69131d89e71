//! Makes call trees of a recording's sums.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;

use super::{Frame, Node, Outline, Shape, Weight};
use crate::analysis::names::Names;
use crate::analysis::paths::{PathId, Step};
use crate::analysis::place::{OwnFolder, is_library, module, package};
use crate::analysis::tree::{CallTree, PathSums};
use crate::functions::Row;

/// Makes call trees of a recording's sums.
pub struct Outliner<'a> {
    tree: &'a CallTree,
    names: &'a Names,
    shape: Shape,
    /// By row, the one that stands for it.
    rows: Vec<Row>,
    /// By row, its package, if it is of a library.
    libraries: Vec<Option<u32>>,
    packages: Vec<String>,
}

impl<'a> Outliner<'a> {
    /// Of these sums.
    pub fn new(tree: &'a CallTree, names: &'a Names, shape: Shape) -> Self {
        let rows = if shape.merge { names.merged() } else { (0..names.len() as Row).collect() };
        let own = OwnFolder::default();
        let mut numbers: FxHashMap<String, u32> = FxHashMap::default();
        let mut packages = Vec::new();
        let libraries = names
            .iter()
            .map(|named| {
                let file = &named.function.as_ref().filter(|function| is_library(&function.file))?.file;
                let module = module(file, &own);
                let next = packages.len() as u32;
                Some(*numbers.entry(package(&module).to_owned()).or_insert_with_key(|package| {
                    packages.push(package.clone());
                    next
                }))
            })
            .collect();
        Self { tree, names, shape, rows, libraries, packages }
    }

    /// The name of a package.
    pub fn package(&self, number: u32) -> &str {
        &self.packages[number as usize]
    }

    /// From the outermost functions inward: a tree for each process, the largest first. `ended_larger` has, by path, how
    /// many calls ended with more memory than they began with.
    pub fn inward(&self, measure: impl Fn(&PathSums) -> u64, ended_larger: &[u32]) -> Vec<Outline> {
        let mut outlines = Outlines::default();
        let paths = &self.tree.paths;
        let mut nodes: Vec<(usize, u32)> = vec![(0, 0); paths.len()];
        for (path, row, sums) in self.tree.calls() {
            let parent = paths.parent(path);
            let (at, node) = match paths.step(parent) {
                Step::Function(_) => {
                    let (at, node) = nodes[parent as usize];
                    (at, self.step(&mut outlines.all[at], Some(node), row))
                }
                Step::Thread(thread) => {
                    let process = (!self.shape.merge).then(|| self.names.get(row).process);
                    let at = outlines.of(process);
                    let outline = &mut outlines.all[at];
                    let thread = self.shape.by_thread.then(|| outline.child(None, Frame::Thread(thread)));
                    (at, self.step(outline, thread, row))
                }
            };
            nodes[path as usize] = (at, node);
            let own = Weight::of(sums, &measure);
            let node = outlines.all[at].at(node);
            node.own += own;
            node.calls += sums.sums.calls;
            node.ended_larger += u64::from(ended_larger.get(path as usize).copied().unwrap_or(0));
            self.weigh(node, row, own.amount);
        }
        outlines.all.iter_mut().for_each(Outline::add_up);
        outlines.sorted()
    }

    /// From functions outward to what called them: of each process the `most` functions (0: all) that weigh most
    /// themselves, with the weight of the calls that came that way.
    pub fn outward(&self, measure: impl Fn(&PathSums) -> u64, most: usize) -> Vec<Outline> {
        let mut outlines = Outlines::default();
        let mut by_function: FxHashMap<(usize, Row), (u64, Vec<PathId>)> = FxHashMap::default();
        for (path, row, sums) in self.tree.calls() {
            let weight = Weight::of(sums, &measure);
            if weight.amount > 0 {
                let process = (!self.shape.merge).then(|| self.names.get(row).process);
                let at = outlines.of(process);
                outlines.all[at].whole += weight;
                let function = by_function.entry((at, self.rows[row as usize])).or_default();
                function.0 += weight.amount;
                function.1.push(path);
            }
        }
        let mut functions: Vec<_> = by_function.into_iter().collect();
        functions.sort_unstable_by_key(|((at, row), (weight, _))| (*at, Reverse(*weight), *row));
        let mut shown = vec![0; outlines.all.len()];
        for ((at, _), (_, paths)) in functions {
            shown[at] += 1;
            if most > 0 && shown[at] > most {
                outlines.all[at].left_out += 1;
                continue;
            }
            for path in paths {
                self.add_callers(&mut outlines.all[at], path, Weight::of(self.tree.get(path), &measure));
            }
        }
        outlines.sorted()
    }

    fn add_callers(&self, outline: &mut Outline, path: PathId, weight: Weight) {
        let paths = &self.tree.paths;
        let mut last = None;
        for step in paths.outward(path).map(|path| paths.step(path)) {
            let node = match step {
                Step::Thread(_) if !self.shape.by_thread => break,
                Step::Thread(thread) => outline.child(last, Frame::Thread(thread)),
                Step::Function(row) if last.is_none() => {
                    outline.child(None, Frame::Function(self.rows[row as usize]))
                }
                Step::Function(row) => self.step(outline, last, row),
            };
            if last != Some(node) {
                outline.at(node).total += weight;
                last = Some(node);
            }
            if let Step::Function(row) = step {
                self.weigh(outline.at(node), row, weight.amount);
            }
        }
    }

    /// The node that a function called from another node is at.
    fn step(&self, outline: &mut Outline, from: Option<u32>, row: Row) -> u32 {
        let function = Frame::Function(self.rows[row as usize]);
        let frame = match self.libraries[row as usize] {
            Some(_) if !self.shape.all_frames => Frame::Library,
            _ => function,
        };
        if let Some(from) = from
            && !self.shape.all_frames
            && outline.at(from).frame == frame
        {
            outline.at(from).recursive |= frame == function;
            return from;
        }
        outline.child(from, frame)
    }

    /// Notes which package a library frame is of.
    fn weigh(&self, node: &mut Node, row: Row, amount: u64) {
        let (Frame::Library, Some(package)) = (node.frame, self.libraries[row as usize]) else { return };
        let row = self.rows[row as usize];
        if node.packages.is_empty() {
            node.only = Some(row);
        } else if node.only != Some(row) {
            node.only = None;
        }
        match node.packages.iter_mut().find(|(known, _)| *known == package) {
            Some((_, sum)) => *sum = sum.saturating_add(amount),
            None => node.packages.push((package, amount)),
        }
    }
}

/// A tree for each process.
#[derive(Default)]
struct Outlines {
    all: Vec<Outline>,
    known: FxHashMap<Option<usize>, usize>,
}

impl Outlines {
    /// Where the tree of a process is.
    fn of(&mut self, process: Option<usize>) -> usize {
        *self.known.entry(process).or_insert_with(|| {
            self.all.push(Outline { process, ..Outline::default() });
            self.all.len() - 1
        })
    }

    fn sorted(mut self) -> Vec<Outline> {
        self.all.sort_by_key(|outline| (Reverse(outline.whole.amount), outline.process));
        self.all
    }
}
