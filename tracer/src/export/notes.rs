//! What a reader has to know of an export besides its numbers: which processes, what was lost, cut off or left out.

use crate::analysis::Source;
use crate::report::Report;
use crate::report::lines::{footer, process};

/// Lines for the comments of a format, without control characters: what the report says below its tables, and what is
/// wrong with the log as far as it was read.
pub(super) fn notes(source: &Source, report: &Report) -> Vec<String> {
    let mut text: String = report.processes.iter().map(|about| process(about, None)).collect();
    text.push_str(&footer(report, false));
    text.lines().map(|line| line.trim().to_owned()).chain(source.warnings()).collect()
}
