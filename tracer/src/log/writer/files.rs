//! The files of a log, and the thread that writes them.

use std::fs;
use std::mem::take;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, OnceLock};

use log::warn;

use super::bound::{Bound, Segment};
use super::{Batch, LogKind, Pending};
use crate::log::folder::Folder;
use crate::log::recording::{Recording, Segments};
use crate::log::rows::amount;
use crate::log::schema::{
    CallRows, EventRows, FunctionRows, PathRows, RssRows, SampleRows, ThinnedRows, ThreadRows,
};
use crate::log::segment::{self, Origin};
use crate::log::sums;
use crate::log::table::Rows;

/// The tables of a log.
pub(super) fn tables(kind: LogKind, is_thinned: bool) -> Vec<&'static str> {
    let mut tables = vec![FunctionRows::FOLDER, ThreadRows::FOLDER];
    match kind {
        LogKind::Calls => tables.extend([CallRows::FOLDER, RssRows::FOLDER]),
        LogKind::Events => tables.extend([EventRows::FOLDER, RssRows::FOLDER]),
        LogKind::Samples => tables.extend([PathRows::FOLDER, SampleRows::FOLDER, RssRows::FOLDER]),
        LogKind::Totals => {}
    }
    if is_thinned {
        tables.push(ThinnedRows::FOLDER);
    }
    tables
}

/// The segments of a table, of which the last one may still grow.
#[derive(Debug, Default)]
struct Growing<R> {
    segments: u32,
    /// Of the last one; none: that is closed.
    rows: R,
    /// Its size.
    bytes: u64,
}

impl<R: Rows> Growing<R> {
    fn close(&mut self) -> R {
        self.bytes = 0;
        take(&mut self.rows)
    }
}

/// All tables.
#[derive(Debug, Default)]
struct Tables {
    functions: Growing<FunctionRows>,
    threads: Growing<ThreadRows>,
    calls: Growing<CallRows>,
    events: Growing<EventRows>,
    paths: Growing<PathRows>,
    samples: Growing<SampleRows>,
    thinned: Growing<ThinnedRows>,
    rss: Growing<RssRows>,
}

impl Tables {
    fn segments(&self) -> Segments {
        Segments {
            functions: self.functions.segments,
            threads: self.threads.segments,
            calls: self.calls.segments,
            events: self.events.segments,
            paths: self.paths.segments,
            samples: self.samples.segments,
            thinned: self.thinned.segments,
            rss: self.rss.segments,
        }
    }

    /// Rows of the segments that grow.
    fn open_rows(&self) -> usize {
        self.functions.rows.len()
            + self.threads.rows.len()
            + self.calls.rows.len()
            + self.events.rows.len()
            + self.paths.rows.len()
            + self.samples.rows.len()
            + self.thinned.rows.len()
            + self.rss.rows.len()
    }

    /// Closes all segments, so that those of one number are of about the same time. Returns calls that were written.
    fn close(&mut self) -> CallRows {
        self.functions.close();
        self.threads.close();
        self.events.close();
        self.paths.close();
        self.samples.close();
        self.thinned.close();
        self.rss.close();
        self.calls.close()
    }
}

/// The files of a log, in the thread that writes them.
pub(super) struct Files {
    folder: Arc<Folder>,
    origin: Origin,
    tables: Tables,
    /// Rows of all open segments together at which these are closed.
    grown_rows: usize,
    /// Of a log that is to keep within a size.
    bound: Option<Bound>,
    /// Takes calls that were written back.
    written: Sender<CallRows>,
    /// As last described.
    recording: Option<Recording>,
    failure: Arc<OnceLock<String>>,
}

impl Files {
    pub(super) fn new(
        folder: Arc<Folder>,
        grown_rows: usize,
        max_bytes: Option<u64>,
        written: Sender<CallRows>,
        failure: Arc<OnceLock<String>>,
    ) -> Self {
        Self {
            folder,
            origin: Origin::of_this_boot(),
            tables: Tables::default(),
            grown_rows,
            bound: max_bytes.map(Bound::new),
            written,
            recording: None,
            failure,
        }
    }

    pub(super) fn run(mut self, batches: &Receiver<Batch>) {
        for batch in batches {
            let Batch { rows, close, recording } = batch;
            if self.failure.get().is_none() {
                let written = self.write(rows, close);
                self.stop_if_failed(written);
            }
            let described = self.recording(recording);
            self.stop_if_failed(described);
        }
    }

    fn stop_if_failed(&self, done: Result<(), String>) {
        if let Err(reason) = done
            && self.failure.set(reason.clone()).is_ok()
        {
            warn!("the event log stopped: {reason}; the recording goes on without it");
        }
    }

