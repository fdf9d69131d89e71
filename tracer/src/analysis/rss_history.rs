//! Resident memory over time, in so many equal parts of the window, and the functions that moved it in each.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::Source;
use crate::event::{FunctionId, Member};
use crate::functions::Row;
use crate::log::rows::{amount, member};
use crate::log::schema::RssRow;
use crate::report::Report;

/// Who moved memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mover {
    /// A function.
    Function(Row),
    /// Threads without a Python frame.
    NoFrame,
    /// Other tasks.
    Outside,
    /// Threads or functions that are not asked for.
    NotAskedFor,
}

/// A part of the window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Resident memory at its end, bytes.
    pub rss_bytes: i64,
    /// The most there was in it.
    pub peak_bytes: i64,
    /// Changes in it by kind: file, anonymous, swap, shared.
    pub kinds: [i64; 4],
    /// Who made them, without swap, the largest change first.
    pub moved: Vec<(Mover, i64)>,
}

/// Resident memory of a process over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Number of the process in the report.
    pub process: usize,
    /// Process id.
    pub pid: u32,
    /// The parts of the window.
    pub buckets: Vec<Bucket>,
}

/// Totals as they come, of one process.
#[derive(Debug, Default)]
struct Levels {
    /// By part: time and total after the last change, and the largest total.
    totals: Vec<Option<(u64, i64, i64)>>,
    kinds: Vec<[i64; 4]>,
    moved: FxHashMap<(usize, Cause), i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Cause {
    Function(FunctionId),
    Other(Mover),
}

/// Reads the histories of the processes of a report, each in so many parts.
pub fn histories(source: &mut Source, report: &Report, parts: usize) -> Vec<History> {
    let start_ns = source.start_ns();
    let length_ns = (report.window.duration_ns / parts as u64).max(1);
    let scope = source.scope().clone();
    let mut processes: BTreeMap<u32, Levels> = BTreeMap::new();
    source.rss(|row| {
        let Some(member) = member(row.member) else { return };
        let time_ns = amount(row.time_ns);
        let part = (time_ns.saturating_sub(start_ns) / length_ns).min(parts as u64 - 1) as usize;
        let asked_for = scope.has_change(row.pid as u32, row.tid);
        let levels = processes.entry(row.pid as u32).or_default();
        levels.add(row, member, part, parts, asked_for);
    });
    // One after the other with the same process id can't be told apart: the last one has it all.
    let mut numbers: BTreeMap<u32, (usize, i64)> = BTreeMap::new();
    for process in &report.processes {
        numbers.insert(process.pid, (process.process, process.rss_start_bytes));
    }
    let mut histories = Vec::new();
    for (pid, (process, rss_start_bytes)) in numbers {
        let levels = processes.remove(&pid).unwrap_or_default();
        let buckets = levels.buckets(source, pid, parts, rss_start_bytes);
        histories.push(History { process, pid, buckets });
    }
    histories
}

impl Levels {
    fn add(&mut self, row: &RssRow, member: Member, part: usize, parts: usize, asked_for: bool) {
        self.totals.resize(parts, None);
        self.kinds.resize(parts, [0; 4]);
        let kind = &mut self.kinds[part][member as usize];
        *kind = kind.saturating_add(row.delta);
        if !member.in_rss() {
            return;
        }
        let time_ns = amount(row.time_ns);
        let (last_ns, total, peak) = self.totals[part].unwrap_or((0, row.total, row.total));
        let total = if time_ns >= last_ns { row.total } else { total };
        self.totals[part] = Some((time_ns.max(last_ns), total, peak.max(row.total)));
        let cause = match (row.function_id, row.tid) {
            _ if !asked_for => Cause::Other(Mover::NotAskedFor),
            (0, 0) => Cause::Other(Mover::Outside),
            (0, _) => Cause::Other(Mover::NoFrame),
            (function, _) => Cause::Function(function as u32),
        };
        let moved = self.moved.entry((part, cause)).or_default();
        *moved = moved.saturating_add(row.delta);
    }

    fn buckets(self, source: &mut Source, pid: u32, parts: usize, start_bytes: i64) -> Vec<Bucket> {
        let mut moved: Vec<BTreeMap<Mover, i64>> = vec![BTreeMap::new(); parts];
        for ((part, cause), bytes) in self.moved {
            let by = match cause {
                Cause::Other(other) => other,
                Cause::Function(function) => source.mover(function, pid),
            };
            *moved[part].entry(by).or_default() += bytes;
        }
        let mut rss_bytes = start_bytes;
        let mut buckets = Vec::with_capacity(parts);
        for (part, moved) in moved.into_iter().enumerate() {
            let before = rss_bytes;
            let mut peak_bytes = before;
            if let Some((_, total, peak)) = self.totals.get(part).copied().flatten() {
                (rss_bytes, peak_bytes) = (total, peak.max(before));
            }
            let mut moved: Vec<_> = moved.into_iter().filter(|(_, bytes)| *bytes != 0).collect();
            moved.sort_by_key(|(_, bytes)| std::cmp::Reverse(bytes.unsigned_abs()));
            let kinds = self.kinds.get(part).copied().unwrap_or_default();
            buckets.push(Bucket { rss_bytes, peak_bytes, kinds, moved });
        }
        buckets
    }
}
