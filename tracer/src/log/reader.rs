//! Reads a log back into the report that was shown when it was recorded. What can't be read is named and left out.

mod memory;
mod rebuild;
mod thread;

use std::fs;
use std::path::Path;

use super::recording::{Recording, Segments};
use super::schema::{CallRows, EventRows, FunctionRows, RssRows};
use super::segment::{self, SegmentError};
use super::table::Rows;
use super::{LogError, LogKind};
use crate::report::Report;
use crate::text::shown;
use rebuild::Rebuild;

/// What a log says.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The report.
    pub report: Report,
    /// The recorder was killed, or could not write to the end: the report is of what was written by then.
    pub cut_off: bool,
    /// Segments that could not be read, and other damage; none if the report is whole.
    pub warnings: Vec<String>,
    /// What was asked for when it was recorded.
    pub arguments: Vec<String>,
}

/// Reads the log in a folder.
pub fn read(dir: &Path) -> Result<Reading, LogError> {
    let recording = Recording::read(dir)?;
    let mut reader =
        Reader { dir, segments: recording.segments, complete: recording.complete, warnings: Vec::new() };
    let mut rebuild = Rebuild::default();
    reader.each(|segments| segments.functions, |rows: &FunctionRows| rebuild.functions(rows));
    match recording.log {
        LogKind::Calls => reader.each(|segments| segments.calls, |rows: &CallRows| rebuild.calls(rows)),
        LogKind::Events => reader.each(|segments| segments.events, |rows: &EventRows| rebuild.events(rows)),
    }
    reader.each(|segments| segments.rss, |rows: &RssRows| rebuild.rss(rows));

    let mut warnings = reader.warnings;
    warnings.extend(rebuild.damage());
    let cut_off = !recording.complete;
    let arguments = recording.arguments.clone();
    Ok(Reading { report: rebuild.report(recording), cut_off, warnings, arguments })
}

/// Goes through the segments of a folder.
struct Reader<'a> {
    dir: &'a Path,
    segments: Segments,
    complete: bool,
    warnings: Vec<String>,
}

impl Reader<'_> {
    /// Reads all segments of a table, in order. `expected` is how many the recorder wrote.
    fn each<R: Rows>(&mut self, expected: fn(&Segments) -> u32, mut take: impl FnMut(&R)) {
        let numbers = self.numbers(R::FOLDER);
        self.missing(R::FOLDER, &numbers, expected(&self.segments));
        for number in numbers {
            let file = format!("{}/{}", R::FOLDER, segment::name(number));
            match segment::read(&self.dir.join(&file)) {
                Ok(rows) => take(&rows),
                Err(error) => self.skipped(&file, &error),
            }
        }
    }

    /// Numbers of the segments in a table's folder, in order.
    fn numbers(&mut self, folder: &str) -> Vec<u32> {
        let mut numbers = Vec::new();
        let entries = match fs::read_dir(self.dir.join(folder)) {
            Ok(entries) => entries,
            Err(error) => {
                self.warnings.push(format!("{folder}: {error}"));
                return numbers;
            }
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            match segment::number(&name) {
                Some(number) => numbers.push(number),
                // The recorder was killed while it wrote this one.
                None if !self.complete && name.ends_with(".parquet.part") => {}
                None => self
                    .warnings
                    .push(format!("{folder}/{}: skipped, not a segment of this log", shown(&name))),
            }
        }
        numbers.sort_unstable();
        numbers
    }

    fn missing(&mut self, folder: &str, numbers: &[u32], expected: u32) {
        let mut next = 1;
        let ends = (expected.checked_add(1)).filter(|&end| numbers.last().is_none_or(|&last| last < end));
        for number in numbers.iter().copied().chain(ends) {
            match number.saturating_sub(next) {
                0 => {}
                1 => self.warnings.push(format!("{folder}/{} is missing", segment::name(next))),
                n => self.warnings.push(format!(
                    "{folder}/{} and {} more are missing",
                    segment::name(next),
                    n - 1
                )),
            }
            next = number.saturating_add(1);
        }
    }

    fn skipped(&mut self, file: &str, error: &SegmentError) {
        self.warnings.push(format!("{file}: skipped, {error}"));
    }
}
