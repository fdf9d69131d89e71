//! The differential flame graph: as wide as what is after, red where there is more than before, blue where there is
//! less.

use std::io::{self, Write};

use inferno::flamegraph::from_lines;
use rustc_hash::FxHashMap;

use crate::analysis::Source;
use crate::analysis::measure::Measure;
use crate::analysis::source::Summary;
use crate::event::Function;
use crate::export::{SMALLEST, drawing, uncharged};
use crate::report::{FunctionReport, UNNAMED};
use crate::text::shown;
use crate::units::count;

/// The stack that all others go on from.
const ROOT: usize = 0;

/// Which of the two recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first.
    Before,
    /// The second.
    After,
}

/// The stacks of both recordings, and what they weigh. Processes, threads and lines are not part of a stack: they are
/// others in another recording of the same program.
#[derive(Clone, Debug)]
pub struct Stacks {
    measure: Measure,
    is_sampled: bool,
    /// Callers come before what they call.
    nodes: Vec<Node>,
    known: FxHashMap<(usize, u32), usize>,
    frames: Vec<String>,
    known_frames: FxHashMap<String, u32>,
}

#[derive(Clone, Debug)]
struct Node {
    parent: usize,
    frame: u32,
    /// Before and after, without what goes on from here.
    own: [u64; 2],
}

impl Stacks {
    /// None yet.
    pub fn new(measure: Measure) -> Self {
        let root = Node { parent: ROOT, frame: u32::MAX, own: [0; 2] };
        Self {
            measure,
            is_sampled: false,
            nodes: vec![root],
            known: FxHashMap::default(),
            frames: Vec::new(),
            known_frames: FxHashMap::default(),
        }
    }

    /// Takes in a recording. Memory that no function is charged with has stacks of its own.
    pub fn add(&mut self, side: Side, source: &Source, Summary { report, tree }: &Summary) {
        self.is_sampled |= source.is_sampled();
        let names = source.names().iter();
        let frames: Vec<u32> = names.map(|named| self.frame(frame(named.function.as_ref()))).collect();
        let mut places = vec![ROOT; tree.paths.len()];
        for path in tree.paths.iter() {
            let parent = places[tree.paths.parent(path) as usize];
            let place = tree.paths.row(path).map(|row| self.child(parent, frames[row as usize]));
            places[path as usize] = place.unwrap_or(parent);
            self.weigh(places[path as usize], side, self.measure.of(tree.get(path)));
        }
        for (_, name, sums) in uncharged(report) {
            let frame = self.frame(name.to_owned());
            let place = self.child(ROOT, frame);
            self.weigh(place, side, self.measure.of(&sums));
        }
    }

    /// Multiplies what was before.
    pub fn scale_before(&mut self, factor: f64) {
        for node in &mut self.nodes {
            node.own[0] = (node.own[0] as f64 * factor).round() as u64;
        }
    }

    /// What all of them weigh, before and after.
    pub fn totals(&self) -> [u64; 2] {
        self.with_callees()[ROOT]
    }

    /// A line for each stack, in their order: what it weighs before, and after. What weighs less than `least` on both
    /// sides, with all that goes on from it, is part of its caller.
    pub fn lines(&self, least: u64) -> Vec<String> {
        let all = self.with_callees();
        let mut own: Vec<[u64; 2]> = self.nodes.iter().map(|node| node.own).collect();
        let mut is_drawn = vec![true; all.len()];
        for (at, node) in self.nodes.iter().enumerate().skip(1) {
            let is_large = node.parent == ROOT || all[at].iter().any(|&weight| weight >= least);
            is_drawn[at] = is_drawn[node.parent] && is_large;
            if is_drawn[node.parent] && !is_large {
                add(&mut own[node.parent], all[at]);
            }
        }
        let drawn = (1..all.len()).filter(|&at| is_drawn[at] && own[at] != [0; 2]);
        let mut stacks: Vec<_> = drawn.map(|at| (self.stack(at), own[at])).collect();
        stacks.sort_unstable();
        stacks.into_iter().map(|(stack, [before, after])| format!("{stack} {before} {after}")).collect()
    }

    /// Writes the drawing, an SVG. Events lost before and after are shown in it, the notes are a comment.
    ///
    /// # Errors
    /// If it can't be written, or nothing is after.
    pub fn write(&self, lost: [u64; 2], notes: &[String], out: &mut dyn Write) -> io::Result<()> {
        let [_, after] = self.totals();
        if after == 0 {
            return Err(io::Error::other("nothing to draw: no call of the second recording has any of that"));
        }
        let mut options = drawing("What changed", notes, self.measure);
        options.subtitle = Some(subtitle(lost, self.is_sampled));
        // They are sorted by stack; sorted as whole lines, a name with blanks and digits could come between.
        options.no_sort = true;
        let lines = self.lines(after / SMALLEST);
        from_lines(&mut options, lines.iter().map(String::as_str), out)
    }

    fn frame(&mut self, frame: String) -> u32 {
        let next = self.frames.len() as u32;
        *self.known_frames.entry(frame).or_insert_with_key(|frame| {
            self.frames.push(frame.clone());
            next
        })
    }

    fn child(&mut self, parent: usize, frame: u32) -> usize {
        let next = self.nodes.len();
        let at = *self.known.entry((parent, frame)).or_insert(next);
        if at == next {
            self.nodes.push(Node { parent, frame, own: [0; 2] });
        }
        at
    }

    fn weigh(&mut self, at: usize, side: Side, weight: u64) {
        let own = &mut self.nodes[at].own[side as usize];
        *own = own.saturating_add(weight);
    }

    /// What each stack weighs, with all that goes on from it.
    fn with_callees(&self) -> Vec<[u64; 2]> {
        let mut all: Vec<[u64; 2]> = self.nodes.iter().map(|node| node.own).collect();
        for at in (1..all.len()).rev() {
            let weights = all[at];
            add(&mut all[self.nodes[at].parent], weights);
        }
        all
    }

    fn stack(&self, at: usize) -> String {
        let outward = std::iter::successors(Some(at), |&at| Some(self.nodes[at].parent));
        let mut frames: Vec<&str> = outward
            .take_while(|&at| at != ROOT)
            .map(|at| self.frames[self.nodes[at].frame as usize].as_str())
            .collect();
        frames.reverse();
        frames.join(";")
    }
}

fn add(to: &mut [u64; 2], weights: [u64; 2]) {
    for (to, weight) in to.iter_mut().zip(weights) {
        *to = to.saturating_add(weight);
    }
}

/// A semicolon would begin another frame, blanks at the beginning of a line are not read, and `# ` begins a comment.
fn frame(function: Option<&Function>) -> String {
    let Some(Function { name, file, line }) = function else { return UNNAMED.to_owned() };
    if !FunctionReport::is_of_a_function(name, file, *line) {
        return name.clone();
    }
    let label = format!("{name} ({file})");
    shown(&label).trim_start().replace(';', ":").replace("# ", "#")
}

fn subtitle([before, after]: [u64; 2], is_sampled: bool) -> String {
    let how = if is_sampled { "of samples; " } else { "" };
    let lost = format!("events lost: {} before, {} after", count(before), count(after));
    format!("{how}as wide as after; red: more than before, blue: less, gone: not drawn; {lost}")
}
