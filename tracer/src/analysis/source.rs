//! A recording, and the part of it that is asked for: where reports, views and exports get what they show.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::ops::{ControlFlow, Range};
use std::path::Path;

use rustc_hash::FxHashMap;

use super::memory::Memory;
use super::names::Names;
use super::paths::Paths;
use super::rebuild;
use super::rss_history::Mover;
use super::sampled::Reading;
use super::samples::{Samples, TimeSample};
use super::scope::Scope;
use super::thinned::Thinned;
use super::timeline::Timeline;
use super::tree::CallTree;
use super::walk::{Damage, Threads, Visit, Walk};
use crate::correction::Correction;
use crate::event::FunctionId;
use crate::functions::Row;
use crate::log::gone::Gone;
use crate::log::recording::Recording;
use crate::log::rows::{amount, text};
use crate::log::schema::{
    CallRows, EventRows, FunctionRows, PathRows, RssRow, RssRows, SampleRows, ThinnedRows, ThreadRows,
};
use crate::log::sums::Sums;
use crate::log::{Log, LogError, LogKind};
use crate::report::{Account, Report};

/// A part of a recording.
#[derive(Debug)]
pub struct Source {
    log: Log,
    scope: Scope,
    /// The time range, monotonic nanoseconds.
    range: Range<u64>,
    names: Names,
    /// By process and thread id.
    thread_names: FxHashMap<(u32, u32), String>,
    threads: Threads,
    damage: Damage,
    cut: u64,
    progress: Progress,
}

/// Told after each segment of calls how many were read, and how many there are to read.
pub struct Progress(Option<Box<dyn FnMut(u64, u64) + Send>>);

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Progress").field(&self.0.is_some()).finish()
    }
}

/// The sums of a part of a recording.
#[derive(Debug)]
pub struct Summary {
    /// The report.
    pub report: Report,
    /// The same by call path.
    pub tree: CallTree,
}

impl Source {
    /// Opens the recording in a folder. Of one whose oldest rows are gone the part that is known is asked for.
    ///
    /// # Errors
    /// If there is none, or one of a newer version.
    pub fn open(dir: &Path, mut scope: Scope) -> Result<Self, LogError> {
        let mut log = Log::open(dir)?;
        let mut names = Names::default();
        log.each(|segment: &FunctionRows| names.add(segment));
        let mut thread_names = FxHashMap::default();
        log.each(|segment: &ThreadRows| {
            let names = segment.iter().map(|row| ((row.pid as u32, row.tid as u32), text(&row.name)));
            thread_names.extend(names);
        });
        let start_ns = log.recording().start_monotonic_ns;
        scope.time_ns.start = scope.time_ns.start.max(known_from_ns(log.recording()));
        let range = if scope.is_whole_time() {
            0..u64::MAX
        } else {
            start_ns.saturating_add(scope.time_ns.start)..start_ns.saturating_add(scope.time_ns.end)
        };
        Ok(Self {
            log,
            scope,
            range,
            names,
            thread_names,
            threads: Threads::default(),
            damage: Damage::default(),
            cut: 0,
            progress: Progress(None),
        })
    }

    /// Has somebody told how far reading is: after each segment of calls, how many were read of how many.
    pub fn on_progress(&mut self, progress: impl FnMut(u64, u64) + Send + 'static) {
        self.progress = Progress(Some(Box::new(progress)));
    }

    /// What was recorded.
    pub fn recording(&self) -> &Recording {
        self.log.recording()
    }

    /// What was lost or is not known of the whole recording.
    pub fn account(&self) -> &Account {
        &self.recording().status.account
    }

    /// The part that is asked for.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The functions, by [`crate::functions::Row`].
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Threads as process and thread id, by their number in call paths and visits; known once calls were read.
    pub fn threads(&self) -> &[(u32, u32)] {
        self.threads.ids()
    }

    /// What a thread is called, by its number, as far as that is known. Escape where shown.
    pub fn thread_name(&self, number: u32) -> Option<&str> {
        let id = self.threads.ids().get(number as usize)?;
        self.thread_names.get(id).map(String::as_str)
    }

    /// How durations are corrected; `None`: what the probes took was not measured.
    pub fn correction(&self) -> Option<Correction> {
        let account = self.account();
        let all_known = account.thinned.is_none() && !account.filtered;
        account.calibration.map(|calibration| Correction { calibration, all_known })
    }

