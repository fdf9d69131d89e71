//! How near a report within a budget is to one without.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde_json::Value;

use crate::program::{Program, Turns, record};

/// Errors in percentage points: the largest of a function, and half of the sum of all.
pub(crate) struct Accuracy {
    time: (f64, f64),
    calls: (f64, f64),
    /// Times of a report of all calls, whose shares are of samples from before and after.
    hybrid: (f64, f64),
    /// Of what times are held against, its first half against its second: what the program and the machine do by
    /// themselves.
    noise: (f64, f64),
}

/// Shares of functions, by name, file and line.
type Shares = BTreeMap<String, f64>;

/// Without a probe, twice some 50 000 samples.
const TRUE_TIMES: Duration = Duration::from_secs(10);
const TRUE_RATE: &str = "5000";
/// All calls, and samples of a tenth of that before and after.
const TRACED: Duration = Duration::from_secs(30);

impl Accuracy {
    /// Of the turns of a program that still runs.
    pub(crate) fn of(program: &Program, turns: &Turns) -> Self {
        let sampled = || record(program.pid(), TRUE_TIMES, &["--source", "sample", "--rate", TRUE_RATE]);
        let before = sampled();
        let traced = record(program.pid(), TRACED, &[]);
        let after = sampled();
        let times = shares([&before, &after], "samples");
        Self {
            time: errors(&times, &shares(&turns.reports, "samples")),
            calls: errors(&shares([&traced], "calls"), &shares(&turns.reports, "calls_share")),
            hybrid: errors(&times, &shares([&traced], "untraced_samples")),
            noise: errors(&shares([&before], "samples"), &shares([&after], "samples")),
        }
    }
}

/// The shares of all functions in a column, over all reports.
fn shares<'a>(reports: impl IntoIterator<Item = &'a Value>, key: &str) -> Shares {
    let mut sums = Shares::new();
    for row in reports.into_iter().flat_map(|report| report["functions"].as_array().expect("functions")) {
        if let Some(value) = row[key].as_f64() {
            *sums.entry(format!("{} {} {}", row["function"], row["file"], row["line"])).or_default() += value;
        }
    }
    let all: f64 = sums.values().sum();
    for value in sums.values_mut() {
        *value /= all;
    }
    sums
}

fn errors(truth: &Shares, told: &Shares) -> (f64, f64) {
    let names = truth.keys().chain(told.keys()).collect::<std::collections::BTreeSet<_>>();
    let share = |shares: &Shares, name: &String| shares.get(name).copied().unwrap_or(0.0);
    let errors = || names.iter().map(|name| 100.0 * (share(truth, name) - share(told, name)).abs());
    (errors().fold(0.0, f64::max), errors().sum::<f64>() / 2.0)
}

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, calls, hybrid, noise } = self;
        let errors = [time, calls, hybrid, noise].map(|(largest, all)| format!("{largest:.2} ({all:.2})"));
        write!(f, "{}", errors.join(" | "))
    }
}
