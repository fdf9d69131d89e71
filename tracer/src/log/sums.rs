//! Rows of the table `thinned`, added up.

use rustc_hash::FxHashMap;

use super::rows::amount;
use super::schema::{ThinnedRow, ThinnedRows};
use super::table::Rows as _;
use crate::charge::{Cost, FinishedCall, RssChange};
use crate::summary::{FunctionSums, Samples};

/// One row for each thread, function and caller, and for sums and corrections.
#[derive(Debug, Default)]
pub(crate) struct Sums(FxHashMap<[i32; 5], ThinnedRow>);

impl Sums {
    /// Adds a row.
    pub(crate) fn add(&mut self, row: &ThinnedRow) {
        let key = [row.pid, row.tid, row.function_id, row.caller_id, row.kept];
        self.0.entry(key).and_modify(|sum| sum.add(row)).or_insert_with(|| row.clone());
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All rows, in order.
    pub(crate) fn into_rows(self) -> Vec<ThinnedRow> {
        let mut rows: Vec<_> = self.0.into_iter().collect();
        rows.sort_unstable_by_key(|(key, _)| *key);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// The same as a table.
    pub(super) fn into_table(self) -> ThinnedRows {
        let mut table = ThinnedRows::default();
        self.into_rows().into_iter().for_each(|row| table.push(row));
        table
    }
}

/// Adds the rows of another table, which has none then, to those with the same key.
pub(super) fn add_up(rows: &mut ThinnedRows, more: &mut ThinnedRows) {
    if rows.is_empty() {
        std::mem::swap(rows, more);
        return;
    }
    let mut sums = Sums::default();
    rows.iter().chain(more.iter()).for_each(|row| sums.add(&row));
    *rows = sums.into_table();
    more.clear();
}

impl ThinnedRow {
    /// A call that is left out.
    pub(super) fn of_call(call: &FinishedCall) -> Self {
        let mut sums = FunctionSums::default();
        sums.add(call);
        Self {
            kept: 0,
            calls: sums.calls as i64,
            resumes: sums.resumes as i64,
            open_at_attach: sums.open_at_attach as i64,
            activations: sums.activations as i64,
            ends: sums.ends as i64,
            late_ends: sums.late_ends as i64,
            calls_made: sums.calls_made as i64,
            own_ns: sums.own.wall_ns as i64,
            own_off_cpu_ns: sums.own.off_cpu_ns as i64,
            own_rss: sums.own.rss_bytes,
            own_faults: sums.own.faults as i64,
            cum_ns: sums.cumulative.wall_ns as i64,
            cum_off_cpu_ns: sums.cumulative.off_cpu_ns as i64,
            cum_rss: sums.cumulative.rss_bytes,
            cum_faults: sums.cumulative.faults as i64,
            ..Self::about(call)
        }
    }

    /// What is to be added to the amounts of a call that is kept, which seems to have taken `seeming` itself and to have
    /// made so many calls.
    pub(super) fn correction(call: &FinishedCall, seeming: Cost, calls_made: u64) -> Self {
        Self {
            calls_made: call.calls_made as i64 - calls_made as i64,
            own_ns: call.own.wall_ns as i64 - seeming.wall_ns as i64,
            own_off_cpu_ns: call.own.off_cpu_ns as i64 - seeming.off_cpu_ns as i64,
            own_rss: call.own.rss_bytes.saturating_sub(seeming.rss_bytes),
            own_faults: call.own.faults as i64 - seeming.faults as i64,
            ..Self::about(call)
        }
    }

    /// A change of resident memory that is left out.
    pub(super) fn of_change(change: &RssChange) -> Self {
        Self {
            pid: change.pid as i32,
            tid: change.tid as i32,
            function_id: change.function.unwrap_or(0) as i32,
            rss_changes: 1,
            rss_delta: if change.member.in_rss() { change.delta_bytes } else { 0 },
            ..Self::default()
        }
    }

    fn about(call: &FinishedCall) -> Self {
        Self {
            pid: call.pid as i32,
            tid: call.tid as i32,
            function_id: call.function as i32,
            caller_id: call.caller.unwrap_or(0) as i32,
            kept: 1,
            ..Self::default()
        }
    }

    fn add(&mut self, other: &Self) {
        let sums = [
            (&mut self.calls, other.calls),
            (&mut self.resumes, other.resumes),
            (&mut self.open_at_attach, other.open_at_attach),
            (&mut self.activations, other.activations),
            (&mut self.ends, other.ends),
            (&mut self.late_ends, other.late_ends),
            (&mut self.calls_made, other.calls_made),
            (&mut self.own_ns, other.own_ns),
            (&mut self.own_off_cpu_ns, other.own_off_cpu_ns),
            (&mut self.own_rss, other.own_rss),
            (&mut self.own_faults, other.own_faults),
            (&mut self.cum_ns, other.cum_ns),
            (&mut self.cum_off_cpu_ns, other.cum_off_cpu_ns),
            (&mut self.cum_rss, other.cum_rss),
            (&mut self.cum_faults, other.cum_faults),
            (&mut self.rss_changes, other.rss_changes),
            (&mut self.rss_delta, other.rss_delta),
        ];
        for (sum, amount) in sums {
            *sum = sum.saturating_add(amount);
        }
    }

    /// The sums of calls that were left out.
    pub(crate) fn sums(&self) -> FunctionSums {
        FunctionSums {
            calls: amount(self.calls),
            resumes: amount(self.resumes),
            open_at_attach: amount(self.open_at_attach),
            activations: amount(self.activations),
            ends: amount(self.ends),
            late_ends: amount(self.late_ends),
            calls_made: amount(self.calls_made),
            own: Cost {
                wall_ns: amount(self.own_ns),
                off_cpu_ns: amount(self.own_off_cpu_ns),
                rss_bytes: self.own_rss,
                faults: amount(self.own_faults),
            },
            cumulative: Cost {
                wall_ns: amount(self.cum_ns),
                off_cpu_ns: amount(self.cum_off_cpu_ns),
                rss_bytes: self.cum_rss,
                faults: amount(self.cum_faults),
            },
            samples: Samples::default(),
        }
    }
}
