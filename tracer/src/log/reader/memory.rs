//! Resident memory of a process, from the table of changes.

use crate::log::schema::RssRow;
use crate::report::ProcessReport;

/// Resident memory of a process.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Before the first change.
    pub(super) start: Option<i64>,
    end: i64,
    peak: i64,
    outside: i64,
    no_frame: i64,
    /// Swapped out after the last change of it.
    pub(super) swap: Option<i64>,
}

impl Memory {
    /// A change of what counts as resident.
    pub(super) fn change(&mut self, row: &RssRow) {
        let start = *self.start.get_or_insert(row.total.saturating_sub(row.delta));
        self.end = row.total;
        self.peak = self.peak.max(row.total).max(start);
        let charged = match (row.function_id, row.tid) {
            (0, 0) => &mut self.outside,
            (0, _) => &mut self.no_frame,
            _ => return,
        };
        *charged = charged.saturating_add(row.delta);
    }

    /// Puts the latest numbers into a row of the report.
    pub(super) fn bring_up_to_date(&self, process: &mut ProcessReport) {
        if self.start.is_some() {
            process.rss_end_bytes = self.end;
            process.rss_peak_bytes = process.rss_peak_bytes.max(self.peak);
        }
        process.outside_rss_bytes = self.outside;
        process.no_frame_rss_bytes = self.no_frame;
        process.swap_bytes = self.swap.unwrap_or(process.swap_bytes);
    }
}
