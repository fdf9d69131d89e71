//! Resident memory over time, and the calls that added most of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::functions::{Names, Number};
use crate::analysis::paths::Paths;
use crate::analysis::{Source, Visit};
use crate::event::Member;
use crate::functions::Row;
use crate::log::rows::{amount, member};
use crate::log::schema::RssRow;
use crate::report::Report;

/// Pieces that the window is cut into; of each the highest and the last value are drawn.
const PIECES: u64 = 800;
/// Growths that are marked.
const MARKS: usize = 12;
/// Processes that get a line: those with the highest peaks.
const LINES: usize = 12;

/// A value that changes over time: time and value, where it is highest and at the end of each piece of the window.
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
    /// The calls that added most, each without what it called.
    growths: Vec<Growth>,
    /// Changes that the log does not hold one by one: they are in no curve.
    left_out: u64,
}

impl Timeline {
    /// Reads the changes of memory. `start_ns`: beginning of the window; `calls`: what was seen of the calls.
    pub(super) fn read(
        source: &mut Source,
        report: &Report,
        start_ns: u64,
        calls: CallsSeen,
        names: &mut Names,
    ) -> Self {
        let mut processes: BTreeMap<u32, Drawing> = BTreeMap::new();
        let mut kinds = [Member::Anon, Member::File, Member::Shmem, Member::Swap]
            .map(|member| (member, 0, Drawing::new((0, 0), report.window.duration_ns)));
        source.rss(|row: &RssRow| {
            let Some(member) = member(row.member) else { return };
            let time_ns = amount(row.time_ns).saturating_sub(start_ns);
            if member.in_rss() {
                let pid = row.pid as u32;
                let drawing = processes.entry(pid).or_insert_with(|| drawing(report, pid, time_ns));
                drawing.set(time_ns, row.total);
            }
            for (_, value, drawing) in kinds.iter_mut().filter(|(kind, ..)| *kind == member) {
                *value += row.delta;
                drawing.set(time_ns, *value);
            }
        });
        let mut processes: Vec<_> = processes.into_iter().collect();
        processes.sort_by_key(|(_, drawing)| Reverse(drawing.peak));
        let left_out = processes.split_off(processes.len().min(LINES)).len();
        let last_ns = &calls.last_ns;
        let seen_ns = |pid| last_ns.get(&pid).map_or(0, |last_ns| last_ns.saturating_sub(start_ns));
        let duration_ns = report.window.duration_ns;
        let changed = kinds.into_iter().filter(|(_, _, drawing)| drawing.has_changed);
        Self {
            processes: processes
                .into_iter()
                .map(|(pid, drawing)| (pid, drawing.finish(seen_ns(pid))))
                .collect(),
            processes_left_out: left_out,
            kinds: changed.map(|(member, _, drawing)| (name(member), drawing.finish(duration_ns))).collect(),
            growths: calls.growths(source, start_ns, names),
            left_out: report.account.thinned.map_or(0, |thinned| thinned.rss_changes),
        }
    }
}

/// The curve of a process: from the beginning on, or from its first change if it was forked meanwhile.
fn drawing(report: &Report, pid: u32, first_ns: u64) -> Drawing {
    let process = report.processes.iter().find(|process| process.pid == pid);
    let start = process.map_or(0, |process| process.rss_start_bytes);
    let is_forked = process.is_some_and(|process| process.parent.is_some());
    Drawing::new((if is_forked { first_ns } else { 0 }, start), report.window.duration_ns)
}

fn name(member: Member) -> &'static str {
    match member {
        Member::File => "file",
        Member::Anon => "anonymous",
        Member::Swap => "swapped out",
        Member::Shmem => "shared",
    }
}

/// A curve that is being drawn.
struct Drawing {
    curve: Curve,
    piece_ns: u64,
    highest: (u64, i64),
    last: (u64, i64),
    end_ns: u64,
    peak: i64,
    has_changed: bool,
}

impl Drawing {
    fn new(start: (u64, i64), end_ns: u64) -> Self {
        let piece_ns = (end_ns / PIECES).max(1);
        let (highest, last) = (start, start);
        Self { curve: vec![start], piece_ns, highest, last, end_ns, peak: start.1, has_changed: false }
    }

    /// Later values come later, but for some that are written late: those count as if they came when they are written.
    fn set(&mut self, time_ns: u64, value: i64) {
        let time_ns = time_ns.clamp(self.last.0, self.end_ns.max(self.last.0));
        let is_new_piece = time_ns / self.piece_ns != self.last.0 / self.piece_ns;
        if is_new_piece {
            self.close();
        }
        if is_new_piece || value > self.highest.1 {
            self.highest = (time_ns, value);
        }
        self.last = (time_ns, value);
        self.peak = self.peak.max(value);
        self.has_changed = true;
    }

    fn close(&mut self) {
        for point in [self.highest, self.last] {
            if self.curve.last() != Some(&point) {
                self.curve.push(point);
            }
        }
    }

    /// `seen_ns`: as long as it is known that there is a value.
    fn finish(mut self, seen_ns: u64) -> Curve {
        self.close();
        let end = (seen_ns.min(self.end_ns).max(self.last.0), self.last.1);
        if self.curve.last() != Some(&end) {
            self.curve.push(end);
        }
        self.curve
    }
}

/// What the drawing needs to know of the calls.
#[derive(Default)]
pub(super) struct CallsSeen {
    /// Those that added most memory themselves; the smallest is on top.
    largest: BinaryHeap<Reverse<(i64, Reverse<u64>, Kept)>>,
    /// When the last call of each process ended.
    last_ns: FxHashMap<u32, u64>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    pid: u32,
    tid: u32,
    end_ns: u64,
    /// Outermost first.
    stack: Vec<Row>,
}

/// A call that added much memory.
#[derive(Serialize)]
pub(super) struct Growth {
    bytes: i64,
    start_ns: u64,
    end_ns: u64,
    pid: u32,
    tid: u32,
    /// The call and those it was made from, outermost first.
    stack: Vec<Number>,
}

impl CallsSeen {
    /// Looks at a call.
    pub(super) fn add(&mut self, visit: &Visit, paths: &Paths) {
        let call = &visit.call;
        let last_ns = self.last_ns.entry(call.pid).or_default();
        *last_ns = call.end_ns.max(*last_ns);
        let bytes = call.own.rss_bytes;
        let least = match self.largest.peek() {
            Some(Reverse((least, ..))) if self.largest.len() == MARKS => *least,
            _ => 0,
        };
        if bytes <= least {
            return;
        }
        let kept = Kept { pid: call.pid, tid: call.tid, end_ns: call.end_ns, stack: paths.stack(visit.path) };
        self.largest.push(Reverse((bytes, Reverse(call.start_ns), kept)));
        if self.largest.len() > MARKS {
            self.largest.pop();
        }
    }

    /// The calls that added most; the largest comes first.
    fn growths(self, source: &Source, start_ns: u64, names: &mut Names) -> Vec<Growth> {
        let sorted = self.largest.into_sorted_vec().into_iter();
        sorted
            .map(|Reverse((bytes, Reverse(begin_ns), Kept { pid, tid, end_ns, stack }))| Growth {
                bytes,
                start_ns: begin_ns.saturating_sub(start_ns),
                end_ns: end_ns.saturating_sub(start_ns),
                pid,
                tid,
                stack: stack.into_iter().map(|row| names.of_row(source, row)).collect(),
            })
            .collect()
    }
}
