//! Writes the log while it is recorded. The pipeline's thread only fills columns; a thread of its own makes files
//! of them. When that thread can't keep up the pipeline waits, and the ring buffer counts what is lost.

mod bound;
mod files;

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::LogError;
use super::folder::Folder;
use super::recording::Recording;
use super::rows::{begin_row, call_row, end_row, function_row, path_row, rss_row, sample_row, thread_row};
use super::schema::{
    CallRows, EventRows, FunctionRows, PathRows, RssRows, SampleRows, ThinnedRows, ThreadRows,
};
use super::table::Rows as _;
use super::thinning::Thinner;
use crate::charge::{BegunCall, FinishedCall, RssChange};
use crate::event::{Function, FunctionId};
use crate::pipeline::{CallSink, SampledPath, TakenSample};
use crate::privileges::{self, Need};
use crate::report::{Report, Status, Thinning, Window};
use files::{Files, tables};

/// Rows of a full segment: larger ones are not smaller on disk.
const SEGMENT_ROWS: usize = 500_000;
/// How long rows wait to be written. With a tick each quarter of a second, and time to write them, no row is in
/// memory alone for much longer than a second.
const AGE: Duration = Duration::from_millis(700);
/// Rows of all open segments together at which these are closed. Until then each batch of rows writes them anew: some
/// 10 ms of work at the most, and by then a file is much more than what is in each.
const GROWN_ROWS: usize = 10_000;
/// Batches waiting to be written: each is up to 34 MB.
const QUEUE: usize = 1;

/// Which table holds the calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// `calls`: one row per finished call.
    #[default]
    Calls,
    /// `events`: a row when it begins and a row when it ends.
    Events,
    /// None: only sums are kept, in `thinned`.
    Totals,
    /// There are no calls: `samples` and their `paths`.
    #[value(skip)]
    Samples,
}

/// What a log is to be.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// Which table holds the calls.
    pub kind: LogKind,
    /// Of [`LogKind::Calls`]: which rows are kept, with the sums of the others; `None`: all.
    pub thinning: Option<Thinning>,
    /// It is to keep within so many bytes: the oldest rows go.
    pub max_bytes: Option<u64>,
    /// What was asked for, to be kept in `recording.json`.
    pub arguments: Vec<String>,
}

/// A log being written. Give it to a [`crate::pipeline::Pipeline`] as its sink.
#[derive(Debug)]
pub struct LogWriter {
    folder: Arc<Folder>,
    started: bool,
    pending: Pending,
    /// Rows of a full segment.
    segment_rows: usize,
    /// Of the threads that run: their process and name, as written.
    thread_names: FxHashMap<(u32, u32), (usize, String)>,
    /// Of a log that is not to hold everything.
    thinner: Option<Thinner>,
    last_sent: Instant,
    recording: Recording,
    to_writer: Option<SyncSender<Batch>>,
    /// Rows that were written, to be filled again: their memory is not taken from the system anew for each segment.
    written: Receiver<CallRows>,
    writer: Option<JoinHandle<()>>,
    failure: Failure,
}

/// Why nothing more of a log is written, once that is so. Copies of it are one.
pub type Failure = Arc<OnceLock<String>>;

/// Rows that are not written yet.
#[derive(Debug, Default)]
struct Pending {
    functions: FunctionRows,
    threads: ThreadRows,
    calls: CallRows,
    events: EventRows,
    paths: PathRows,
    samples: SampleRows,
    thinned: ThinnedRows,
    rss: RssRows,
}

/// What the thread that writes is handed.
#[derive(Debug)]
struct Batch {
    rows: Pending,
    /// The segments that these rows are in are full.
    close: bool,
    /// How things stand with them.
    recording: Recording,
}

impl LogWriter {
    /// Makes the folder, which must be new or empty, and in it `recording.json`, not complete yet.
    ///
    /// If no pipeline is started with it, all that is removed again when it is dropped.
    pub fn create(dir: &Path, options: LogOptions) -> Result<Self, LogError> {
        let thinner = match options.kind {
            LogKind::Calls => options.thinning.map(Thinner::new),
            LogKind::Events | LogKind::Samples => None,
            LogKind::Totals => Some(Thinner::new(Thinning::default())),
        };
        let folder = Arc::new(Folder::create(dir, &tables(options.kind, thinner.is_some()))?);
        let mut recording = Recording::new(options.kind, options.arguments);
        recording.status.account.thinned = thinner.as_ref().map(|thinner| thinner.thinned);
        recording.write(&folder.path()).map_err(|source| LogError::Io {
            action: "write in",
            path: dir.to_owned(),
            source,
        })?;
        let (to_writer, from_pipeline) = sync_channel(QUEUE);
        let (to_pipeline, written) = channel();
        let failure = Failure::default();
        let segment_rows = options.max_bytes.map_or(SEGMENT_ROWS, segment_rows);
        let files = Files::new(
            Arc::clone(&folder),
            GROWN_ROWS.min(segment_rows),
            options.max_bytes,
            to_pipeline,
            Arc::clone(&failure),
        );
        let writer = std::thread::Builder::new()
            .name("pytracer-log".into())
            .spawn(move || {
                privileges::keep_only(Need::Nothing);
                files.run(&from_pipeline);
            })
            .map_err(|source| LogError::Io {
                action: "start a thread to write",
                path: dir.to_owned(),
                source,
            })?;
        Ok(Self {
            folder,
            started: false,
            pending: Pending::default(),
            segment_rows,
            thread_names: FxHashMap::default(),
            thinner,
            last_sent: Instant::now(),
            recording,
            to_writer: Some(to_writer),
            written,
            writer: Some(writer),
            failure,
        })
    }

