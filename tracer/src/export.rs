//! A recording in the formats of other tools: one file for each, behind [`Export`].
//!
//! What traced processes chose to be called is written as it is where the format can hold any text, and escaped where
//! it would break the format.

mod collapsed;

use std::io::Write;

use anyhow::Result;

use crate::analysis::Source;
pub use crate::analysis::measure::Measure;
use crate::event::Function;

/// Writes a recording in one format.
trait Export {
    /// Writes the part of a recording that `source` gives. `measure` is what stacks are weighed by, where the format can
    /// hold one measure only.
    fn write(&self, source: &mut Source, measure: Measure, out: &mut dyn Write) -> Result<()>;
}

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A line for each call path and what it weighs (flamegraph.pl, inferno, speedscope)
    Collapsed,
}

impl Format {
    /// Writes a recording in this format. `measure` is what stacks are weighed by, where the format can hold one measure
    /// only.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(self, source: &mut Source, measure: Measure, out: &mut dyn Write) -> Result<()> {
        let export: &dyn Export = match self {
            Self::Collapsed => &collapsed::Collapsed,
        };
        export.write(source, measure, out)
    }
}

/// A function with its place: `Order.total (shop/orders.py:12)`.
fn label(function: Option<&Function>) -> String {
    match function {
        Some(Function { name, file, line }) => format!("{name} ({file}:{line})"),
        None => crate::report::UNNAMED.to_owned(),
    }
}
