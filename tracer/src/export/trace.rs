//! A recording as exports that show time need it: the calls or samples of each thread in order, and what is to be said of
//! the whole.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use super::label;
use super::notes::notes;
use crate::analysis::paths::Paths;
use crate::analysis::samples::Samples;
use crate::analysis::timeline::{Span, Timeline};
use crate::analysis::{Source, source::Summary};
use crate::event::Function;
use crate::functions::Row;
use crate::log::LogKind;
use crate::report::{Account, ProcessReport, Report, UNNAMED};

/// A part of a recording that has been read.
#[derive(Debug)]
pub(super) struct Trace<'a, T = Timeline> {
    pub(super) source: &'a mut Source,
    /// Its calls, or its samples.
    pub(super) timeline: T,
    /// Its report.
    pub(super) report: Report,
    /// Of samples, their call paths.
    pub(super) paths: Paths,
    /// Process and thread ids, by the number of the thread.
    ids: Vec<(u32, u32)>,
    /// When the first call or sample of each thread began, monotonic nanoseconds.
    first_ns: Vec<Option<u64>>,
    /// Functions that were called, by row.
    called: Vec<bool>,
}

/// Of a recording of samples.
pub(super) type SampledTrace<'a> = Trace<'a, Samples>;

const NO_ROOM: &str = "can't keep them in a temporary file: let TMPDIR name a folder with more room";

/// What is said of the whole, beside the calls.
#[derive(Debug, Serialize)]
pub(super) struct About<'a> {
    /// Who wrote it.
    pub(super) exporter: String,
    /// Command line of the recorder.
    arguments: &'a [String],
    /// Beginning of what is shown, as people write it (UTC).
    pub(super) start: String,
    /// The same in nanoseconds since 1970.
    start_unix_ns: u64,
    /// The same on the monotonic clock.
    start_monotonic_ns: u64,
    duration_ns: u64,
    /// False: the recording was cut off.
    complete: bool,
    /// What was lost, repaired, left out or could not be read, in words.
    notes: Vec<String>,
    /// The same in numbers.
    account: &'a Account,
    processes: &'a [ProcessReport],
}

impl<'a> Trace<'a> {
    /// Reads a part of a recording.
    ///
    /// # Errors
    /// If it has no calls but in sums, or they find no room.
    pub(super) fn read(source: &'a mut Source) -> Result<Self> {
        if source.recording().log == LogKind::Totals {
            bail!(
                "the recording has sums only (--log totals), no calls over time: export as pprof, callgrind or pstats"
            );
        }
        if source.is_sampled() {
            bail!(
                "the recording is sampled, it has no calls over time: export as speedscope, firefox, pprof or collapsed"
            );
        }
        let read = source.timeline_and_summary();
        let (timeline, Summary { report, tree }) = read.context(NO_ROOM)?;
        let mut called = vec![false; source.names().len()];
        for (_, row, sums) in tree.calls() {
            called[row as usize] |= sums.sums.activations > 0;
        }
        let ids = timeline.threads().to_vec();
        let first_ns = (0..ids.len()).map(|number| timeline.first_ns(number)).collect::<Result<_, _>>()?;
        Ok(Self { source, timeline, report, paths: Paths::default(), ids, first_ns, called })
    }

    /// The coroutine that a call is a step of, if it is of one.
    pub(super) fn coroutine(&self, span: &Span) -> Option<u64> {
        (span.instance != 0 && self.source.names().get(span.row).is_coroutine()).then_some(span.instance)
    }
}

impl<'a> SampledTrace<'a> {
    /// Reads a part of a recording of samples.
    ///
    /// # Errors
    /// If they find no room.
    pub(super) fn read_samples(source: &'a mut Source) -> Result<Self> {
        let (timeline, Summary { report, tree }) = source.samples_and_summary().context(NO_ROOM)?;
        let mut called = vec![false; source.names().len()];
        for (path, row, _) in tree.calls() {
            called[row as usize] |= tree.get(path).total.wall_ns > 0;
        }
        let ids = timeline.threads().to_vec();
        let first_ns = (0..ids.len()).map(|number| timeline.first_ns(number)).collect();
        Ok(Self { source, timeline, report, paths: tree.paths, ids, first_ns, called })
    }
}

