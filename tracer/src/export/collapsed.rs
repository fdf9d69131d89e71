//! Collapsed stacks: `process;thread;outer;inner 42`, a line for each call path, sorted.

use std::io::Write;

use anyhow::Result;

use super::{Export, Measure, label, uncharged};
use crate::analysis::Source;
use crate::analysis::paths::{PathId, Paths, Step};
use crate::analysis::source::Summary;
use crate::text::shown;

/// The format.
pub(super) struct Collapsed;

impl Export for Collapsed {
    fn write(&self, source: &mut Source, measure: Measure, out: &mut dyn Write) -> Result<()> {
        let summary = source.summary(|_, _| {});
        for line in lines(source, &summary, measure) {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

/// The lines, without those that weigh nothing. Memory that no function is charged with belongs to its process.
pub(super) fn lines(source: &Source, summary: &Summary, measure: Measure) -> Vec<String> {
    let Summary { report, tree } = summary;
    let paths = tree.calls().map(|(path, _, sums)| (stack(source, &tree.paths, path), measure.of(sums)));
    let uncharged =
        uncharged(report).map(|(pid, name, sums)| (format!("process {pid};{name}"), measure.of(&sums)));
    let weighty = paths.chain(uncharged).filter(|(_, weight)| *weight > 0);
    let mut lines: Vec<String> = weighty.map(|(stack, weight)| format!("{stack} {weight}")).collect();
    lines.sort_unstable();
    lines
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