    /// Why nothing more is written, if so. The recording goes on without the log.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// The same, to be looked at once the writer has been given away.
    pub fn failure_watch(&self) -> Failure {
        Arc::clone(&self.failure)
    }

    fn row_added(&mut self, rows: usize) {
        if rows >= self.segment_rows {
            self.close_segments();
        }
    }

    /// Has all rows so far written, into the open segments.
    pub fn save(&mut self) {
        self.send(false);
    }

    /// The same, and closes the open segments: what comes next is in other ones.
    pub fn close_segments(&mut self) {
        self.send(true);
    }

    fn send(&mut self, close: bool) {
        let mut rows = std::mem::take(&mut self.pending);
        rows.thinned = self.thinner.as_mut().map(Thinner::take).unwrap_or_default();
        self.pending.calls = self.written.try_iter().last().unwrap_or_default();
        self.last_sent = Instant::now();
        if let Some(to_writer) = &self.to_writer {
            // Fails only if the thread is gone, which `end` reports.
            let _ = to_writer.send(Batch { rows, close, recording: self.recording.clone() });
        }
    }

    fn set_status(&mut self, status: Status) {
        self.recording.status = status;
        self.recording.status.account.thinned = self.thinner.as_ref().map(|thinner| thinner.thinned);
    }

    fn takes_rows(&self) -> bool {
        self.failure.get().is_none()
    }
}

/// Rows of a full segment of a log that is to keep within a size: no more than about a tenth of it goes at once.
fn segment_rows(max_bytes: u64) -> usize {
    const MOST_BYTES_OF_A_ROW: u64 = 16;
    usize::try_from(max_bytes / 10 / MOST_BYTES_OF_A_ROW).unwrap_or(SEGMENT_ROWS).clamp(1, SEGMENT_ROWS)
}

impl CallSink for LogWriter {
    fn begin(&mut self, window_start_ns: u64, start_unix_ns: u64) {
        self.started = true;
        self.recording.start_monotonic_ns = window_start_ns;
        self.recording.clock_offset_ns = start_unix_ns.wrapping_sub(window_start_ns) as i64;
        self.recording.status.window = Window { start_unix_ns, duration_ns: 0 };
        self.save();
    }

    fn function(&mut self, id: FunctionId, process: (usize, u32), function: &Function, code_flags: u32) {
        self.pending.functions.push(function_row(id, process, function, code_flags));
    }

    fn thread_name(&mut self, (process, pid): (usize, u32), tid: u32, name: &str) {
        let known = self.thread_names.get(&(pid, tid));
        if known.is_none_or(|(of, known)| (*of, known.as_str()) != (process, name)) {
            self.thread_names.insert((pid, tid), (process, name.to_owned()));
            self.pending.threads.push(thread_row((process, pid), tid, name));
        }
    }

    fn begun(&mut self, call: &BegunCall) {
        if self.recording.log == LogKind::Events && self.takes_rows() {
            self.pending.events.push(begin_row(call));
        }
    }

    fn finished(&mut self, call: &FinishedCall) {
        if !self.takes_rows() {
            return;
        }
        if self.recording.log == LogKind::Events {
            self.pending.events.push(end_row(call));
            self.row_added(self.pending.events.len());
        } else if let Some(thinner) = &mut self.thinner {
            thinner.call(call, |call| self.pending.calls.push(call_row(call)));
            let rows = thinner.len().max(self.pending.calls.len());
            self.row_added(rows);
        } else {
            self.pending.calls.push(call_row(call));
            self.row_added(self.pending.calls.len());
        }
    }

    fn rss(&mut self, change: &RssChange) {
        if !self.takes_rows() || self.thinner.as_mut().is_some_and(|thinner| !thinner.change(change)) {
            return;
        }
        self.pending.rss.push(rss_row(change));
        self.row_added(self.pending.rss.len());
    }

    fn path(&mut self, path: &SampledPath) {
        self.pending.paths.push(path_row(path));
    }

    fn sample(&mut self, sample: &TakenSample) {
        if self.takes_rows() {
            self.pending.samples.push(sample_row(sample));
            self.row_added(self.pending.samples.len());
        }
    }

    fn thread_ended(&mut self, pid: u32, tid: u32) {
        self.thread_names.remove(&(pid, tid));
        if let Some(thinner) = &mut self.thinner {
            thinner.end_thread(pid, tid, |call| self.pending.calls.push(call_row(call)));
        }
    }

    fn tick(&mut self, status: &dyn Fn() -> Status) {
        if self.last_sent.elapsed() >= AGE {
            self.set_status(status());
            self.save();
        }
    }

    fn end(&mut self, report: &Report) -> Option<String> {
        let Report { window, processes, account, .. } = report;
        if let Some(thinner) = &mut self.thinner {
            thinner.finish(|call| self.pending.calls.push(call_row(call)));
        }
        self.set_status(Status { window: *window, processes: processes.clone(), account: account.clone() });
        self.recording.complete = true;
        self.close_segments();
        self.to_writer = None;
        if self.writer.take().is_some_and(|writer| writer.join().is_err()) {
            // Whatever failed before that is the better reason.
            let _ = self.failure.set("its thread failed".into());
        }
        self.failure().map(|failure| format!("the event log stopped: {failure}"))
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.to_writer = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
        if !self.started {
            let tables = tables(self.recording.log, self.thinner.is_some());
            self.folder.remove(&tables);
        }
    }
}
