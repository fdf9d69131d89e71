//! From the sums of a log back to the report that the recording ended with.

use rustc_hash::FxHashMap;

use super::Source;
use super::memory::Memory;
use super::scope::Scope;
use super::tree::CallTree;
use crate::functions::Row;
use crate::report::{FunctionReport, ProcessReport, Report, Status};
use crate::summary::FunctionSums;
use crate::units::{count, duration};

/// Memory that functions are charged with but that no call's row tells of: of calls that were open when the recording
/// was cut off, or that reach beyond the time range. By number of the thread and row of the function.
pub(super) fn rest(memory: &Memory, tree: &CallTree, source: &mut Source) -> Vec<((u32, Row), i64)> {
    // With globs, memory of unwanted functions is part of their callers'.
    if !source.scope().functions.is_all() {
        return Vec::new();
    }
    let mut rest: FxHashMap<(u32, Row), i64> = FxHashMap::default();
    for (&(pid, tid, function), bytes) in &memory.functions {
        let key = (source.number_of_thread(pid, tid), source.row_of(function, pid));
        *rest.entry(key).or_default() += bytes;
    }
    for (path, row, sums) in tree.calls() {
        if let Some(thread) = tree.paths.thread_of(path) {
            *rest.entry((thread, row)).or_default() -= sums.sums.own.rss_bytes;
        }
    }
    let mut rest: Vec<_> = rest.into_iter().filter(|(_, bytes)| *bytes != 0).collect();
    rest.sort_unstable();
    rest
}

/// The report.
pub(super) fn report(source: &Source, tree: &CallTree, memory: &Memory, last_ns: u64) -> Report {
    let recording = source.recording();
    let scope = source.scope();
    let mut status = recording.status.clone();
    if !recording.complete {
        let seen_ns = last_ns.max(memory.last_ns).saturating_sub(recording.start_monotonic_ns);
        status.window.duration_ns = status.window.duration_ns.max(seen_ns);
        status.account.notes.push("the recording was cut off: these numbers are of what was written".into());
    }
    if !(recording.complete && scope.is_all()) {
        bring_up_to_date(&mut status, memory, !scope.is_whole_time());
    }
    if let Some(gone) = &recording.gone {
        status.account.notes.push(gone.text(recording.start_monotonic_ns));
        if status.account.thinned.is_some() {
            status.account.notes.push("the time of calls that are gone is their callers' own".into());
        }
    }
    if !scope.is_all() {
        narrow(&mut status, source);
    }
    if tree.paths.cut() > 0 {
        status.account.notes.push(format!(
            "{} calls are in call trees as if their thread had called them: there are too many call paths",
            count(tree.paths.cut())
        ));
    }
    if let Some(thinned) = status.account.thinned {
        let notes = &mut status.account.notes;
        notes.push(thinned.text());
        notes.extend(limit_of_sums(scope).map(str::to_owned));
    }
    let mut rows: FxHashMap<Row, FunctionSums> = FxHashMap::default();
    for (_, row, sums) in tree.calls() {
        rows.entry(row).or_default().merge(&sums.sums);
    }
    let rows = rows.iter().map(|(&row, sums)| {
        let named = source.names().get(row);
        let process = (named.process, named.pid);
        if source.is_sampled() {
            FunctionReport::sampled(process, named.function.as_ref(), sums)
        } else {
            FunctionReport::new(process, named.function.as_ref(), sums)
        }
    });
    let mut report = Report::new(status, rows);
    // Those samples are of no part of the recording.
    if let Some(untraced) = recording.untraced.clone().filter(|_| scope.is_all()) {
        report.add_untraced(untraced);
    }
    report
}

/// What can't be had of the sums of what was left out of the log.
fn limit_of_sums(scope: &Scope) -> Option<&'static str> {
    if !scope.is_whole_time() {
        Some(
            "those sums can't be cut to a time range: they are left out here, and the time of such calls is their callers'",
        )
    } else if !scope.functions.is_all() {
        Some(
            "of those sums the self amounts are of the functions alone, and also part of those of callers in the log",
        )
    } else {
        None
    }
}

/// The latest process with this process id; one that the recording's description does not have yet is the next.
pub(super) fn number_of(processes: &[ProcessReport], pid: u32) -> usize {
    let known = processes.iter().rfind(|process| process.pid == pid);
    known.map_or_else(|| next_number(processes), |process| process.process)
}

fn next_number(processes: &[ProcessReport]) -> usize {
    processes.iter().map(|process| process.process + 1).max().unwrap_or(0)
}

/// The recorder's last word may be a second older than the rows, and is of the whole.
fn bring_up_to_date(status: &mut Status, memory: &Memory, is_part: bool) {
    let unmoved = |process: &&mut ProcessReport| is_part && !memory.processes.contains_key(&process.pid);
    for process in status.processes.iter_mut().filter(unmoved) {
        process.rss_end_bytes = process.rss_start_bytes;
        process.rss_peak_bytes = process.rss_start_bytes;
        (process.outside_rss_bytes, process.no_frame_rss_bytes) = (0, 0);
    }
    for (&pid, memory) in &memory.processes {
        let at = status.processes.iter().rposition(|process| process.pid == pid);
        let at = at.unwrap_or_else(|| {
            let process = next_number(&status.processes);
            let rss_start_bytes = memory.start.unwrap_or(0);
            status.processes.push(ProcessReport {
                process,
                pid,
                rss_start_bytes,
                ..ProcessReport::default()
            });
            status.processes.len() - 1
        });
        memory.bring_up_to_date(&mut status.processes[at], is_part);
    }
}

/// Cuts what is said of the whole to the part that is asked for, and says so.
fn narrow(status: &mut Status, source: &Source) {
    let scope = source.scope();
    status.processes.retain(|process| scope.has_process(process.pid));
    status.account.of_whole_recording = true;
    let window = &mut status.window;
    let notes = &mut status.account.notes;
    if scope.is_whole_time() {
        notes.push(
            "these numbers are of a part of the recording; the account and the cost are of all of it".into(),
        );
    } else {
        let end_ns = scope.time_ns.end.min(window.duration_ns);
        let start_ns = scope.time_ns.start.min(end_ns);
        notes.push(format!(
            "these numbers are of {} to {} of the window; the account and the cost are of all of it",
            duration(start_ns),
            duration(end_ns)
        ));
        if source.cut() > 0 {
            notes.push(format!(
                "{} calls reach beyond that: their wall time is cut, their own CPU time, faults and memory by call \
                 path are not known",
                count(source.cut())
            ));
        }
        window.start_unix_ns += start_ns;
        window.duration_ns = end_ns - start_ns;
    }
    if !scope.functions.is_all() {
        notes.push("time and memory of functions that are not asked for are part of their callers'".into());
    }
}