impl<T> Trace<'_, T> {
    /// Threads by number, with process and thread id.
    pub(super) fn threads(&self) -> impl Iterator<Item = (usize, (u32, u32))> + use<T> {
        self.ids.clone().into_iter().enumerate()
    }

    /// All processes that there is something to show of.
    pub(super) fn pids(&self) -> BTreeSet<u32> {
        let threads = self.ids.iter().map(|&(pid, _)| pid);
        threads.chain(self.report.processes.iter().map(|process| process.pid)).collect()
    }

    /// A process by its id, the latest if there were several.
    pub(super) fn process(&self, pid: u32) -> Option<&ProcessReport> {
        self.report.processes.iter().rfind(|process| process.pid == pid)
    }

    /// What to call a process: its command line.
    pub(super) fn process_name(&self, pid: u32) -> String {
        let command = self.process(pid).and_then(|process| process.command.clone());
        command.unwrap_or_else(|| format!("process {pid}"))
    }

    /// What to call a thread, by its number.
    pub(super) fn thread_name(&self, number: usize) -> String {
        let (pid, tid) = self.ids[number];
        match self.source.thread_name(number as u32) {
            Some(name) => format!("{name} {tid}"),
            None if pid == tid => format!("main thread {tid}"),
            None => format!("thread {tid}"),
        }
    }

    /// Functions that were called.
    pub(super) fn called(&self) -> impl Iterator<Item = Row> {
        (0..).zip(&self.called).filter_map(|(row, &called)| called.then_some(row))
    }

    /// The names of a function.
    pub(super) fn function(&self, row: Row) -> Option<&Function> {
        self.source.names().get(row).function.as_ref()
    }

    /// Functions with their places, by row; of those that were not called, nothing.
    pub(super) fn labels(&self) -> Vec<String> {
        let label =
            |(row, &called): (Row, &bool)| if called { label(self.function(row)) } else { String::new() };
        (0..).zip(&self.called).map(label).collect()
    }

    /// What to call a function.
    pub(super) fn name(&self, row: Row) -> &str {
        self.function(row).map_or(UNNAMED, |function| &function.name)
    }

    /// When the first call or sample of a thread began, monotonic nanoseconds; of the thread by number.
    pub(super) fn first_ns(&self, number: usize) -> Option<u64> {
        self.first_ns[number]
    }

    /// Beginning of what is shown, monotonic nanoseconds.
    pub(super) fn start_ns(&self) -> u64 {
        self.report.window.start_unix_ns.wrapping_sub(self.clock_offset_ns())
    }

    /// Its end.
    pub(super) fn end_ns(&self) -> u64 {
        self.start_ns().saturating_add(self.report.window.duration_ns)
    }

    /// To be added to a time, modulo 2^64, to get nanoseconds since 1970.
    pub(super) fn clock_offset_ns(&self) -> u64 {
        self.source.recording().clock_offset_ns as u64
    }

    /// A word on how the recording was made, to follow a name: of calls nothing, they are what everybody expects.
    pub(super) fn sampled(&self) -> String {
        let sampling = &self.report.account.sampling;
        sampling.map_or_else(String::new, |sampling| format!(", {}", sampling.words()))
    }

    /// What is to be said of the whole.
    pub(super) fn about(&self) -> About<'_> {
        let recording = self.source.recording();
        let start_unix_ns = self.report.window.start_unix_ns;
        About {
            exporter: format!("pytracer {}{}", env!("CARGO_PKG_VERSION"), self.sampled()),
            arguments: &recording.arguments,
            start: jiff::Timestamp::from_nanosecond(i128::from(start_unix_ns))
                .map_or_else(|_| start_unix_ns.to_string(), |time| time.to_string()),
            start_unix_ns,
            start_monotonic_ns: self.start_ns(),
            duration_ns: self.report.window.duration_ns,
            complete: recording.complete,
            notes: notes(self.source, &self.report),
            account: &self.report.account,
            processes: &self.report.processes,
        }
    }
}

/// Where a call was cut, if it was: its time is then not that of the whole call.
pub(super) fn cut(span: &Span) -> Option<&'static str> {
    match (span.is_cut_at_start(), span.is_cut_at_end()) {
        (true, true) => Some("beginning and end"),
        (true, false) => Some("beginning"),
        (false, true) => Some("end"),
        (false, false) => None,
    }
}
