//! Collapsed stacks: `process;thread;outer;inner 42`, a line for each call path, callers before what they call.

use std::io::{self, Write};
use std::ops::Range;

use anyhow::Result;

use super::{Export, Measure, label, uncharged};
use crate::analysis::Source;
use crate::analysis::paths::{PathId, Paths, ROOT, Step};
use crate::analysis::source::Summary;
use crate::text::shown;

/// The format.
pub(super) struct Collapsed;

impl Export for Collapsed {
    fn write(&self, source: &mut Source, measure: Measure, out: &mut dyn Write) -> Result<()> {
        let summary = source.summary(|_, _| {});
        Ok(Stacks::of(source, &summary, measure)
            .each(0, |stack, weight| writeln!(out, "{stack} {weight}"))?)
    }
}

/// The stacks of a recording and what they weigh.
pub(super) struct Stacks<'a> {
    paths: &'a Paths,
    /// By path: of itself, and with all that goes on from it.
    weights: Vec<(u64, u64)>,
    threads: Vec<String>,
    functions: Vec<String>,
    /// All paths by the one that they go on from, in the order of their frames.
    by_caller: Vec<PathId>,
    /// Memory that no path is charged with.
    uncharged: Vec<(String, u64)>,
}

impl<'a> Stacks<'a> {
    pub(super) fn of(source: &Source, Summary { report, tree }: &'a Summary, measure: Measure) -> Self {
        let paths = &tree.paths;
        let mut weights = vec![(0, 0); paths.len()];
        for path in paths.iter().rev() {
            let own = measure.of(tree.get(path));
            weights[path as usize].0 = own;
            weights[path as usize].1 += own;
            weights[paths.parent(path) as usize].1 += weights[path as usize].1;
        }
        let uncharged = uncharged(report)
            .map(|(pid, name, sums)| (format!("process {pid};{name}"), measure.of(&sums)))
            .collect();
        let mut stacks = Self {
            paths,
            weights,
            threads: source
                .threads()
                .iter()
                .map(|(pid, tid)| format!("process {pid};thread {tid}"))
                .collect(),
            functions: source.names().iter().map(|named| frame(&label(named.function.as_ref()))).collect(),
            by_caller: Vec::new(),
            uncharged,
        };
        let mut by_caller: Vec<PathId> = paths.iter().collect();
        by_caller.sort_unstable_by_key(|&path| (paths.parent(path), stacks.frame(path), path));
        stacks.by_caller = by_caller;
        stacks
    }

    /// What all of them weigh.
    pub(super) fn total(&self) -> u64 {
        self.weights[ROOT as usize].1 + self.uncharged.iter().map(|(_, weight)| weight).sum::<u64>()
    }

    /// Hands on the stacks that weigh anything. What weighs less than `least`, with all that goes on from it, is part of
    /// its caller, or of its thread.
    pub(super) fn each(
        &self,
        least: u64,
        mut take: impl FnMut(&str, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut stack = String::new();
        let mut open = vec![(self.called_by(ROOT), 0)];
        while let Some((calls, length)) = open.last_mut() {
            stack.truncate(*length);
            let Some(path) = calls.next().map(|at| self.by_caller[at]) else {
                open.pop();
                continue;
            };
            let (own, all) = self.weights[path as usize];
            if all < least && *length > 0 {
                continue;
            }
            if *length > 0 {
                stack.push(';');
            }
            stack.push_str(self.frame(path));
            let called = self.called_by(path);
            let small = called.clone().map(|at| self.weights[self.by_caller[at] as usize].1);
            let weight = own + small.filter(|&all| all < least).sum::<u64>();
            if weight > 0 {
                take(&stack, weight)?;
            }
            open.push((called, stack.len()));
        }
        let uncharged = self.uncharged.iter().filter(|(_, weight)| *weight > 0);
        uncharged.map(|(stack, weight)| (stack, *weight)).try_for_each(|(stack, weight)| take(stack, weight))
    }

    /// Where in `by_caller` the paths are that go on from this one.
    fn called_by(&self, path: PathId) -> Range<usize> {
        let begin = self.by_caller.partition_point(|&called| self.paths.parent(called) < path);
        let length = self.by_caller[begin..].partition_point(|&called| self.paths.parent(called) == path);
        begin..begin + length
    }

    fn frame(&self, path: PathId) -> &str {
        match self.paths.step(path) {
            Step::Thread(number) => &self.threads[number as usize],
            Step::Function(row) => &self.functions[row as usize],
        }
    }
}

/// A semicolon would begin another frame, so in a name it becomes a colon.
fn frame(label: &str) -> String {
    shown(label).replace(';', ":")
}
