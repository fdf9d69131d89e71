//! How long the calls of each function take.

use std::cmp::Reverse;

use anyhow::Result;
use serde::Serialize;

use super::{Body, Named, ViewOptions, not_shown, title, whole};
use crate::analysis::Source;
use crate::analysis::latency::{Kind, Latency, Spread};
use crate::correction::{Corrected, Correction};
use crate::report::Report;
use crate::report::grid::{GridRow, grid};
use crate::units::{count, counted, duration};

#[derive(Serialize)]
struct Latencies {
    latencies: Vec<Row>,
    #[serde(skip)]
    correction: Option<Correction>,
}

/// A function's calls, or its steps.
#[derive(Serialize)]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<usize>,
    pid: u32,
    #[serde(flatten)]
    named: Named,
    /// `calls`, or `steps` of a generator or coroutine.
    of: &'static str,
    /// How many there are whose durations are known.
    count: u64,
    p50_ns: Option<u64>,
    p90_ns: Option<u64>,
    p99_ns: Option<u64>,
    max_ns: u64,
    sum_ns: u64,
    /// By how much the percentiles may be off, in percent; the longest is exact.
    error_percent: u8,
    /// Without what probes added; absent where that was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    corrected: Option<Percentiles>,
    /// Those whose beginning or end was not seen.
    cut: u64,
    /// Those whose durations are bounds from above.
    late_ends: u64,
}

/// Durations without what probes added to them.
#[derive(Serialize)]
struct Percentiles {
    p50: Option<Corrected>,
    p90: Option<Corrected>,
    p99: Option<Corrected>,
    max: Corrected,
    sum: Corrected,
}

impl Percentiles {
    fn new(of: &mut Spread, correction: Correction) -> Self {
        Self {
            p50: of.percentile(50.0),
            p90: of.percentile(90.0),
            p99: of.percentile(99.0),
            max: of.max(),
            sum: of.sum(correction),
        }
    }
}

pub(super) fn show(source: &mut Source, options: &ViewOptions) -> Result<String> {
    let correction = source.correction();
    let mut spread = Latency::new(correction);
    let report = source.summary(|visit, _| spread.add(visit)).report;
    let names = source.names();
    let first = if options.merge { names.merged() } else { Vec::new() };
    let all = spread.finish(|row| first.get(row as usize).copied().unwrap_or(row));
    let mut latencies: Vec<_> = all
        .into_iter()
        .map(|(row, kind, mut spread)| {
            let corrected = correction.map(|correction| Percentiles::new(&mut spread, correction));
            let mut durations = spread.measured;
            let of = names.get(row);
            let (process, pid) = if options.merge { (None, 0) } else { (Some(of.process), of.pid) };
            Row {
                process,
                pid,
                named: Named::new(of.function.as_ref()),
                of: if kind == Kind::Calls { "calls" } else { "steps" },
                count: durations.count(),
                p50_ns: durations.percentile(50.0),
                p90_ns: durations.percentile(90.0),
                p99_ns: durations.percentile(99.0),
                max_ns: durations.max_ns(),
                sum_ns: durations.sum_ns(),
                error_percent: durations.error_percent(),
                corrected,
                cut: durations.cut,
                late_ends: durations.late,
            }
        })
        .collect();
    latencies.sort_by_key(|row| (row.process, Reverse(row.sum_ns)));
    whole(&Latencies { latencies, correction }, &report, options)
}

impl Body for Latencies {
    fn text(&self, report: &Report, options: &ViewOptions) -> String {
        let header = ["function", "calls", "p50", "p90", "p99", "max", "sum"];
        let mut out = String::new();
        for rows in self.latencies.chunk_by(|left, right| left.process == right.process) {
            out += &title(report, rows[0].process, options);
            let shown = &rows[..options.table.shown(rows.len())];
            let grid_rows: Vec<_> = shown.iter().map(Row::grid_row).collect();
            out += &grid(&header, &grid_rows, &options.table);
            out += "\n\n";
            out += &not_shown(rows.len() - shown.len());
        }
        out + &options.table.folded(&self.notes())
    }
}

impl Row {
    fn grid_row(&self) -> GridRow {
        let time = |ns| if self.late_ends > 0 { format!("≤{}", duration(ns)) } else { duration(ns) };
        let known = |ns: Option<u64>| ns.map_or_else(|| "-".to_owned(), time);
        let steps = if self.of == "steps" { " steps" } else { "" };
        let cells = vec![
            count(self.count) + steps,
            known(self.p50_ns),
            known(self.p90_ns),
            known(self.p99_ns),
            known(self.p50_ns.map(|_| self.max_ns)),
            time(self.sum_ns),
        ];
        let cells = match &self.corrected {
            Some(corrected) => {
                cells.iter().zip(corrected.cells()).map(|(cell, below)| format!("{cell}\n{below}")).collect()
            }
            None => cells,
        };
        GridRow { name: self.named.function.clone(), place: self.named.place(), cells }
    }
}

impl Percentiles {
    /// Below the durations as measured.
    fn cells(&self) -> [String; 6] {
        let known =
            |duration: Option<Corrected>| duration.map_or_else(|| "-".to_owned(), |of| of.to_string());
        let longest = self.p50.map(|_| self.max);
        [
            "corrected".to_owned(),
            known(self.p50),
            known(self.p90),
            known(self.p99),
            known(longest),
            self.sum.to_string(),
        ]
    }
}

impl Latencies {
    /// What to know about these numbers.
    fn notes(&self) -> String {
        let mut notes = Vec::new();
        if self.latencies.iter().any(|row| row.of == "steps") {
            notes.push(
                "steps: of generators and coroutines, each from where it begins or goes on to where it is suspended \
                 or ends"
                    .to_owned(),
            );
        }
        let cut: u64 = self.latencies.iter().map(|row| row.cut).sum();
        if cut > 0 {
            notes.push(format!("{} left out: their beginning or end was not seen", counted(cut, "call")));
        }
        let error = self.latencies.iter().map(|row| row.error_percent).max().unwrap_or(0);
        if error > 0 {
            notes.push(format!("percentiles of many calls are within {error} %; max is exact"));
        }
        notes.extend(self.correction.map(Correction::note));
        if notes.is_empty() { String::new() } else { notes.join("\n") + "\n\n" }
    }
}
