//! Resident memory, from the table of changes.

use std::collections::BTreeMap;
use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::charge::UNFOLLOWED;
use crate::event::FunctionId;
use crate::log::rows::{member, nanoseconds};
use crate::log::schema::RssRow;
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
        let time_ns = nanoseconds(row.time_ns);
        self.last_ns = self.last_ns.max(time_ns);
        if time_ns > range.end {
            return;
        }
        let process = self.processes.entry(row.pid as u32).or_default();
        if !member.in_rss() {
            process.swap = Some(row.total);
        } else if time_ns < range.start {
            process.before(row);
        } else if is_asked_for {
            process.change(row);
            if row.function_id != 0 {
                let key = (row.pid as u32, row.tid as u32, row.function_id as u32);
                let own = self.functions.entry(key).or_default();
                *own = own.saturating_add(row.delta);
            }
        } else {
            process.moved(row);
        }
    }
}

impl ProcessMemory {
    fn before(&mut self, row: &RssRow) {
        (self.start, self.end, self.peak) = (Some(row.total), row.total, row.total);
    }

    fn moved(&mut self, row: &RssRow) {
        let start = *self.start.get_or_insert(row.total.saturating_sub(row.delta));
        self.end = row.total;
        self.peak = self.peak.max(row.total).max(start);
    }

    fn change(&mut self, row: &RssRow) {
        self.moved(row);
        let charged = match (row.function_id, row.tid as u32) {
            (0, 0) => &mut self.outside,
            (0, _) => &mut self.no_frame,
            _ => return,
        };
        *charged = charged.saturating_add(row.delta);
    }

    /// Puts the latest numbers into a row of the report. `is_part`: of a part of the recording only.
    pub(super) fn bring_up_to_date(&self, process: &mut ProcessReport, is_part: bool) {
        if let Some(start) = self.start {
            if is_part {
                (process.rss_start_bytes, process.rss_peak_bytes) = (start, self.peak);
            }
            process.rss_end_bytes = self.end;
            process.rss_peak_bytes = process.rss_peak_bytes.max(self.peak);
        }
        process.outside_rss_bytes = self.outside;
        process.no_frame_rss_bytes = self.no_frame;
        process.swap_bytes = self.swap.unwrap_or(process.swap_bytes);
    }
}

/// Is a thread id of the table one of a thread?
pub(super) fn is_thread(tid: i32) -> bool {
    tid != 0 && tid as u32 != UNFOLLOWED
}
