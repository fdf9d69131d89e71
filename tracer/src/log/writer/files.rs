//! The files of a log, and the thread that writes them.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, OnceLock};

use log::warn;

use super::LogKind;
use super::bound::{Bound, Segment};
use crate::log::folder::Folder;
use crate::log::recording::{Recording, Segments};
use crate::log::rows::amount;
use crate::log::schema::{
    CallRows, EventRows, FunctionRows, PathRows, RssRows, SampleRows, ThinnedRows, ThreadRows,
};
use crate::log::segment::{self, Origin};
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

/// What the thread is handed.
#[derive(Debug)]
pub(super) enum Message {
    Functions(FunctionRows),
    Threads(ThreadRows),
    Calls(CallRows),
    Events(EventRows),
    Paths(PathRows),
    Samples(SampleRows),
    Thinned(ThinnedRows),
    Rss(RssRows),
    Recording(Box<Recording>),
}

/// The files of a log, in the thread that writes them.
pub(super) struct Files {
    folder: Arc<Folder>,
    origin: Origin,
    segments: Segments,
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
        max_bytes: Option<u64>,
        written: Sender<CallRows>,
        failure: Arc<OnceLock<String>>,
    ) -> Self {
        Self {
            folder,
            origin: Origin::of_this_boot(),
            segments: Segments::default(),
            bound: max_bytes.map(Bound::new),
            written,
            recording: None,
            failure,
        }
    }

    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        for message in messages {
            if let Err(reason) = self.write(message)
                && self.failure.set(reason.clone()).is_ok()
            {
                warn!("the event log stopped: {reason}; the recording goes on without it");
            }
        }
    }

    fn write(&mut self, message: Message) -> Result<(), String> {
        match message {
            Message::Recording(recording) => self.recording(*recording),
            _ if self.failure.get().is_some() => Ok(()),
            Message::Functions(rows) => self.names(&rows, |segments| &mut segments.functions),
            Message::Threads(rows) => self.names(&rows, |segments| &mut segments.threads),
            Message::Calls(mut rows) => {
                let times = || times(rows.iter().map(|row| row.end_ns));
                self.rows(&rows, |segments| &mut segments.calls, times)?;
                rows.clear();
                // At the end nobody fills it again.
                let _ = self.written.send(rows);
                Ok(())
            }
            Message::Events(rows) => self.rows(
                &rows,
                |segments| &mut segments.events,
                || times(rows.iter().map(|row| row.time_ns)),
            ),
            Message::Paths(rows) => self.names(&rows, |segments| &mut segments.paths),
            Message::Samples(rows) => self.rows(
                &rows,
                |segments| &mut segments.samples,
                || times(rows.iter().map(|row| row.time_ns)),
            ),
            Message::Thinned(rows) => self.rows(&rows, |segments| &mut segments.thinned, || None),
            Message::Rss(rows) => {
                self.rows(&rows, |segments| &mut segments.rss, || times(rows.iter().map(|row| row.time_ns)))
            }
        }
    }

    /// A segment that stays.
    fn names<R: Rows>(&mut self, rows: &R, count: fn(&mut Segments) -> &mut u32) -> Result<(), String> {
        let Some((_, bytes)) = self.segment(rows, count)? else { return Ok(()) };
        if let Some(bound) = &mut self.bound {
            bound.add_names(bytes);
        }
        self.make_room()
    }

    /// A segment that goes again when the log becomes too large.
    fn rows<R: Rows>(
        &mut self,
        rows: &R,
        count: fn(&mut Segments) -> &mut u32,
        times_ns: impl Fn() -> Option<(u64, u64)>,
    ) -> Result<(), String> {
        let Some((number, bytes)) = self.segment(rows, count)? else { return Ok(()) };
        if let Some(bound) = &mut self.bound {
            let rows = rows.len() as u64;
            bound.add(Segment { table: R::FOLDER, number, bytes, rows, times_ns: times_ns() });
        }
        self.make_room()
    }

    /// Writes a segment, if it has rows. Its number, and its size in bytes.
    fn segment<R: Rows>(
        &mut self,
        rows: &R,
        count: fn(&mut Segments) -> &mut u32,
    ) -> Result<Option<(u32, u64)>, String> {
        if rows.is_empty() {
            return Ok(None);
        }
        let number = *count(&mut self.segments) + 1;
        let bytes = segment::write(&self.folder.path(), number, rows, &self.origin)
            .map_err(|error| format!("can't write in {}: {error}", self.named(R::FOLDER).display()))?;
        *count(&mut self.segments) = number;
        Ok(Some((number, bytes)))
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
        recording.segments = self.segments;
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
