//! A recording in the formats of other tools: one file for each, behind [`Export`].
//!
//! What traced processes chose to be called is written as it is where the format can hold any text, and escaped where
//! it would break the format.

mod callgrind;
mod chrome;
mod collapsed;
mod csv;
mod firefox;
mod grouped;
mod json;
mod marshal;
mod memory;
mod ndjson;
mod notes;
mod parquet;
mod perfetto;
mod pprof;
mod pstats;
mod rows;
mod speedscope;
mod svg;
mod text;
mod trace;

use std::io::Write;

use anyhow::{Result, bail};

use crate::analysis::Source;
pub use crate::analysis::measure::Measure;
use crate::analysis::tree::PathSums;
use crate::event::Function;
use crate::report::{FunctionReport, Report};
pub(crate) use svg::{SMALLEST, drawing};

pub use rows::Rows;

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
    /// What cProfile writes: calls and times by function and caller (pstats, snakeviz, gprof2dot)
    Pstats,
    /// Time, memory and calls by function and caller (`callgrind_annotate`, `KCachegrind`)
    Callgrind,
    /// A flame graph for the browser
    Svg,
    /// Time, calls and memory by call path, gzipped (go tool pprof)
    Pprof,
    /// The calls of each thread over time, or its samples (speedscope)
    Speedscope,
    /// Calls and memory over time, as JSON (Chrome's trace viewer, Perfetto)
    Chrome,
    /// Calls and memory over time, smaller than chrome (Perfetto)
    Perfetto,
    /// Calls or samples, and memory, over time; a million calls or four million samples at most (Firefox Profiler)
    Firefox,
    /// A row for each function or call, comma-separated, safe for spreadsheets
    Csv,
    /// A row for each function or call as a JSON object on a line
    Ndjson,
    /// A row for each function or call in one Parquet file
    Parquet,
    /// A line for each call and return with resident memory, as pymemtrace logs it; of one process
    Text,
}

/// What is asked for besides the format. Formats that it does not concern leave it aside.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What stacks are weighed by, where the format can hold one measure only.
    pub of: Measure,
    /// A flame graph from top to bottom.
    pub icicle: bool,
    /// What a row is, where the format has rows.
    pub rows: Rows,
}

impl Format {
    /// Writes a recording in this format.
    ///
    /// # Errors
    /// If it can't be written, or the recording does not know what stacks are to be weighed by.
    pub fn write(self, source: &mut Source, options: Options, out: &mut dyn Write) -> Result<()> {
        let export: &dyn Export = match self {
            Self::Collapsed => &collapsed::Collapsed,
            Self::Pstats => &pstats::Pstats,
            Self::Callgrind => &callgrind::Callgrind,
            Self::Svg => &svg::Svg { icicle: options.icicle },
            Self::Pprof => &pprof::Pprof,
            Self::Speedscope => &speedscope::Speedscope,
            Self::Chrome => &chrome::Chrome,
            Self::Perfetto => &perfetto::Perfetto,
            Self::Firefox => &firefox::Firefox,
            Self::Csv => &csv::Csv { rows: options.rows },
            Self::Ndjson => &ndjson::Ndjson { rows: options.rows },
            Self::Parquet => &parquet::Parquet { rows: options.rows },
            Self::Text => &text::Text,
        };
        if self.weighs_stacks()
            && let Some(why) = options.of.why_not(source.account())
        {
            bail!("{why}");
        }
        export.write(source, options.of, out)
    }
}

impl Format {
    /// Does it hold one measure only?
    fn weighs_stacks(self) -> bool {
        matches!(self, Self::Collapsed | Self::Svg)
    }
}

/// Resident memory that no call path is charged with, as sums of a path: by process id and what stands for it in the
/// report.
pub(crate) fn uncharged(report: &Report) -> impl Iterator<Item = (u32, &str, PathSums)> {
    let rows = report.functions.iter().filter(|row| !FunctionReport::is_function(row));
    rows.map(|row| {
        let mut sums = PathSums::default();
        sums.add_rss(row.self_rss_bytes);
        (row.pid, &*row.function, sums)
    })
}

/// A function with its place: `Order.total (shop/orders.py:12)`.
fn label(function: Option<&Function>) -> String {
    match function {
        Some(Function { name, file, line }) if FunctionReport::is_of_a_function(name, file, *line) => {
            format!("{name} ({file}:{line})")
        }
        Some(Function { name, .. }) => name.clone(),
        None => crate::report::UNNAMED.to_owned(),
    }
}
