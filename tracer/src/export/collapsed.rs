//! Collapsed stacks: `process;thread;outer;inner 42`, a line for each call path, sorted.

use std::io::Write;

use anyhow::Result;

use super::{Export, Measure, label};
use crate::analysis::Source;
use crate::analysis::paths::{PathId, Paths, Step};
use crate::text::shown;

/// The format.
pub(super) struct Collapsed;

impl Export for Collapsed {
    fn write(&self, source: &mut Source, measure: Measure, out: &mut dyn Write) -> Result<()> {
        let tree = source.summary(|_, _| {}).tree;
        let mut lines: Vec<String> = tree
            .calls()
            .map(|(path, _, sums)| (path, measure.of(sums)))
            .filter(|(_, weight)| *weight > 0)
            .map(|(path, weight)| format!("{} {weight}", stack(source, &tree.paths, path)))
            .collect();
        lines.sort_unstable();
        for line in lines {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

/// The frames of a path, outermost first, separated by semicolons.
fn stack(source: &Source, paths: &Paths, path: PathId) -> String {
    let mut frames: Vec<String> = paths.outward(path).map(|path| frame(source, paths.step(path))).collect();
    frames.reverse();
    frames.join(";")
}

/// A semicolon would begin another frame, so in a name it becomes a colon.
fn frame(source: &Source, step: Step) -> String {
    match step {
        Step::Thread(number) => {
            let (pid, tid) = source.threads()[number as usize];
            format!("process {pid};thread {tid}")
        }
        Step::Function(row) => {
            let label = label(source.names().get(row).function.as_ref());
            shown(&label).replace(';', ":")
        }
    }
}
