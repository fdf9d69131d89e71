//! Resident memory over time, and the calls that added most of it.

use std::cmp::Reverse;

use serde::Serialize;

use super::functions::{Names, Number};
use super::{CorrectedTime, corrected};
use crate::analysis::rss_history::{Bucket, History, histories};
use crate::analysis::samples::TimeSample;
use crate::analysis::top_calls::TopCalls;
use crate::analysis::tree::CallTree;
use crate::analysis::{Source, Visit};
use crate::event::{Member, Origin};
use crate::report::Report;

/// Parts of the window; of each the highest and the last value are drawn.
const PARTS: usize = 800;
/// Growths that are marked.
const MARKS: usize = 12;
/// Processes that get a line: those with the highest peaks.
const LINES: usize = 12;

/// A value that changes over time: time and value.
type Curve = Vec<(u64, i64)>;

/// What is drawn.
#[derive(Serialize)]
pub(super) struct Timeline {
    /// Resident memory of processes, by process id.
    processes: Vec<(u32, Curve)>,
    /// Processes without a line.
    processes_left_out: usize,
    /// Change of each kind since the beginning, of all processes together.
    kinds: Vec<(&'static str, Curve)>,
    /// The calls that added most, each without what it called; of samples there are none.
    growths: Vec<Growth>,
    /// Changes that the log does not hold one by one: they are in no curve.
    left_out: u64,
}

/// A call that added much memory.
#[derive(Serialize)]
struct Growth {
    bytes: i64,
    start_ns: u64,
    end_ns: u64,
    pid: u32,
    tid: u32,
    /// Its length is an upper bound.
    late: bool,
    corrected: Option<CorrectedTime>,
    /// The call and those it was made from, outermost first.
    stack: Vec<Number>,
}

/// What the drawing needs to know of the calls, or of the samples.
pub(super) struct CallsSeen {
    growths: TopCalls,
    /// When the last one of each thread ended, by the thread's number.
    last_ns: Vec<u64>,
}

impl Default for CallsSeen {
    fn default() -> Self {
        Self { growths: TopCalls::new(MARKS), last_ns: Vec::new() }
    }
}

impl CallsSeen {
    /// Looks at a call.
    pub(super) fn add(&mut self, visit: &Visit) {
        let call = &visit.call;
        self.seen(visit.thread, call.end_ns);
        self.growths.add(visit, u64::try_from(call.own.rss_bytes).unwrap_or(0));
    }

    /// Looks at a sample.
    pub(super) fn add_sample(&mut self, sample: &TimeSample) {
        let waited_ns = if sample.origin == Origin::OffCpu { sample.weight_ns } else { 0 };
        self.seen(sample.thread, sample.time_ns.saturating_add(waited_ns));
    }

    fn seen(&mut self, thread: u32, time_ns: u64) {
        let thread = thread as usize;
        if thread >= self.last_ns.len() {
            self.last_ns.resize(thread + 1, 0);
        }
        self.last_ns[thread] = time_ns.max(self.last_ns[thread]);
    }

