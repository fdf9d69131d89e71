//! What a report has of samples: how many there are of a function, what it was doing, and how sure its share is.

use serde::{Deserialize, Serialize};

use super::FunctionReport;
use crate::summary::FunctionSums;

/// Quantile of the normal distribution for intervals of 95 %.
const QUANTILE: f64 = 1.959_963_984_540_054;

/// How a recording was sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampling {
    /// Times a second that each CPU is looked at.
    pub rate_hz: u32,
    /// Samples of running threads.
    pub samples: u64,
    /// Samples of threads that did not run.
    pub off_cpu_samples: u64,
    /// Samples of running threads of which it was not known yet where they have their stack; in no row.
    pub unknown_thread: u64,
    /// Samples of running threads whose stack could not be read; in no row.
    pub unreadable: u64,
    /// Samples of threads that did not run and whose stack could not be read, or not in time; in no row.
    pub off_cpu_unread: u64,
    /// Stacks of which the outermost frames are missing: they are deeper than is read.
    pub cut: u64,
    /// Stacks that were read while their thread was held up: by a timer, or at a change of memory.
    pub taken: u64,
    /// What that took in nanoseconds, without the timer's interrupt itself.
    pub cost_ns: u64,
}

impl Sampling {
    /// What marks all that is made of samples: `sampled at 199 Hz`.
    pub(crate) fn words(&self) -> String {
        format!("sampled at {} Hz", self.rate_hz)
    }
}

/// Of one function. Times are what the samples stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SampledFunction {
    /// Samples in which it was on top and running.
    pub samples: u64,
    /// Samples in which it was on top and its thread did not run.
    pub off_cpu_samples: u64,
    /// Part of `self_cpu_ns` in the interpreter's own code.
    pub self_python_ns: u64,
    /// Part of `self_cpu_ns` in code of other files, or of none.
    pub self_native_ns: u64,
    /// Part of `self_cpu_ns` in the kernel.
    pub self_system_ns: u64,
    /// Its share of the samples of running threads of its process, or of all, of 1.
    pub cpu_share: f64,
    /// The true share is at least this, with 97.5 % confidence.
    pub cpu_share_low: f64,
    /// The true share is at most this, with 97.5 % confidence.
    pub cpu_share_high: f64,
}

impl SampledFunction {
    /// Of these sums.
    pub(super) fn new(sums: &FunctionSums) -> Self {
        let samples = sums.samples;
        let elsewhere_ns = samples.native_ns.saturating_add(samples.system_ns);
        Self {
            samples: samples.cpu,
            off_cpu_samples: samples.off_cpu,
            self_python_ns: sums.own.cpu_ns().saturating_sub(elsewhere_ns),
            self_native_ns: samples.native_ns,
            self_system_ns: samples.system_ns,
            ..Self::default()
        }
    }

    /// Adds the samples of the same function from elsewhere.
    pub(super) fn merge(&mut self, other: &Self) {
        self.samples = self.samples.saturating_add(other.samples);
        self.off_cpu_samples = self.off_cpu_samples.saturating_add(other.off_cpu_samples);
        self.self_python_ns = self.self_python_ns.saturating_add(other.self_python_ns);
        self.self_native_ns = self.self_native_ns.saturating_add(other.self_native_ns);
        self.self_system_ns = self.self_system_ns.saturating_add(other.self_system_ns);
    }

    fn set_share(&mut self, all: u64) {
        let (low, high) = interval(self.samples, all);
        let share = if all == 0 { 0.0 } else { self.samples as f64 / all as f64 };
        (self.cpu_share, self.cpu_share_low, self.cpu_share_high) = (share, low, high);
    }
}

/// Sets the shares of rows, each of the samples of its process.
pub(crate) fn set_shares(rows: &mut [FunctionReport]) {
    let mut all = rustc_hash::FxHashMap::<_, u64>::default();
    for row in rows.iter() {
        let samples = row.sampled.map_or(0, |sampled| sampled.samples);
        *all.entry(row.process).or_default() += samples;
    }
    for row in rows {
        if let Some(sampled) = &mut row.sampled {
            sampled.set_share(all[&row.process]);
        }
    }
}

/// The interval that holds the true share with 95 % confidence, when `part` of `all` samples were seen (Wilson's score
/// interval, which is right for small numbers too).
pub(crate) fn interval(part: u64, all: u64) -> (f64, f64) {
    if all == 0 {
        return (0.0, 1.0);
    }
    let (n, share) = (all as f64, part as f64 / all as f64);
    let square = QUANTILE * QUANTILE;
    let centre = share + square / (2.0 * n);
    let half = QUANTILE * (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt();
    let whole = 1.0 + square / n;
    // The ends are exact; rounding may not go beyond the share itself.
    let low = if part == 0 { 0.0 } else { ((centre - half) / whole).max(0.0) };
    let high = if part == all { 1.0 } else { ((centre + half) / whole).min(1.0) };
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_wilsons() {
        let near =
            |(low, high): (f64, f64), (a, b): (f64, f64)| (low - a).abs() < 5e-5 && (high - b).abs() < 5e-5;
        // Worked examples: 1 of 10, 50 of 100, none of 20.
        assert!(near(interval(1, 10), (0.0179, 0.4042)), "{:?}", interval(1, 10));
        assert!(near(interval(50, 100), (0.4038, 0.5962)), "{:?}", interval(50, 100));
        assert!(near(interval(0, 20), (0.0, 0.1611)), "{:?}", interval(0, 20));
        assert_eq!((interval(0, 0), interval(0, 3000).0, interval(9, 9).1), ((0.0, 1.0), 0.0, 1.0));
    }

    #[test]
    fn shares_are_of_a_process() {
        let row = |process, samples| FunctionReport {
            process: Some(process),
            sampled: Some(SampledFunction { samples, ..SampledFunction::default() }),
            ..FunctionReport::default()
        };
        let mut rows = [row(0, 30), row(0, 10), row(1, 5)];
        set_shares(&mut rows);
        let shares = rows.map(|row| row.sampled.map(|sampled| sampled.cpu_share));
        assert_eq!(shares, [Some(0.75), Some(0.25), Some(1.0)]);
    }
}
