//! `recording.json`: what a log holds, and the account of the run.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::gone::Gone;
use super::{LogError, LogKind, SCHEMA};
use crate::report::{Account, Status, Untraced};

/// Name of the file.
pub const FILE: &str = "recording.json";

/// The description of a log. Rewritten about once a second, and at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of pytracer that wrote it.
    pub pytracer: String,
    /// Written to the end. Otherwise the recorder was killed, or could not write.
    pub complete: bool,
    /// Which table holds the calls.
    pub log: LogKind,
    /// What was asked for.
    pub arguments: Vec<String>,
    /// Beginning of the window on the monotonic clock, which all times of the tables are of.
    pub start_monotonic_ns: u64,
    /// To be added to a monotonic time to get nanoseconds since 1970.
    pub clock_offset_ns: i64,
    /// How many segments there are of each table.
    pub segments: Segments,
    /// Window, processes and account, at the end or when this was written.
    #[serde(flatten)]
    pub status: Status,
    /// What was removed to keep within a size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<Gone>,
    /// Samples from while no probe was in place, before and after the recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untraced: Option<Untraced>,
    /// Why the log stopped before the recording did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Segments by table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segments {
    /// Of functions.
    pub functions: u32,
    /// Of names of threads.
    #[serde(default)]
    pub threads: u32,
    /// Of calls.
    pub calls: u32,
    /// Of events.
    pub events: u32,
    /// Of call paths of samples.
    #[serde(default)]
    pub paths: u32,
    /// Of samples.
    #[serde(default)]
    pub samples: u32,
    /// Of sums of what was left out.
    #[serde(default)]
    pub thinned: u32,
    /// Of changes of resident memory.
    pub rss: u32,
}

impl Recording {
    /// Of a log that has no rows yet.
    pub(super) fn new(log: LogKind, arguments: Vec<String>) -> Self {
        Self {
            schema: SCHEMA,
            pytracer: env!("CARGO_PKG_VERSION").to_owned(),
            complete: false,
            log,
            arguments,
            start_monotonic_ns: 0,
            clock_offset_ns: 0,
            segments: Segments::default(),
            status: Status {
                account: Account { cost_unknown: true, ..Account::default() },
                ..Status::default()
            },
            gone: None,
            untraced: None,
            error: None,
        }
    }

    /// Puts it in its place, whole or not at all. Returns its size.
    pub(super) fn write(&self, dir: &Path) -> io::Result<u64> {
        let beside = dir.join("recording.json.part");
        let text = serde_json::to_string_pretty(self)? + "\n";
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let written = write_new(&beside, text.as_bytes()).and_then(|()| fs::rename(&beside, dir.join(FILE)));
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written.map(|()| text.len() as u64)
    }

    /// Adds samples to the description of a log that has been written.
    ///
    /// # Errors
    /// If it can't be read or written.
    pub fn add_untraced(dir: &Path, untraced: &Untraced) -> Result<(), LogError> {
        let folder = Folder::open(dir)?;
        let recording = Self { untraced: Some(untraced.clone()), ..Self::read(&folder.path())? };
        let written = recording.write(&folder.path()).map(|_| ());
        written.map_err(|source| LogError::Io { action: "write in", path: dir.to_owned(), source })
    }

    /// Reads the one of a folder.
    pub(super) fn read(dir: &Path) -> Result<Self, LogError> {
        let path = dir.join(FILE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && dir.is_dir() => {
                return Err(LogError::NotARecording(dir.to_owned()));
            }
            read => read.map_err(|source| LogError::Io { action: "read", path: path.clone(), source })?,
        };
        let damaged =
            |path: PathBuf, error: &serde_json::Error| LogError::Damaged { path, reason: error.to_string() };
        let form: Form = serde_json::from_slice(&text).map_err(|error| damaged(path.clone(), &error))?;
        if form.schema > u64::from(SCHEMA) {
            return Err(LogError::Newer { path, found: form.schema });
        }
        serde_json::from_slice(&text).map_err(|error| damaged(path, &error))
    }
}

/// All that is sure to be in any form.
#[derive(Deserialize)]
struct Form {
    schema: u64,
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}