    /// When something was seen last of a process, monotonic nanoseconds; 0: never.
    fn last_ns(&self, source: &Source, pid: u32) -> u64 {
        let threads = source.threads().iter().zip(&self.last_ns);
        threads.filter(|((of, _), _)| *of == pid).map(|(_, &last_ns)| last_ns).max().unwrap_or(0)
    }
}

impl Timeline {
    /// Reads the changes of memory.
    pub(super) fn read(
        source: &mut Source,
        report: &Report,
        tree: &CallTree,
        calls: CallsSeen,
        names: &mut Names,
    ) -> Self {
        let start_ns = source.start_ns();
        let mut histories = histories(source, report, PARTS);
        let part_ns = (report.window.duration_ns / PARTS as u64).max(1);
        let kinds = kinds(&histories, part_ns);
        histories.retain(|history| history.buckets.iter().any(has_changed));
        histories
            .sort_by_key(|history| Reverse(history.buckets.iter().map(|bucket| bucket.peak_bytes).max()));
        let left_out = histories.split_off(histories.len().min(LINES)).len();
        let seen_ns = |pid| calls.last_ns(source, pid).saturating_sub(start_ns);
        let curve = |history: &History| curve(history, report, part_ns, seen_ns(history.pid));
        Self {
            processes: histories.iter().map(|history| (history.pid, curve(history))).collect(),
            processes_left_out: left_out,
            kinds,
            growths: growths(calls.growths, source, tree, names),
            left_out: report.account.thinned.map_or(0, |thinned| thinned.rss_changes),
        }
    }
}

fn has_changed(bucket: &Bucket) -> bool {
    bucket.kinds != [0; 4]
}

/// The curve of a process: from the beginning on, or from its first change if it was forked meanwhile, to the last that
/// was seen of it.
fn curve(history: &History, report: &Report, part_ns: u64, seen_ns: u64) -> Curve {
    let process = report.processes.iter().rfind(|process| process.pid == history.pid);
    let start = process.map_or(0, |process| process.rss_start_bytes);
    let is_forked = process.is_some_and(|process| process.parent.is_some());
    let buckets = &history.buckets;
    let first = if is_forked { buckets.iter().position(has_changed).unwrap_or(0) } else { 0 };
    let last = buckets.iter().rposition(has_changed).unwrap_or(0);
    let last = last.max((seen_ns / part_ns) as usize).min(PARTS - 1);
    let mut curve = vec![(first as u64 * part_ns, start)];
    for (bucket, part) in buckets[first..=last].iter().zip(first as u64..) {
        for point in
            [(part * part_ns + part_ns / 2, bucket.peak_bytes), ((part + 1) * part_ns, bucket.rss_bytes)]
        {
            draw(&mut curve, point);
        }
    }
    curve
}

/// The change of each kind that there was, since the beginning.
fn kinds(histories: &[History], part_ns: u64) -> Vec<(&'static str, Curve)> {
    let members = [Member::Anon, Member::File, Member::Shmem, Member::Swap];
    let curves = members.map(|member| {
        let mut value = 0;
        let mut curve = vec![(0, 0)];
        for part in 0..PARTS {
            value +=
                histories.iter().map(|history| history.buckets[part].kinds[member as usize]).sum::<i64>();
            draw(&mut curve, ((part as u64 + 1) * part_ns, value));
        }
        (name(member), curve)
    });
    curves.into_iter().filter(|(_, curve)| curve.iter().any(|(_, value)| *value != 0)).collect()
}

/// Adds a point; a line that goes on as it was needs only its end.
fn draw(curve: &mut Curve, point: (u64, i64)) {
    if let [.., before, last] = &mut curve[..]
        && before.1 == last.1
        && last.1 == point.1
    {
        *last = point;
    } else {
        curve.push(point);
    }
}

fn name(member: Member) -> &'static str {
    match member {
        Member::File => "file",
        Member::Anon => "anonymous",
        Member::Swap => "swapped out",
        Member::Shmem => "shared",
    }
}

fn growths(calls: TopCalls, source: &Source, tree: &CallTree, names: &mut Names) -> Vec<Growth> {
    let growth = |visit: Visit| {
        let call = visit.call;
        let stack = tree.paths.stack(visit.path);
        Growth {
            bytes: call.own.rss_bytes,
            start_ns: call.start_ns.saturating_sub(source.start_ns()),
            end_ns: call.end_ns.saturating_sub(source.start_ns()),
            pid: call.pid,
            tid: call.tid,
            late: call.ended.is_late(),
            corrected: corrected(source, &visit),
            stack: stack.into_iter().map(|row| names.of_row(source, row)).collect(),
        }
    };
    calls.finish().into_iter().map(growth).collect()
}
