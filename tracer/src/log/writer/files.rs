//! The files of a log, and the thread that writes them.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};

use log::warn;

use super::LogKind;
use crate::log::recording::{self, Recording, Segments};
use crate::log::schema::{CallRows, EventRows, FunctionRows, RssRows, ThinnedRows, ThreadRows};
use crate::log::table::Rows;
use crate::log::{
    LogError,
    segment::{self, Origin},
};

/// The tables of a log.
pub(super) fn tables(kind: LogKind, is_thinned: bool) -> Vec<&'static str> {
    let mut tables = vec![FunctionRows::FOLDER, ThreadRows::FOLDER];
    match kind {
        LogKind::Calls => tables.extend([CallRows::FOLDER, RssRows::FOLDER]),
        LogKind::Events => tables.extend([EventRows::FOLDER, RssRows::FOLDER]),
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
    Thinned(ThinnedRows),
    Rss(RssRows),
    Recording(Box<Recording>),
}

/// The files of a log, in the thread that writes them.
pub(super) struct Files {
    dir: PathBuf,
    origin: Origin,
    segments: Segments,
    failure: Arc<OnceLock<String>>,
}

impl Files {
    pub(super) fn new(dir: PathBuf, failure: Arc<OnceLock<String>>) -> Self {
        Self { dir, origin: Origin::of_this_boot(), segments: Segments::default(), failure }
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
            Message::Functions(rows) => self.segment(&rows, |segments| &mut segments.functions),
            Message::Threads(rows) => self.segment(&rows, |segments| &mut segments.threads),
            Message::Calls(rows) => self.segment(&rows, |segments| &mut segments.calls),
            Message::Events(rows) => self.segment(&rows, |segments| &mut segments.events),
            Message::Thinned(rows) => self.segment(&rows, |segments| &mut segments.thinned),
            Message::Rss(rows) => self.segment(&rows, |segments| &mut segments.rss),
        }
    }

    fn segment<R: Rows>(&mut self, rows: &R, count: fn(&mut Segments) -> &mut u32) -> Result<(), String> {
        if rows.is_empty() {
            return Ok(());
        }
        let number = *count(&mut self.segments) + 1;
        segment::write(&self.dir, number, rows, &self.origin)
            .map_err(|error| format!("can't write in {}: {error}", self.dir.join(R::FOLDER).display()))?;
        *count(&mut self.segments) = number;
        Ok(())
    }

    fn recording(&mut self, mut recording: Recording) -> Result<(), String> {
        self.origin.clock_offset_ns = recording.clock_offset_ns;
        recording.segments = self.segments;
        recording.error = self.failure.get().cloned();
        recording.complete &= recording.error.is_none();
        recording.write(&self.dir).map_err(|error| format!("can't write in {}: {error}", self.dir.display()))
    }
}

/// Makes the folder and those of its tables, readable by nobody else. False: the folder was there, empty.
pub(super) fn make_folders(dir: &Path, tables: &[&str]) -> Result<bool, LogError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| LogError::Io { action, path, source }
    };
    let private = |path: &Path| DirBuilder::new().mode(0o700).create(path);
    let made = match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => false,
        Ok(false) => return Err(LogError::NotEmpty(dir.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            private(dir).map_err(failed("make", dir))?;
            true
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(LogError::NotAFolder(dir.to_owned()));
        }
        Err(error) => return Err(failed("read", dir)(error)),
    };
    for table in tables {
        private(&dir.join(table)).map_err(failed("write in", dir))?;
    }
    Ok(made)
}

/// Takes an empty log away again; the folder itself too, if it was made for it.
pub(super) fn remove_folders(dir: &Path, tables: &[&str], made: bool) {
    // As far as it goes: what was made may be gone already.
    let _ = fs::remove_file(dir.join(recording::FILE));
    for table in tables {
        let _ = fs::remove_dir(dir.join(table));
    }
    if made {
        let _ = fs::remove_dir(dir);
    }
}