    /// Calls cut to the time range, of those last read.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// What is wrong with the log, as far as it was read.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.log.warnings().to_vec();
        if self.damage.unknown_codes > 0 {
            warnings.push(format!(
                "{} rows left out: they hold codes that this pytracer does not know",
                self.damage.unknown_codes
            ));
        }
        let unended = if self.recording().complete { self.damage.unended } else { 0 };
        let halves = self.damage.unbegun + unended;
        if halves > 0 {
            warnings.push(format!("{halves} events left out: the other half of their call is missing"));
        }
        warnings
    }

    /// Hands on every call, what was called before its caller, later calls first, and returns their paths.
    pub fn calls(&mut self, mut take: impl FnMut(&Visit, &Paths)) -> Paths {
        let Ok(paths) = self.try_calls(|visit, paths| {
            take(visit, paths);
            Ok::<_, Infallible>(())
        });
        paths
    }

    /// The same, up to the first error of `take`.
    ///
    /// # Errors
    /// That one.
    pub fn try_calls<E>(
        &mut self,
        mut take: impl FnMut(&Visit, &Paths) -> Result<(), E>,
    ) -> Result<Paths, E> {
        let processes = self.recording().status.processes.clone();
        let process = |pid| rebuild::number_of(&processes, pid);
        let names = std::mem::take(&mut self.names);
        let scope = self.scope.clone();
        let mut walk = Walk::new(&scope, self.range.clone(), names);
        let Self { log, progress, .. } = self;
        let (mut read, all) = (0, (log.segments::<CallRows>() + log.segments::<EventRows>()) as u64);
        let result = Cell::new(Ok(()));
        let failed = Cell::new(false);
        let mut take = |visit: &Visit, paths: &Paths| {
            if !failed.get() {
                let taken = take(visit, paths);
                failed.set(taken.is_err());
                result.set(taken);
            }
        };
        let mut go_on = || {
            read += 1;
            if let Some(progress) = &mut progress.0 {
                progress(read, all);
            }
            if failed.get() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match log.recording().log {
            LogKind::Calls => log.each_backward(|rows: &CallRows| {
                rows.iter().rev().for_each(|row| walk.call(&row, process, &mut take));
                go_on()
            }),
            LogKind::Events => log.each_backward(|rows: &EventRows| {
                rows.iter().rev().for_each(|row| walk.event(&row, process, &mut take));
                go_on()
            }),
            LogKind::Totals | LogKind::Samples => {}
        }
        walk.finish(log.recording().gone.is_some(), &mut take);
        (self.damage, self.cut) = (walk.damage, walk.cut);
        let (names, threads, paths) = walk.into_parts();
        (self.names, self.threads) = (names, threads);
        result.into_inner().map(|()| paths)
    }

    /// Hands on every change of resident memory in the time range, earlier ones first.
    pub fn rss(&mut self, mut take: impl FnMut(&RssRow)) {
        let Self { log, scope, range, .. } = self;
        log.each(|rows: &RssRows| {
            rows.iter()
                .filter(|row| scope.has_process(row.pid as u32))
                .filter(|row| (range.start..=range.end).contains(&amount(row.time_ns)))
                .for_each(|row| take(&row));
        });
    }

    /// Reads the sums. `also` gets every call besides, as [`Source::calls`] hands them on.
    pub fn summary(&mut self, also: impl FnMut(&Visit, &Paths)) -> Summary {
        self.sums(also, |_| {})
    }

    /// The same of samples: `also` gets every one of a thread that ran or waited, about in the order of time.
    pub fn summary_of_samples(&mut self, also: impl FnMut(&TimeSample)) -> Summary {
        self.sums(|_, _| {}, also)
    }

    fn sums(&mut self, mut also: impl FnMut(&Visit, &Paths), of_sample: impl FnMut(&TimeSample)) -> Summary {
        let mut tree = CallTree::default();
        let mut last_ns = 0;
        let paths = self.calls(|visit, paths| {
            last_ns = last_ns.max(visit.call.end_ns);
            tree.add(visit);
            also(visit, paths);
        });
        let mut memory = self.memory();
        tree.set_paths(paths);
        if self.is_sampled() {
            last_ns = self.samples(&mut tree, of_sample);
        }
        self.thinned(&mut memory).put(&mut tree);
        for (of, bytes) in rebuild::rest(&memory, &tree, self) {
            tree.add_rest(of, bytes);
        }
        tree.add_up();
        if self.is_sampled() {
            tree.set_cumulative();
        }
        let report = rebuild::report(self, &tree, &memory, last_ns);
        Summary { report, tree }
    }

    /// Are there samples instead of calls?
    pub fn is_sampled(&self) -> bool {
        self.recording().log == LogKind::Samples
    }

    /// Adds the samples to a tree. The time of the last one.
    fn samples(&mut self, tree: &mut CallTree, mut also: impl FnMut(&TimeSample)) -> u64 {
        let processes = self.recording().status.processes.clone();
        let Self { log, scope, range, names, threads, damage, .. } = self;
        let mut reading = Reading::new(names, threads, scope, &processes);
        log.each(|rows: &PathRows| rows.iter().for_each(|row| reading.path(&row)));
        let mut last_ns = 0;
        log.each(|rows: &SampleRows| {
            for row in rows.iter().filter(|row| scope.has_thread(row.pid as u32, row.tid as u32)) {
                let time_ns = amount(row.time_ns);
                if (range.start..=range.end).contains(&time_ns) {
                    last_ns = time_ns.max(last_ns);
                    damage.unknown_codes += u64::from(reading.add(&row, tree, &mut also).is_err());
                }
            }
        });
        last_ns
    }

    /// Reads the calls in the order in which they began.
    ///
    /// # Errors
    /// If they find no room in the folder for temporary files.
    pub fn timeline(&mut self) -> io::Result<Timeline> {
        let mut timeline = Timeline::new()?;
        self.try_calls(|visit, _| timeline.add(visit))?;
        timeline.finish(&self.threads);
        Ok(timeline)
    }

    /// The same with the sums, which are read on the way.
    ///
    /// # Errors
    /// As [`Source::timeline`].
    pub fn timeline_and_summary(&mut self) -> io::Result<(Timeline, Summary)> {
        let mut timeline = Timeline::new()?;
        let mut result = Ok(());
        let summary = self.summary(|visit, _| {
            if result.is_ok() {
                result = timeline.add(visit);
            }
        });
        result?;
        timeline.finish(&self.threads);
        Ok((timeline, summary))
    }

    /// Reads the samples in the order of time, and the sums with them.
    ///
    /// # Errors
    /// As [`Source::timeline`].
    pub fn samples_and_summary(&mut self) -> io::Result<(Samples, Summary)> {
        let mut samples = Samples::new()?;
        let mut result = Ok(());
        let summary = self.summary_of_samples(|sample| {
            if result.is_ok() {
                result = samples.add(sample);
            }
        });
        result?;
        samples.finish(&self.threads);
        Ok((samples, summary))
    }

    /// What was left out of the log. The sums of a segment can't be cut to a time range: then they are left out too.
    fn thinned(&mut self, memory: &mut Memory) -> Thinned {
        let mut thinned = Thinned::default();
        if self.scope.is_whole_time() {
            let mut sums = Sums::default();
            self.log.each(|rows: &ThinnedRows| rows.iter().for_each(|row| sums.add(&row)));
            for row in sums.into_rows() {
                thinned.add(&row, memory, self);
            }
        }
        thinned
    }

    /// Is a function asked for?
    pub(super) fn is_wanted(&self, row: Row) -> bool {
        self.scope.wants(self.names.get(row).function.as_ref())
    }

    /// The beginning of the time range that is asked for, monotonic nanoseconds.
    pub fn start_ns(&self) -> u64 {
        self.range.start.max(self.recording().start_monotonic_ns)
    }

    /// A function as one that moved memory.
    pub(super) fn mover(&mut self, function: FunctionId, pid: u32) -> Mover {
        let row = self.row_of(function, pid);
        if self.is_wanted(row) { Mover::Function(row) } else { Mover::NotAskedFor }
    }

    /// The row of a function id, which gets one if it has none.
    pub(super) fn row_of(&mut self, function: FunctionId, pid: u32) -> Row {
        self.names.row(function).unwrap_or_else(|| {
            let process = rebuild::number_of(&self.recording().status.processes, pid);
            self.names.add_unnamed(function, process, pid)
        })
    }

    pub(super) fn number_of_thread(&mut self, pid: u32, tid: u32) -> u32 {
        self.threads.number(pid, tid)
    }

    fn memory(&mut self) -> Memory {
        let mut memory = Memory::default();
        let Self { log, scope, range, .. } = self;
        log.each(|rows: &RssRows| {
            for row in rows.iter().filter(|row| scope.has_process(row.pid as u32)) {
                memory.add(&row, range, scope.has_change(row.pid as u32, row.tid));
            }
        });
        self.damage.unknown_codes += memory.unknown_codes;
        memory
    }
}

/// From when on a log has everything, nanoseconds since its beginning. Sums of what was left out have no time: a log that
/// has such is taken as it is.
fn known_from_ns(recording: &Recording) -> u64 {
    if recording.status.account.thinned.is_some() {
        return 0;
    }
    let gone_ns = recording.gone.as_ref().and_then(Gone::to_ns);
    gone_ns.map_or(0, |to_ns| (to_ns + 1).saturating_sub(recording.start_monotonic_ns))
}
