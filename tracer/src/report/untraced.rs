//! Shares of time from samples that were taken while no probe was in place: probes cost time of their own, which falls into
//! the times that they measure, so of a program that calls much those are no measure of its own shares.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::{FunctionReport, NO_FRAME, Report, sampled::interval};

/// Samples from before and after tracing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untraced {
    /// How long was sampled before probes were put in place, in nanoseconds; 0: not at all.
    pub before_ns: u64,
    /// How long after they were gone.
    pub after_ns: u64,
    /// Times a second that each CPU was looked at.
    pub rate_hz: u32,
    /// Samples of running threads.
    pub samples: u64,
    /// Those of them whose stack could not be read: they are of no function.
    pub unreadable: u64,
    /// By function and process; those that no sample met have no row.
    pub functions: Vec<UntracedFunction>,
}

/// Samples of one function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UntracedFunction {
    /// Process id.
    pub pid: u32,
    /// Qualified name.
    pub function: String,
    /// File.
    pub file: String,
    /// First line of its definition.
    pub line: u32,
    /// Samples in which it was on top and running.
    pub samples: u64,
}

/// What such samples say of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UntracedShare {
    /// Samples in which it was on top and running.
    pub untraced_samples: u64,
    /// Its share of the CPU time of its process, or of all, of 1.
    pub untraced_cpu_share: f64,
    /// The true share is at least this, with 97.5 % confidence.
    pub untraced_cpu_share_low: f64,
    /// The true share is at most this, with 97.5 % confidence.
    pub untraced_cpu_share_high: f64,
}

impl Untraced {
    /// Of the reports of samples from before and after tracing.
    pub fn of(before: Option<&Report>, after: Option<&Report>) -> Option<Self> {
        let mut untraced = Self::default();
        let mut functions: FxHashMap<(u32, &str, &str, u32), u64> = FxHashMap::default();
        for report in before.into_iter().chain(after) {
            let sampling = report.account.sampling?;
            untraced.rate_hz = sampling.rate_hz;
            untraced.samples += sampling.samples;
            untraced.unreadable += sampling.unreadable + sampling.unknown_thread;
            for row in &report.functions {
                let samples = row.sampled.map_or(0, |sampled| sampled.samples);
                *functions.entry((row.pid, &row.function, &row.file, row.line)).or_default() += samples;
            }
        }
        untraced.before_ns = before.map_or(0, |report| report.window.duration_ns);
        untraced.after_ns = after.map_or(0, |report| report.window.duration_ns);
        let functions = functions.into_iter().filter(|(_, samples)| *samples > 0);
        untraced.functions = functions
            .map(|((pid, function, file, line), samples)| UntracedFunction {
                pid,
                function: function.to_owned(),
                file: file.to_owned(),
                line,
                samples,
            })
            .collect();
        untraced.functions.sort_by(|a, b| {
            (a.pid, &a.function, &a.file, a.line).cmp(&(b.pid, &b.function, &b.file, b.line))
        });
        (untraced.samples > 0).then_some(untraced)
    }

    /// Adds the shares to the rows of a report.
    pub(super) fn add_to(&self, rows: &mut [FunctionReport]) {
        let mut by_process: FxHashMap<u32, u64> = FxHashMap::default();
        let mut known: FxHashMap<(u32, &str, &str, u32), u64> = FxHashMap::default();
        let is_merged = rows.first().is_some_and(|row| row.process.is_none());
        for of in &self.functions {
            let pid = if is_merged { 0 } else { of.pid };
            *by_process.entry(pid).or_default() += of.samples;
            *known.entry((pid, &of.function, &of.file, of.line)).or_default() += of.samples;
        }
        for row in rows.iter_mut() {
            let all = by_process.get(&row.pid).copied().unwrap_or(0);
            let key = (row.pid, &*row.function, &*row.file, row.line);
            let samples = known.get(&key).copied().unwrap_or(0);
            row.untraced = (all > 0).then(|| UntracedShare::new(samples, all));
        }
    }
}

impl UntracedShare {
    fn new(samples: u64, all: u64) -> Self {
        let (low, high) = interval(samples, all);
        Self {
            untraced_samples: samples,
            untraced_cpu_share: samples as f64 / all as f64,
            untraced_cpu_share_low: low,
            untraced_cpu_share_high: high,
        }
    }
}

impl Report {
    /// Adds shares from samples that were taken while no probe was in place. A function that only they met gets a row.
    pub fn add_untraced(&mut self, untraced: Untraced) {
        let known: rustc_hash::FxHashSet<_> = self
            .functions
            .iter()
            .map(|row| (row.pid, row.function.clone(), row.file.clone(), row.line))
            .collect();
        for of in &untraced.functions {
            let process = self.processes.iter().find(|process| process.pid == of.pid);
            let is_new = !known.contains(&(of.pid, of.function.clone(), of.file.clone(), of.line));
            if let Some(process) = process.filter(|_| is_new && of.function != NO_FRAME) {
                self.functions.push(FunctionReport {
                    process: Some(process.process),
                    pid: of.pid,
                    function: of.function.clone(),
                    file: of.file.clone(),
                    line: of.line,
                    ..FunctionReport::default()
                });
            }
        }
        untraced.add_to(&mut self.functions);
        self.untraced = Some(untraced);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Account, ProcessReport, SampledFunction, Sampling, Status, Window};

    fn report(rows: &[(&str, u64)], sampled: bool) -> Report {
        let row = |&(name, samples): &(&str, u64)| FunctionReport {
            process: Some(0),
            pid: 7,
            function: name.into(),
            file: "m.py".into(),
            activations: 1,
            sampled: sampled.then(|| SampledFunction { samples, ..SampledFunction::default() }),
            ..FunctionReport::default()
        };
        let all = rows.iter().map(|(_, samples)| samples).sum();
        let sampling =
            sampled.then(|| Sampling { rate_hz: 997, samples: all, unreadable: 1, ..Sampling::default() });
        let status = Status {
            window: Window { start_unix_ns: 0, duration_ns: 1_000 },
            processes: vec![ProcessReport { pid: 7, ..ProcessReport::default() }],
            account: Account { sampling, ..Account::default() },
        };
        Report::new(status, rows.iter().map(row))
    }

    #[test]
    fn samples_from_before_and_after_make_one_share() {
        let (before, after) = (report(&[("f", 30), ("g", 10)], true), report(&[("f", 0), ("h", 40)], true));
        let untraced = Untraced::of(Some(&before), Some(&after)).unwrap();
        assert_eq!((untraced.samples, untraced.unreadable), (80, 2));
        assert_eq!((untraced.before_ns, untraced.after_ns), (1_000, 1_000));
        let mut traced = report(&[("f", 0), ("i", 0)], false);
        traced.add_untraced(untraced);
        let share = |name: &str| {
            let row = traced.functions.iter().find(|row| row.function == name).unwrap();
            (row.untraced.unwrap().untraced_cpu_share * 1000.0).round() as u32
        };
        assert_eq!(["f", "g", "h", "i"].map(share), [375, 125, 500, 0]);
        let merged = traced.clone().merged();
        assert_eq!(merged.functions.len(), 4);
        assert!(merged.functions.iter().all(|row| row.untraced.is_some()));
    }

    #[test]
    fn without_samples_there_are_no_shares() {
        assert_eq!(Untraced::of(None, None), None);
        assert_eq!(Untraced::of(Some(&report(&[], true)), None), None);
    }
}
