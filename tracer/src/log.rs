//! The event log: a folder of Parquet tables, one file per segment, that tools such as DuckDB and pandas read as it
//! lies.
//!
//! ```text
//! DIR/recording.json               what was recorded, by which version, and the account
//! DIR/functions/part-000001.parquet   names of function ids, in place before the calls that use them
//! DIR/threads/part-000001.parquet     names of threads
//! DIR/calls/part-000001.parquet       one row per finished call, in the order in which they ended
//! DIR/events/part-000001.parquet      or, where asked for, one row when a call begins and one when it ends
//! DIR/rss/part-000001.parquet         one row per change of resident memory
//! DIR/paths/part-000001.parquet       of a sampled recording, in place of calls: call paths
//! DIR/samples/part-000001.parquet     and samples, each with its path and the time that it stands for
//! DIR/thinned/part-000001.parquet     sums of calls and changes that were left out, if any were to be
//! ```
//!
//! A segment is written beside its place and renamed into it: what is there can be read, whenever the recorder was
//! killed. Columns and codes are in [`schema`].

mod bounded;
mod folder;
pub mod gone;
mod reader;
pub mod recording;
pub(crate) mod rows;
pub mod schema;
pub(crate) mod segment;
pub(crate) mod sums;
pub mod table;
mod thinning;
mod writer;

use std::path::PathBuf;

pub use reader::Log;
pub use writer::{Failure, LogKind, LogOptions, LogWriter};

/// Version of the log's form. Readers refuse newer ones.
pub const SCHEMA: u32 = 1;

/// Why a log can't be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is something in the folder.
    #[error("{} is not empty: give a new folder to -o", .0.display())]
    NotEmpty(PathBuf),
    /// Others may change what is in it; why.
    #[error("{} is {}: give a new folder to -o", .0.display(), .1)]
    NotOurs(PathBuf, &'static str),
    /// It is not a folder.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// The system refused.
    #[error("can't {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There is no recording in the folder.
    #[error("{} is not a recording: it has no recording.json", .0.display())]
    NotARecording(PathBuf),
    /// Its description can't be read.
    #[error("{} can't be read: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Written by a later version.
    #[error("{} has the form {found}, this pytracer reads forms up to {SCHEMA}: use a newer pytracer", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its form.
        found: u64,
    },
}
