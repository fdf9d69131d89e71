//! Resident memory over time, and the calls that added most of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

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
    /// Reads the changes of memory. `start_ns`: beginning of the window.
    pub(super) fn read(source: &mut Source, report: &Report, start_ns: u64, growths: Vec<Growth>) -> Self {
        let duration_ns = report.window.duration_ns;
        let start =
            |pid| report.processes.iter().find(|process| process.pid == pid).map_or(0, |p| p.rss_start_bytes);
        let mut processes: BTreeMap<u32, Drawing> = BTreeMap::new();
        let mut kinds = [Member::Anon, Member::File, Member::Shmem, Member::Swap]
            .map(|member| (member, 0, Drawing::new(0, duration_ns)));
        source.rss(|row: &RssRow| {
            let Some(member) = member(row.member) else { return };
            let time_ns = amount(row.time_ns).saturating_sub(start_ns);
            if member.in_rss() {
                let pid = row.pid as u32;
                let process = processes.entry(pid).or_insert_with(|| Drawing::new(start(pid), duration_ns));
                process.set(time_ns, row.total);
            }
            for (_, value, drawing) in kinds.iter_mut().filter(|(kind, ..)| *kind == member) {
                *value += row.delta;
                drawing.set(time_ns, *value);
            }
        });
        let mut processes: Vec<_> = processes.into_iter().collect();
        processes.sort_by_key(|(_, drawing)| Reverse(drawing.peak));
        let left_out = processes.split_off(processes.len().min(LINES)).len();
        let changed = kinds.into_iter().filter(|(_, _, drawing)| drawing.curve.len() > 1);
        Self {
            processes: processes.into_iter().map(|(pid, drawing)| (pid, drawing.finish())).collect(),
            processes_left_out: left_out,
            kinds: changed.map(|(member, _, drawing)| (name(member), drawing.finish())).collect(),
            growths,
            left_out: report.account.thinned.map_or(0, |thinned| thinned.rss_changes),
        }
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

/// A curve that is being drawn.
struct Drawing {
    curve: Curve,
    piece_ns: u64,
    piece: u64,
    highest: (u64, i64),
    last: (u64, i64),
    end_ns: u64,
    peak: i64,
}

impl Drawing {
    fn new(start: i64, end_ns: u64) -> Self {
        let at = (0, start);
        let piece_ns = (end_ns / PIECES).max(1);
        Self { curve: vec![at], piece_ns, piece: 0, highest: at, last: at, end_ns, peak: start }
    }

    /// Later values come later, but for some that are written late: those count as if they came when they are written.
    fn set(&mut self, time_ns: u64, value: i64) {
        let time_ns = time_ns.clamp(self.last.0, self.end_ns.max(self.last.0));
        if time_ns / self.piece_ns != self.piece {
            self.close();
            self.piece = time_ns / self.piece_ns;
            self.highest = (time_ns, value);
        }
        if value > self.highest.1 {
            self.highest = (time_ns, value);
        }
        self.last = (time_ns, value);
        self.peak = self.peak.max(value);
    }

    fn close(&mut self) {
        for point in [self.highest, self.last] {
            if self.curve.last() != Some(&point) {
                self.curve.push(point);
            }
        }
    }

    fn finish(mut self) -> Curve {
        self.close();
        let end = (self.end_ns.max(self.last.0), self.last.1);
        if self.curve.last() != Some(&end) {
            self.curve.push(end);
        }
        self.curve
    }
}

/// The calls that added most memory so far.
#[derive(Default)]
pub(super) struct Growths {
    /// The smallest is on top.
    largest: BinaryHeap<Reverse<(i64, Reverse<u64>, Kept)>>,
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

impl Growths {
    /// Looks at a call.
    pub(super) fn add(&mut self, visit: &Visit, paths: &Paths) {
        let call = &visit.call;
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

    /// No call is left. `start_ns`: beginning of the window. The largest comes first.
    pub(super) fn finish(self, source: &Source, start_ns: u64, names: &mut Names) -> Vec<Growth> {
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
