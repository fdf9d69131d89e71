//! Coroutines by function: what they ran and what they waited.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use super::{Body, Named, ViewOptions, not_shown, title, whole};
use crate::analysis::Source;
use crate::analysis::coroutines::{CoroutineSums, Coroutines};
use crate::correction::{Corrected, Correction};
use crate::functions::Row;
use crate::report::Report;
use crate::report::grid::{GridRow, Layout, grid};
use crate::units::{count, duration};

#[derive(Serialize)]
struct Tasks {
    coroutines: Vec<Coroutine>,
    #[serde(skip)]
    correction: Option<Correction>,
}

/// A coroutine function.
#[derive(Serialize)]
struct Coroutine {
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<usize>,
    pid: u32,
    #[serde(flatten)]
    named: Named,
    instances: u64,
    calls: u64,
    resumes: u64,
    ran_ns: u64,
    /// Without what probes added; absent where that was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    corrected: Option<Times>,
    waited_ns: u64,
    /// Of instances that were seen from beginning to end.
    average_ns: Option<u64>,
    longest_ns: u64,
    cut: u64,
    late_ends: u64,
    /// Steps that were seen to end with a suspension.
    suspended: u64,
}

/// Times without what probes added to them.
#[derive(Serialize)]
struct Times {
    ran: Corrected,
}

pub(super) fn show(source: &mut Source, options: &ViewOptions) -> Result<String> {
    let correction = source.correction();
    let mut instances =
        Coroutines::new(correction.map(|correction| correction.calibration).unwrap_or_default());
    let report = source.summary(|visit, _| instances.add(visit)).report;
    let names = source.names();
    let first = names.merged();
    let mut by_row: BTreeMap<Row, CoroutineSums> = BTreeMap::new();
    for (row, of_row) in instances.finish(names) {
        let row = if options.merge { first[row as usize] } else { row };
        by_row.entry(row).or_default().merge(&of_row);
    }
    let mut coroutines: Vec<_> = by_row
        .into_iter()
        .map(|(row, sums)| {
            let of = names.get(row);
            let corrected = correction.map(|correction| {
                let correction = correction.of_bounds(sums.late_ends > 0);
                Times { ran: correction.of(sums.ran_ns, sums.probe_cost_ns) }
            });
            let (process, pid) = if options.merge { (None, 0) } else { (Some(of.process), of.pid) };
            Coroutine {
                process,
                pid,
                named: Named::new(of.function.as_ref()),
                instances: sums.instances,
                calls: sums.calls,
                resumes: sums.resumes,
                ran_ns: sums.ran_ns,
                corrected,
                waited_ns: sums.waited_ns,
                average_ns: sums.average_ns(),
                longest_ns: sums.longest_ns,
                cut: sums.cut,
                late_ends: sums.late_ends,
                suspended: sums.suspended,
            }
        })
        .collect();
    coroutines.sort_by_key(|row| (row.process, std::cmp::Reverse(row.ran_ns.saturating_add(row.waited_ns))));
    whole(&Tasks { coroutines, correction }, &report, options)
}

impl Body for Tasks {
    fn text(&self, report: &Report, options: &ViewOptions) -> String {
        if self.coroutines.is_empty() {
            return "no call of a coroutine was seen\n\n".to_owned();
        }
        let mut out = String::new();
        for rows in self.coroutines.chunk_by(|left, right| left.process == right.process) {
            out += &title(report, rows[0].process, options);
            let shown = &rows[..options.table.shown(rows.len())];
            let layout = options.table.layout();
            let grid_rows: Vec<_> = shown.iter().map(|row| row.grid_row(layout)).collect();
            out += &grid(&header(layout, self.correction.is_some()), &grid_rows, &options.table);
            out += "\n\n";
            out += &not_shown(rows.len() - shown.len());
        }
        out + &options.table.folded(&self.notes())
    }
}

fn header(layout: Layout, corrected: bool) -> Vec<&'static str> {
    if layout == Layout::Narrow {
        let times = if corrected { "ran\ncorrected\nwaited" } else { "ran\nwaited" };
        return vec!["coroutine", "instances\ncut", "calls\n+resumed", times, "average", "longest"];
    }
    let mut header = vec!["coroutine", "instances", "cut", "calls", "resumed", "ran"];
    header.extend(corrected.then_some("corrected"));
    header.extend(["waited", "average", "longest"]);
    header
}

impl Coroutine {
    fn grid_row(&self, layout: Layout) -> GridRow {
        let time = |ns| if self.late_ends > 0 { format!("≤{}", duration(ns)) } else { duration(ns) };
        let average = self.average_ns.map_or_else(|| "-".to_owned(), time);
        let longest = self.average_ns.map_or_else(|| "-".to_owned(), |_| time(self.longest_ns));
        let corrected = self.corrected.as_ref().map(|times| times.ran.to_string());
        let times = [time(self.ran_ns)].into_iter().chain(corrected).chain([duration(self.waited_ns)]);
        let cells = if layout == Layout::Narrow {
            let cut = if self.cut > 0 { format!("\n{}", count(self.cut)) } else { String::new() };
            let resumed =
                if self.resumes > 0 { format!("\n+{}", count(self.resumes)) } else { String::new() };
            vec![
                count(self.instances) + &cut,
                count(self.calls) + &resumed,
                times.collect::<Vec<_>>().join("\n"),
                average,
                longest,
            ]
        } else {
            let counts = [self.instances, self.cut, self.calls, self.resumes].map(count);
            counts.into_iter().chain(times).chain([average, longest]).collect()
        };
        GridRow { name: self.named.function.clone(), place: self.named.place(), cells }
    }
}

impl Tasks {
    /// What to know about these numbers.
    fn notes(&self) -> String {
        let mut out =
            "ran: sum of the steps, with what they called; waited: from first step to last, less that; \
                       average and longest: of instances seen from beginning to end\n"
                .to_owned();
        let sum = |of: fn(&Coroutine) -> u64| self.coroutines.iter().map(of).sum::<u64>();
        if sum(|row| row.cut) > 0 {
            out += "cut: instances whose beginning or end was not seen; they have run and waited as far as seen\n";
        }
        if sum(|row| row.resumes) > 0 && sum(|row| row.suspended) == 0 {
            out += "this interpreter does not tell a suspension from an end: instances that still waited at the end \
                    of the recording count as ended with their last step\n";
        }
        if let Some(correction) = self.correction {
            out += &(correction.note() + "; waited, average and longest are as measured\n");
        }
        out + "\n"
    }
}
