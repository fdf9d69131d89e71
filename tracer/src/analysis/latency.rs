//! How the durations of calls are spread, by function, in bounded memory.
//!
//! The first durations of a function are kept as they are. If there are more they go into a histogram: of two
//! significant digits (within 1 %), or of one (within 10 %) for functions that come when many have one.

use hdrhistogram::Histogram;
use rustc_hash::FxHashMap;

use super::Visit;
use crate::charge::Began;
use crate::correction::{Corrected, Correction};
use crate::functions::Row;

/// Durations kept as they are: 2 KiB.
const PLAIN: usize = 256;
/// Histograms of two digits. One takes up to 18.5 KiB (if a call took an hour), one of a single digit up to 2.5 KiB: of
/// 50 000 functions that are called often, each with two histograms, 320 MB.
const FINE: usize = 4_000;

/// What durations are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Calls, from beginning to end.
    Calls,
    /// Steps of generators and coroutines.
    Steps,
}

/// Durations in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Durations {
    count: u64,
    max_ns: u64,
    sum_ns: u64,
    /// Calls that the window cut, or whose beginning or end was not seen: their durations are not known.
    pub cut: u64,
    /// Durations that are bounds from above.
    pub late: u64,
    plain: Vec<u64>,
    histogram: Option<Box<Histogram<u32>>>,
}

/// The durations of a function, as measured and without what probes added to them.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    /// As measured.
    pub measured: Durations,
    /// What is left of each. Where that is a bound only, the bound.
    left: Durations,
    /// The largest bound.
    bound_ns: u64,
    /// What probes added to all of them.
    cost_ns: u64,
}

/// The durations of all functions.
#[derive(Debug, Default)]
pub struct Latency {
    functions: FxHashMap<(Row, Kind), Spread>,
    correction: Option<Correction>,
    histograms: usize,
}

impl Latency {
    /// Without a correction durations are as measured only.
    pub fn new(correction: Option<Correction>) -> Self {
        Self { correction, ..Self::default() }
    }

    /// Takes in a call.
    pub fn add(&mut self, visit: &Visit) {
        let call = &visit.call;
        let kind = if call.instance == 0 { Kind::Calls } else { Kind::Steps };
        let spread = self.functions.entry((visit.row, kind)).or_default();
        let durations = &mut spread.measured;
        if matches!(call.began, Began::OpenAtAttach | Began::Unseen) || !call.ended.by_itself() {
            durations.cut += 1;
            return;
        }
        durations.late += u64::from(call.ended.is_late());
        self.histograms += usize::from(durations.add(call.total.wall_ns, digits(self.histograms)));
        if let Some(correction) = self.correction {
            let corrected = visit.corrected(correction);
            self.histograms += usize::from(spread.left.add(corrected.ns(), digits(self.histograms)));
            spread.bound_ns = spread.bound_ns.max(corrected.at_most_ns().unwrap_or(0));
            let cost_ns = visit.probe_cost_ns(correction.calibration);
            spread.cost_ns = spread.cost_ns.saturating_add(cost_ns);
        }
    }

    /// The durations by function, those of functions that `stands_for` makes one together.
    pub fn finish(self, stands_for: impl Fn(Row) -> Row) -> Vec<(Row, Kind, Spread)> {
        let mut merged: FxHashMap<(Row, Kind), Spread> = FxHashMap::default();
        for ((row, kind), spread) in self.functions {
            merged.entry((stands_for(row), kind)).or_default().merge(spread);
        }
        let mut all: Vec<_> = merged.into_iter().map(|((row, kind), spread)| (row, kind, spread)).collect();
        all.sort_unstable_by_key(|(row, kind, _)| (*row, *kind));
        all
    }
}

/// Of a histogram, if there are so many already.
fn digits(histograms: usize) -> u8 {
    if histograms < FINE { 2 } else { 1 }
}

impl Spread {
    /// The corrected duration that so many percent of them do not exceed; `None` if there are none. Above all bounds it
    /// is as if all durations were known; below, it is a bound itself.
    pub fn percentile(&mut self, percent: f64) -> Option<Corrected> {
        self.left.percentile(percent).map(|ns| self.or_bound(ns))
    }

    /// The longest corrected duration.
    pub fn max(&self) -> Corrected {
        self.or_bound(self.left.max_ns)
    }

    /// All together, corrected.
    pub fn sum(&self, correction: Correction) -> Corrected {
        correction.of_bounds(self.measured.late > 0).of(self.measured.sum_ns, self.cost_ns)
    }

    fn or_bound(&self, ns: u64) -> Corrected {
        if ns > self.bound_ns { Corrected::Estimate(ns) } else { Corrected::AtMost(ns) }
    }

    fn merge(&mut self, other: Self) {
        self.measured.merge(other.measured);
        self.left.merge(other.left);
        self.bound_ns = self.bound_ns.max(other.bound_ns);
        self.cost_ns = self.cost_ns.saturating_add(other.cost_ns);
    }
}

impl Durations {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest, exactly.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// All together, exactly.
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// By how many percent a percentile may be off.
    pub fn error_percent(&self) -> u8 {
        match self.histogram.as_ref().map(|histogram| histogram.sigfig()) {
            None => 0,
            Some(2) => 1,
            Some(_) => 10,
        }
    }

