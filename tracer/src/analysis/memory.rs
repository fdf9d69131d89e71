//! Resident memory, from the table of changes.

use std::collections::BTreeMap;
use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::charge::UNFOLLOWED;
use crate::event::FunctionId;
use crate::log::rows::{amount, member};
use crate::log::schema::{RssRow, ThinnedRow};
use crate::report::ProcessReport;

/// Changes of resident memory in a time range, added up.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// By process id.
    pub(super) processes: BTreeMap<u32, ProcessMemory>,
    /// What functions are charged with, by process and thread id.
    pub(super) functions: FxHashMap<(u32, u32, FunctionId), i64>,
    /// Time of the last change.
    pub(super) last_ns: u64,
    /// Rows with codes that are not known.
    pub(super) unknown_codes: u64,
}

/// Resident memory of a process.
#[derive(Debug, Default)]
pub(super) struct ProcessMemory {
    /// Before the first change.
    pub(super) start: Option<i64>,
    end: i64,
    /// Times of the changes that these two are of.
    first_ns: u64,
    last_ns: u64,
    /// What all changes came to.
    changed: i64,
    /// What those came to that the log has in its sums only, if there were any.
    thinned: Option<i64>,
    peak: i64,
    outside: i64,
    no_frame: i64,
    /// Swapped out after the last change of it.
    swap: Option<i64>,
}

impl Memory {
    /// Takes in a change. Those before the range only say where it began.
    pub(super) fn add(&mut self, row: &RssRow, range: &Range<u64>, is_asked_for: bool) {
        let Some(member) = member(row.member) else {
            self.unknown_codes += 1;
            return;
        };
        let time_ns = amount(row.time_ns);
        self.last_ns = self.last_ns.max(time_ns);
        if time_ns > range.end {
            return;
        }
        let process = self.processes.entry(row.pid as u32).or_default();
        if !member.in_rss() {
            process.swap = Some(row.total);
        } else if time_ns < range.start {
            process.before(row);
        } else {
            process.moved(row);
            if is_asked_for {
                self.charge((row.pid, row.tid, row.function_id), row.delta);
            }
        }
    }

    /// Takes in the sum of changes that are not in the log one by one.
    pub(super) fn add_thinned(&mut self, row: &ThinnedRow, is_asked_for: bool) {
        let thinned = self.processes.entry(row.pid as u32).or_default().thinned.get_or_insert(0);
        *thinned = thinned.saturating_add(row.rss_delta);
        if is_asked_for {
            self.charge((row.pid, row.tid, row.function_id), row.rss_delta);
        }
    }

    fn charge(&mut self, (pid, tid, function): (i32, i32, i32), delta: i64) {
        let (pid, tid, function) = (pid as u32, tid as u32, function as u32);
        let charged = match (function, tid) {
            (0, 0) => &mut self.processes.entry(pid).or_default().outside,
            (0, _) => &mut self.processes.entry(pid).or_default().no_frame,
            _ => self.functions.entry((pid, tid, function)).or_default(),
        };
        *charged = charged.saturating_add(delta);
    }
}

impl ProcessMemory {
    fn before(&mut self, row: &RssRow) {
        let time_ns = amount(row.time_ns);
        if time_ns >= self.last_ns {
            (self.start, self.end, self.peak) = (Some(row.total), row.total, row.total);
            (self.first_ns, self.last_ns) = (0, time_ns);
        }
    }

    fn moved(&mut self, row: &RssRow) {
        // A row may come later than its time says.
        let time_ns = amount(row.time_ns);
        if self.start.is_none() || time_ns < self.first_ns {
            let start = row.total.saturating_sub(row.delta);
            self.peak = if self.start.is_some() { self.peak.max(start) } else { start };
            (self.start, self.first_ns) = (Some(start), time_ns);
        }
        if time_ns >= self.last_ns {
            (self.end, self.last_ns) = (row.total, time_ns);
        }
        self.changed = self.changed.saturating_add(row.delta);
        self.peak = self.peak.max(row.total);
    }

    /// Puts the latest numbers into a row of the report. `is_part`: of a part of the time only.
    pub(super) fn bring_up_to_date(&self, process: &mut ProcessReport, is_part: bool) {
        if let Some(start) = self.start {
            if is_part {
                (process.rss_start_bytes, process.rss_peak_bytes) = (start, self.peak);
            }
            process.rss_end_bytes = self.end;
        }
        if let Some(thinned) = self.thinned {
            let changed = self.changed.saturating_add(thinned);
            process.rss_end_bytes = process.rss_start_bytes.saturating_add(changed);
        }
        process.rss_peak_bytes = process.rss_peak_bytes.max(self.peak).max(process.rss_end_bytes);
        process.outside_rss_bytes = self.outside;
        process.no_frame_rss_bytes = self.no_frame;
        process.swap_bytes = self.swap.unwrap_or(process.swap_bytes);
    }
}

/// Is a thread id of the table one of a thread?
pub(super) fn is_thread(tid: i32) -> bool {
    tid != 0 && tid as u32 != UNFOLLOWED
}
