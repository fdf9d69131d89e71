//! Call paths: which function was called by which, from a thread's outermost one on.

use rustc_hash::FxHashMap;

use crate::functions::Row;

/// A call path. A path's number is larger than that of the path it goes on from.
pub type PathId = u32;

/// The path that all threads' paths go on from.
pub const ROOT: PathId = 0;
/// Paths told apart, which takes 250 MB with their sums; a call beyond that is taken as if its thread had called it.
const MOST: usize = 1 << 20;

/// What a path goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A thread, by its number in the log.
    Thread(u32),
    /// A function that is called.
    Function(Row),
}

/// How a walk through paths comes to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Before all that goes on from it.
    In,
    /// After that.
    Out,
}

/// The call paths of a log, as a tree whose first level are the threads.
#[derive(Clone, Debug)]
pub struct Paths {
    nodes: Vec<(PathId, Step)>,
    known: FxHashMap<(PathId, Step), PathId>,
    most: usize,
    cut: u64,
}

impl Default for Paths {
    fn default() -> Self {
        Self::with_room(MOST)
    }
}

impl Paths {
    fn with_room(most: usize) -> Self {
        Self { nodes: vec![(ROOT, Step::Thread(u32::MAX))], known: FxHashMap::default(), most, cut: 0 }
    }

    /// How many there are, with the root.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// None but the root?
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    /// How often a call was taken as if its thread had called it, because there were too many paths.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// The path of a thread.
    pub fn thread(&mut self, number: u32) -> PathId {
        self.child(ROOT, Step::Thread(number))
    }

    /// The path of a function called from another path of a thread.
    pub fn call(&mut self, thread: PathId, from: PathId, row: Row) -> PathId {
        let step = Step::Function(row);
        if self.nodes.len() < self.most || self.known.contains_key(&(from, step)) {
            return self.child(from, step);
        }
        self.cut += 1;
        self.child(thread, step)
    }

    /// The path that this one goes on from; of the root, itself.
    pub fn parent(&self, path: PathId) -> PathId {
        self.nodes[path as usize].0
    }

    /// What this path goes on with.
    pub fn step(&self, path: PathId) -> Step {
        self.nodes[path as usize].1
    }

    /// The function at the end of a path; `None` of the root and of threads.
    pub fn row(&self, path: PathId) -> Option<Row> {
        match self.step(path) {
            Step::Function(row) => Some(row),
            Step::Thread(_) => None,
        }
    }

    /// The path and those that it goes on from, innermost first, without the root.
    pub fn outward(&self, path: PathId) -> impl Iterator<Item = PathId> {
        std::iter::successors(Some(path), |&path| Some(self.parent(path))).take_while(|&path| path != ROOT)
    }

    /// The thread of a path, by its number; `None` of the root.
    pub fn thread_of(&self, path: PathId) -> Option<u32> {
        match self.step(self.outward(path).last()?) {
            Step::Thread(number) => Some(number),
            Step::Function(_) => None,
        }
    }

    /// The functions of a path, outermost first.
    pub fn stack(&self, path: PathId) -> Vec<Row> {
        let mut rows: Vec<_> = self.outward(path).filter_map(|path| self.row(path)).collect();
        rows.reverse();
        rows
    }

    /// All of them but the root, callers before what they call.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = PathId> + ExactSizeIterator + use<> {
        1..self.nodes.len() as PathId
    }

    /// Goes through all of them but the root, each between the two calls for what it goes on from.
    pub fn depth_first(&self, mut take: impl FnMut(PathId, Way)) {
        let mut next_sibling = vec![ROOT; self.len()];
        let mut first_child = vec![ROOT; self.len()];
        for path in self.iter().rev() {
            let parent = self.parent(path) as usize;
            next_sibling[path as usize] = first_child[parent];
            first_child[parent] = path;
        }
        let mut path = ROOT;
        let mut down = first_child[ROOT as usize];
        loop {
            if down != ROOT {
                take(down, Way::In);
                path = down;
                down = first_child[path as usize];
            } else if path != ROOT {
                take(path, Way::Out);
                down = next_sibling[path as usize];
                path = self.parent(path);
            } else {
                return;
            }
        }
    }

    fn child(&mut self, parent: PathId, step: Step) -> PathId {
        let next = self.nodes.len() as PathId;
        let path = *self.known.entry((parent, step)).or_insert(next);
        if path == next {
            self.nodes.push((parent, step));
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_by_its_whole_stack() {
        let mut paths = Paths::default();
        let thread = paths.thread(5);
        let outer = paths.call(thread, thread, 1);
        let inner = paths.call(thread, outer, 2);
        assert_eq!(paths.call(thread, outer, 2), inner);
        assert_ne!(paths.call(thread, thread, 2), inner);
        assert_eq!(paths.stack(inner), [1, 2]);
        assert_eq!(paths.outward(inner).collect::<Vec<_>>(), [inner, outer, thread]);
        assert_eq!((paths.thread_of(inner), paths.thread_of(ROOT)), (Some(5), None));
    }

    #[test]
    fn a_walk_comes_to_each_path_twice() {
        let mut paths = Paths::default();
        let thread = paths.thread(0);
        let outer = paths.call(thread, thread, 1);
        let other = paths.call(thread, thread, 2);
        let inner = paths.call(thread, outer, 3);
        let mut walked = Vec::new();
        paths.depth_first(|path, way| walked.push((path, way)));
        let expected =
            [(thread, Way::In), (outer, Way::In), (inner, Way::In), (inner, Way::Out), (outer, Way::Out)];
        assert_eq!(walked[..5], expected);
        assert_eq!(walked[5..], [(other, Way::In), (other, Way::Out), (thread, Way::Out)]);
        Paths::default().depth_first(|_, _| panic!("there is none"));
    }

    #[test]
    fn too_many_paths_become_those_of_their_thread() {
        let mut paths = Paths::with_room(3);
        let thread = paths.thread(0);
        let outer = paths.call(thread, thread, 1);
        let cut = paths.call(thread, outer, 2);
        assert_eq!((paths.stack(cut), paths.cut()), (vec![2], 1));
        assert_eq!(paths.call(thread, thread, 1), outer, "what is known stays");
    }
}
