//! The differential flame graph: as wide as what is after, red where there is more than before, blue where there is
//! less.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use inferno::flamegraph::{Options, TextTruncateDirection, from_lines};

use crate::analysis::Source;
use crate::analysis::measure::Measure;
use crate::analysis::source::Summary;
use crate::event::Function;
use crate::export::uncharged;
use crate::report::UNNAMED;
use crate::text::shown;

/// What the stacks of a recording weigh. Processes, threads and lines are not part of a stack: they are others in
/// another recording of the same program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stacks(BTreeMap<String, u64>);

impl Stacks {
    /// Those of a recording.
    pub fn new(source: &Source, Summary { report, tree }: &Summary, measure: Measure) -> Self {
        let frames: Vec<_> = source.names().iter().map(|named| frame(named.function.as_ref())).collect();
        let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
        for (path, _, sums) in tree.calls().filter(|(_, _, sums)| measure.of(sums) > 0) {
            let rows = tree.paths.stack(path);
            let stack: Vec<&str> = rows.iter().map(|&row| frames[row as usize].as_str()).collect();
            let weight = stacks.entry(stack.join(";")).or_default();
            *weight = weight.saturating_add(measure.of(sums));
        }
        for (_, name, sums) in uncharged(report).filter(|(_, _, sums)| measure.of(sums) > 0) {
            *stacks.entry(name.to_owned()).or_default() += measure.of(&sums);
        }
        Self(stacks)
    }

    /// The same with every weight multiplied.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        for weight in self.0.values_mut() {
            *weight = (*weight as f64 * factor).round() as u64;
        }
        self
    }

    /// What all of them weigh.
    pub fn total(&self) -> u64 {
        self.0.values().fold(0, |sum, &weight| sum.saturating_add(weight))
    }
}

/// Writes the drawing, an SVG with the notes in it.
///
/// # Errors
/// If it can't be written, or nothing is after.
pub fn write(
    before: &Stacks,
    after: &Stacks,
    measure: Measure,
    notes: &[String],
    out: &mut dyn Write,
) -> io::Result<()> {
    if after.total() == 0 {
        return Err(io::Error::other("nothing to draw: no call of the second recording has any of that"));
    }
    let mut options = Options::default();
    options.title = "What changed".into();
    options.subtitle = Some(subtitle(notes));
    options.count_name = measure.unit().into();
    options.deterministic = true;
    options.text_truncate_direction = TextTruncateDirection::Right;
    // They are sorted by stack; sorted as whole lines, a name with blanks and digits could come between.
    options.no_sort = true;
    let lines = lines(before, after);
    from_lines(&mut options, lines.iter().map(String::as_str), out)
}

/// A line for each stack, in their order: what it weighs before, and after.
pub fn lines(before: &Stacks, after: &Stacks) -> Vec<String> {
    let weight = |stacks: &Stacks, stack| stacks.0.get(stack).copied().unwrap_or(0);
    let all: BTreeSet<&String> = before.0.keys().chain(after.0.keys()).collect();
    all.into_iter()
        .map(|stack| format!("{stack} {} {}", weight(before, stack), weight(after, stack)))
        .collect()
}

/// A semicolon would begin another frame, blanks at the beginning of a line are not read, and `# ` begins a comment.
fn frame(function: Option<&Function>) -> String {
    let Some(function) = function else { return UNNAMED.to_owned() };
    let label = format!("{} ({})", function.name, function.file);
    shown(&label).trim_start().replace(';', ":").replace("# ", "#")
}

fn subtitle(notes: &[String]) -> String {
    let legend = "wide: after; red: more than before, blue: less; not drawn: what is gone, and below 0.01 %";
    [&[legend.to_owned()], notes].concat().join("; ")
}