    /// Writes rows, names before what uses them.
    fn write(&mut self, mut rows: Pending, close: bool) -> Result<(), String> {
        self.names(&mut rows.functions, |tables| &mut tables.functions)?;
        self.names(&mut rows.threads, |tables| &mut tables.threads)?;
        self.rows(
            &mut rows.calls,
            |tables| &mut tables.calls,
            Rows::append,
            |calls| times(calls.iter().map(|call| call.end_ns)),
        )?;
        self.recycle(rows.calls);
        self.rows(
            &mut rows.events,
            |tables| &mut tables.events,
            Rows::append,
            |events| times(events.iter().map(|event| event.time_ns)),
        )?;
        self.names(&mut rows.paths, |tables| &mut tables.paths)?;
        self.rows(
            &mut rows.samples,
            |tables| &mut tables.samples,
            Rows::append,
            |samples| times(samples.iter().map(|sample| sample.time_ns)),
        )?;
        self.rows(&mut rows.thinned, |tables| &mut tables.thinned, sums::add_up, |_| None)?;
        self.rows(
            &mut rows.rss,
            |tables| &mut tables.rss,
            Rows::append,
            |changes| times(changes.iter().map(|change| change.time_ns)),
        )?;
        if close || self.tables.open_rows() >= self.grown_rows {
            self.close();
        }
        Ok(())
    }

    fn close(&mut self) {
        let calls = self.tables.close();
        self.recycle(calls);
    }

    fn recycle(&self, mut calls: CallRows) {
        calls.clear();
        // At the end nobody fills it again.
        let _ = self.written.send(calls);
    }

    /// Rows that stay.
    fn names<R: Rows>(
        &mut self,
        rows: &mut R,
        table: fn(&mut Tables) -> &mut Growing<R>,
    ) -> Result<(), String> {
        let before = table(&mut self.tables).bytes;
        if !self.grow(rows, table, Rows::append)? {
            return Ok(());
        }
        if let Some(bound) = &mut self.bound {
            bound.set_names(before, table(&mut self.tables).bytes);
        }
        self.make_room()
    }

    /// Rows that go again when the log becomes too large.
    fn rows<R: Rows>(
        &mut self,
        rows: &mut R,
        table: fn(&mut Tables) -> &mut Growing<R>,
        join: fn(&mut R, &mut R),
        times_ns: fn(&R) -> Option<(u64, u64)>,
    ) -> Result<(), String> {
        if !self.grow(rows, table, join)? {
            return Ok(());
        }
        if let Some(bound) = &mut self.bound {
            let Growing { segments: number, rows, bytes } = table(&mut self.tables);
            let (table, times_ns, rows) = (R::FOLDER, times_ns(rows), rows.len() as u64);
            bound.set(Segment { table, number: *number, bytes: *bytes, rows, times_ns });
        }
        self.make_room()
    }

    /// Joins rows, if there are any, to those of the segment of a table that grows. The new one takes the place of the
    /// old one at once, so that each row is there once, whenever somebody looks.
    fn grow<R: Rows>(
        &mut self,
        rows: &mut R,
        table: fn(&mut Tables) -> &mut Growing<R>,
        join: fn(&mut R, &mut R),
    ) -> Result<bool, String> {
        if rows.is_empty() {
            return Ok(false);
        }
        let (dir, named) = (self.folder.path(), self.named(R::FOLDER));
        let growing = table(&mut self.tables);
        let number = growing.segments + u32::from(growing.rows.is_empty());
        join(&mut growing.rows, rows);
        growing.bytes = segment::write(&dir, number, &growing.rows, &self.origin)
            .map_err(|error| format!("can't write in {}: {error}", named.display()))?;
        growing.segments = number;
        Ok(true)
    }

    /// What the user knows the folder of a table by.
    fn named(&self, table: &str) -> PathBuf {
        self.folder.name().join(table)
    }

    /// Removes what is too much. What is gone is said first: a reader misses nothing that it does not know of.
    fn make_room(&mut self) -> Result<(), String> {
        let removed = self.bound.as_mut().map(Bound::make_room).unwrap_or_default();
        if removed.is_empty() {
            return Ok(());
        }
        self.describe()?;
        for Segment { table, number, .. } in removed {
            let name = segment::name(number);
            fs::remove_file(self.folder.path().join(table).join(&name)).map_err(|error| {
                format!("can't remove {}: {error}", self.named(table).join(name).display())
            })?;
        }
        // What goes is none of what grows from here on.
        self.close();
        Ok(())
    }

    fn recording(&mut self, recording: Recording) -> Result<(), String> {
        self.origin.clock_offset_ns = recording.clock_offset_ns;
        self.recording = Some(recording);
        self.describe()?;
        self.make_room()
    }

    /// Writes the description.
    fn describe(&mut self) -> Result<(), String> {
        let Some(recording) = &mut self.recording else { return Ok(()) };
        recording.segments = self.tables.segments();
        recording.gone = self.bound.as_ref().and_then(Bound::gone);
        recording.error = self.failure.get().cloned();
        recording.complete &= recording.error.is_none();
        let written = recording.write(&self.folder.path());
        let bytes =
            written.map_err(|error| format!("can't write in {}: {error}", self.folder.name().display()))?;
        if let Some(bound) = &mut self.bound {
            bound.set_description(bytes);
        }
        Ok(())
    }
}

/// The first and the last of some times.
fn times(all: impl Iterator<Item = i64>) -> Option<(u64, u64)> {
    all.map(amount).fold(None, |range, time| {
        let (first, last) = range.unwrap_or((time, time));
        Some((first.min(time), last.max(time)))
    })
}