    /// The duration that so many percent of them do not exceed; `None` if there are none.
    pub fn percentile(&mut self, percent: f64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        if let Some(histogram) = &self.histogram {
            return Some(histogram.value_at_percentile(percent).min(self.max_ns));
        }
        self.plain.sort_unstable();
        let rank = (percent / 100.0 * self.plain.len() as f64).ceil() as usize;
        self.plain.get(rank.max(1) - 1).copied()
    }

    /// Returns whether it has become a histogram by this.
    fn add(&mut self, ns: u64, digits: u8) -> bool {
        let had = self.histogram.is_some();
        self.count += 1;
        self.max_ns = self.max_ns.max(ns);
        self.sum_ns = self.sum_ns.saturating_add(ns);
        self.keep(ns, digits);
        !had && self.histogram.is_some()
    }

    fn keep(&mut self, ns: u64, digits: u8) {
        if let Some(histogram) = &mut self.histogram {
            record(histogram, ns, 1);
            return;
        }
        self.plain.push(ns);
        if self.plain.len() > PLAIN
            && let Ok(mut histogram) = Histogram::new(digits)
        {
            for ns in std::mem::take(&mut self.plain) {
                record(&mut histogram, ns, 1);
            }
            self.histogram = Some(Box::new(histogram));
        }
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.max_ns = self.max_ns.max(other.max_ns);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.cut += other.cut;
        self.late += other.late;
        let digits =
            [&self.histogram, &other.histogram].into_iter().flatten().map(|known| known.sigfig()).min();
        for ns in other.plain {
            self.keep(ns, digits.unwrap_or(2));
        }
        let Some(theirs) = other.histogram else { return };
        let ours = match self.histogram.take() {
            Some(ours) if ours.sigfig() <= theirs.sigfig() => {
                self.histogram = Some(ours);
                theirs
            }
            ours => {
                self.histogram = Some(theirs);
                for ns in std::mem::take(&mut self.plain) {
                    self.keep(ns, 2);
                }
                let Some(ours) = ours else { return };
                ours
            }
        };
        if let Some(histogram) = &mut self.histogram {
            for value in ours.iter_recorded() {
                record(histogram, value.value_iterated_to(), value.count_at_value());
            }
        }
    }
}

/// Histograms resize themselves, so that nothing is out of their range; a count that is full stays so.
fn record(histogram: &mut Histogram<u32>, ns: u64, count: u32) {
    let _ = histogram.record_n(ns, count);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durations(all: impl Iterator<Item = u64>, digits: u8) -> Durations {
        let mut durations = Durations::default();
        all.for_each(|ns| _ = durations.add(ns, digits));
        durations
    }

    #[test]
    fn a_few_are_exact() {
        let mut few = durations((1..=100).rev(), 2);
        assert_eq!([50.0, 90.0, 99.0].map(|percent| few.percentile(percent)), [Some(50), Some(90), Some(99)]);
        assert_eq!((few.max_ns(), few.sum_ns(), few.error_percent()), (100, 5050, 0));
        assert_eq!(Durations::default().percentile(50.0), None);
    }

    #[test]
    fn many_are_within_their_error_and_the_longest_is_exact() {
        for (digits, error) in [(2, 0.01), (1, 0.1)] {
            let mut many = durations((1..=100_000).map(|n| n * 1_234_567), digits);
            for percent in [50.0, 90.0, 99.0] {
                let exact = percent / 100.0 * 100_000.0 * 1_234_567.0;
                let known = many.percentile(percent).unwrap() as f64;
                assert!((known - exact).abs() <= exact * error, "{percent}: {known} of {exact}");
            }
            assert_eq!(many.percentile(100.0), Some(100_000 * 1_234_567));
            assert_eq!(many.count(), 100_000);
        }
    }

    #[test]
    fn merged_they_are_as_if_counted_together() {
        let parts = [(1..=10, 2), (11..=1_000, 1), (1_001..=5_000, 2), (5_001..=5_010, 2)];
        for turn in 0..parts.len() {
            let mut all = Durations::default();
            for part in 0..parts.len() {
                let (values, digits) = &parts[(part + turn) % parts.len()];
                all.merge(durations(values.clone().map(|n: u64| n * 1000), *digits));
            }
            assert_eq!((all.count(), all.max_ns()), (5_010, 5_010_000));
            let half = all.percentile(50.0).unwrap() as f64;
            assert!((half - 2_505_000.0).abs() < 2_505_000.0 * 0.1, "{half}");
            assert_eq!(all.histogram.as_ref().unwrap().len(), 5_010);
        }
    }

    #[test]
    fn a_histogram_takes_no_more_than_is_planned() {
        let size = |digits| {
            let hours = durations((0..=PLAIN as u64).map(|n| n << 40 >> 6), digits);
            hours.histogram.unwrap().distinct_values() * size_of::<u32>()
        };
        assert!(FINE * size(2) + (2 * 50_000 - FINE) * size(1) < 320 << 20, "{} {}", size(2), size(1));
    }
}
