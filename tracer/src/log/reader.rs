//! Opens a log and goes through its tables, a segment at a time. What can't be read is named and left out.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::recording::Recording;
use super::schema::{
    CallRows, EventRows, FunctionRows, PathRows, RssRows, SampleRows, ThinnedRows, ThreadRows,
};
use super::segment::{self, SegmentError};
use super::table::Rows;
use super::{LogError, LogKind};
use crate::text::shown;

/// A log that is there.
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    recording: Recording,
    tables: Vec<Table>,
    warnings: Vec<String>,
}

/// The segments of one table.
#[derive(Debug)]
struct Table {
    folder: &'static str,
    /// In the order in which they were written.
    numbers: Vec<u32>,
    /// The last one, where it may grow while the log is read: as it was at first, it is read each time.
    last: Option<File>,
}

impl Log {
    /// Opens the log in a folder.
    ///
    /// # Errors
    /// If there is none, or one of a newer version.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        let recording = Recording::read(dir)?;
        let segments = recording.segments;
        let mut log = Self { dir: dir.to_owned(), recording, tables: Vec::new(), warnings: Vec::new() };
        match log.recording.log {
            LogKind::Calls => log.find::<CallRows>(segments.calls),
            LogKind::Events => log.find::<EventRows>(segments.events),
            LogKind::Samples => {
                log.find::<PathRows>(segments.paths);
                log.find::<SampleRows>(segments.samples);
            }
            LogKind::Totals => {}
        }
        if log.recording.log != LogKind::Totals {
            log.find::<RssRows>(segments.rss);
        }
        if log.recording.status.account.thinned.is_some() {
            log.find::<ThinnedRows>(segments.thinned);
        }
        // They are written before the rows that use them, so that those found by now have theirs, also while the
        // recorder goes on.
        log.find::<FunctionRows>(segments.functions);
        log.find::<ThreadRows>(segments.threads);
        Ok(log)
    }

    /// What was recorded.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// How many segments a table has.
    pub fn segments<R: Rows>(&self) -> usize {
        self.numbers::<R>().len()
    }

    /// Reads the rows of a table segment by segment, in the order in which they were written.
    pub fn each<R: Rows>(&mut self, mut take: impl FnMut(&R)) {
        let numbers = self.numbers::<R>().to_vec();
        self.read(numbers.into_iter(), |rows| {
            take(rows);
            ControlFlow::Continue(())
        });
    }

    /// The same from the last segment to the first, or to where `take` breaks off.
    pub fn each_backward<R: Rows>(&mut self, take: impl FnMut(&R) -> ControlFlow<()>) {
        let numbers = self.numbers::<R>().to_vec();
        self.read(numbers.into_iter().rev(), take);
    }

    /// What could not be read so far. Reading a segment again says so only once.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn numbers<R: Rows>(&self) -> &[u32] {
        let table = self.tables.iter().find(|table| table.folder == R::FOLDER);
        table.map_or(&[], |table| &table.numbers)
    }

    fn read<R: Rows>(
        &mut self,
        numbers: impl Iterator<Item = u32>,
        mut take: impl FnMut(&R) -> ControlFlow<()>,
    ) {
        for number in numbers {
            let file = format!("{}/{}", R::FOLDER, segment::name(number));
            match self.segment(number, &file) {
                Ok(rows) => {
                    if take(&rows).is_break() {
                        break;
                    }
                }
                Err(error) => self.skipped(&file, &error),
            }
        }
    }

    fn segment<R: Rows>(&self, number: u32, file: &str) -> Result<R, SegmentError> {
        let table = self.tables.iter().find(|table| table.folder == R::FOLDER);
        let last =
            table.filter(|table| table.numbers.last() == Some(&number)).and_then(|table| table.last.as_ref());
        match last {
            Some(last) => segment::parse(last.try_clone()?),
            None => segment::read(&self.dir.join(file)),
        }
    }

    /// Finds the segments of a table. `expected` is how many the recorder wrote.
    fn find<R: Rows>(&mut self, expected: u32) {
        let folder = R::FOLDER;
        let mut numbers = Vec::new();
        match fs::read_dir(self.dir.join(folder)) {
            Ok(entries) => {
                for entry in entries.flatten() {
                    let name = entry.file_name();
                    let name = name.to_string_lossy();
                    match segment::number(&name) {
                        Some(number) => numbers.push(number),
                        // The recorder was killed while it wrote this one.
                        None if !self.recording.complete && name.ends_with(".parquet.part") => {}
                        None => self
                            .warnings
                            .push(format!("{folder}/{}: skipped, not a segment of this log", shown(&name))),
                    }
                }
            }
            // A log of a version that had no such table.
            Err(error) if error.kind() == ErrorKind::NotFound && expected == 0 => {}
            Err(error) => self.warnings.push(format!("{folder}: {error}")),
        }
        let gone = self.recording.gone.as_ref().map_or(0, |gone| gone.segments(folder));
        numbers.retain(|&number| number > gone);
        numbers.sort_unstable();
        self.missing(folder, &numbers, gone, expected);
        // What can't be opened is said when it is read.
        let last = numbers
            .last()
            .filter(|_| !self.recording.complete)
            .and_then(|&last| segment::open(&self.dir.join(folder).join(segment::name(last))).ok());
        self.tables.push(Table { folder, numbers, last });
    }

    /// Names the segments that should be there: of the first so many it is known that they are gone.
    fn missing(&mut self, folder: &str, numbers: &[u32], gone: u32, expected: u32) {
        let mut next = gone.saturating_add(1);
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
        let warning = format!("{file}: skipped, {error}");
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}
