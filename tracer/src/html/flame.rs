//! The call tree as the page draws it: threads of a process together, and only as many paths as a browser draws well.

use std::collections::{BTreeSet, BinaryHeap};

use rustc_hash::FxHashMap;
use serde::{Serialize, Serializer};

use super::functions::{Names, Number};
use crate::analysis::Source;
use crate::analysis::paths::Step;
use crate::analysis::source::Summary;
use crate::analysis::tree::PathSums;
use crate::export::uncharged;

/// Paths that are drawn; the largest by any measure.
const MOST: usize = 8000;

/// Place of the root.
const ROOT: usize = 0;

/// Wall time, CPU time, memory added, memory given back: all that goes on from the path.
type Weights = [u64; 4];

/// The tree.
#[derive(Serialize)]
pub(super) struct FlameGraph {
    /// Those that are drawn, callers before what they call, the large before the small. The first is the root.
    paths: Vec<Drawn>,
    /// Process ids; the first level, if there are several.
    processes: Vec<u32>,
    /// Paths that are part of a [`What::Rest`].
    left_out: usize,
}

/// A path that is drawn.
struct Drawn {
    /// Its number in [`FlameGraph::paths`].
    parent: usize,
    what: What,
    calls: u64,
    weights: Weights,
}

/// What a path goes on with.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    Function(Number),
    /// By its place in [`FlameGraph::processes`].
    Process(usize),
    /// All smaller paths together.
    Rest,
}

impl Serialize for Drawn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let what = match self.what {
            What::Function(number) => i64::from(number),
            What::Rest => -1,
            What::Process(place) => -2 - place as i64,
        };
        (self.parent, what, self.calls, self.weights).serialize(serializer)
    }
}

impl FlameGraph {
    /// That of a recording. Memory that no function is charged with belongs to its process.
    pub(super) fn new(source: &Source, Summary { report, tree }: &Summary, names: &mut Names) -> Self {
        let mut merged = Merged::new(report.processes.iter().map(|process| process.pid));
        // By path of the log. Callers come first.
        let mut places = vec![0; tree.paths.len()];
        for path in tree.paths.iter() {
            let parent = places[tree.paths.parent(path) as usize];
            places[path as usize] = match tree.paths.step(path) {
                Step::Thread(thread) => merged.process(source.threads()[thread as usize].0),
                Step::Function(row) => merged.child(parent, What::Function(names.of_row(source, row))),
            };
            merged.add(places[path as usize], tree.get(path));
        }
        for (pid, name, sums) in uncharged(report) {
            let process = merged.process(pid);
            let path = merged.child(process, What::Function(names.number(name, "", 0)));
            merged.add(path, &sums);
        }
        merged.add_up();
        let processes = std::mem::take(&mut merged.processes);
        let (paths, left_out) = merged.largest(MOST);
        Self { paths, processes, left_out }
    }
}

/// The tree with the same paths of all threads as one.
struct Merged {
    paths: Vec<Drawn>,
    known: FxHashMap<(usize, What), usize>,
    processes: Vec<u32>,
}

impl Merged {
    fn new(pids: impl Iterator<Item = u32>) -> Self {
        let root = Drawn { parent: ROOT, what: What::Rest, calls: 0, weights: Weights::default() };
        let processes = pids.collect::<BTreeSet<_>>().into_iter().collect();
        Self { paths: vec![root], known: FxHashMap::default(), processes }
    }

    /// The path of a process: if there is one only, the root.
    fn process(&mut self, pid: u32) -> usize {
        match self.processes.binary_search(&pid) {
            Ok(place) if self.processes.len() > 1 => self.child(ROOT, What::Process(place)),
            _ => ROOT,
        }
    }

    fn child(&mut self, parent: usize, what: What) -> usize {
        let next = self.paths.len();
        let at = *self.known.entry((parent, what)).or_insert(next);
        if at == next {
            self.paths.push(Drawn { parent, what, calls: 0, weights: Weights::default() });
        }
        at
    }

    fn add(&mut self, at: usize, path: &PathSums) {
        let own = path.sums.own;
        let Drawn { calls, weights, .. } = &mut self.paths[at];
        *calls += path.sums.calls;
        add(weights, &[own.wall_ns, own.cpu_ns(), path.grew_bytes, path.shrank_bytes]);
    }

    fn add_up(&mut self) {
        for at in (1..self.paths.len()).rev() {
            let Drawn { parent, weights, .. } = self.paths[at];
            add(&mut self.paths[parent].weights, &weights);
        }
    }

    /// The largest paths; what others there are is summed up at the path that they go on from. And their number.
    fn largest(mut self, most: usize) -> (Vec<Drawn>, usize) {
        let mut children = vec![Vec::new(); self.paths.len()];
        for (at, path) in self.paths.iter().enumerate().skip(1) {
            children[path.parent].push(at);
        }
        let whole = self.paths[0].weights;
        // A path is as large as its largest share of anything; none is larger than the one it goes on from.
        let share = |weights: &Weights| {
            let shares = weights.iter().zip(whole).map(|(&part, whole)| {
                (u128::from(part) * u128::from(u64::MAX) / u128::from(whole.max(1))) as u64
            });
            shares.max().unwrap_or(0)
        };
        let mut next = BinaryHeap::from([(u64::MAX, 0)]);
        let mut drawn: Vec<Drawn> = Vec::new();
        while drawn.len() < most
            && let Some((_, at)) = next.pop()
        {
            let place = drawn.len();
            for &child in &children[at] {
                self.paths[child].parent = place;
                next.push((share(&self.paths[child].weights), child));
            }
            let Drawn { parent, what, calls, weights } = self.paths[at];
            drawn.push(Drawn { parent, what, calls, weights });
        }
        let mut rests: FxHashMap<usize, Drawn> = FxHashMap::default();
        for (_, at) in &next {
            let Drawn { parent, calls, weights, .. } = &self.paths[*at];
            let empty = Drawn { parent: *parent, what: What::Rest, calls: 0, weights: Weights::default() };
            let rest = rests.entry(*parent).or_insert(empty);
            rest.calls += calls;
            add(&mut rest.weights, weights);
        }
        let left_out = self.paths.len() - drawn.len();
        drawn.extend(rests.into_values());
        (drawn, left_out)
    }
}

fn add(to: &mut Weights, weights: &Weights) {
    for (to, weight) in to.iter_mut().zip(weights) {
        *to = to.saturating_add(*weight);
    }
}
