//! Shares of samples in two recordings, and whether one is larger than the other or only looks so.

use serde::Serialize;

use super::Pair;
use crate::report::FunctionReport;
use crate::report::sampled::interval;

/// A function's share of the samples of running threads, of 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// Samples in which it was on top.
    pub samples: u64,
    /// Their share.
    pub share: f64,
    /// The interval that holds the true share with 95 % confidence begins here.
    pub low: f64,
    /// And ends here.
    pub high: f64,
}

/// Shares before and after.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ShareChange {
    /// In the first recording; a function that is not in it has no sample.
    pub before: Share,
    /// In the second.
    pub after: Share,
    /// The second less the first.
    pub change: f64,
    /// The interval that holds the true change with 95 % confidence begins here.
    pub change_low: f64,
    /// And ends here.
    pub change_high: f64,
    /// No change at all is not within that interval.
    pub significant: bool,
}

impl ShareChange {
    /// Of a function; there are so many samples before and after.
    pub(super) fn of((before, after): &Pair, [all_before, all_after]: [u64; 2]) -> Self {
        let share = |row: &Option<FunctionReport>, all| {
            Share::new(row.as_ref().and_then(|row| row.sampled).map_or(0, |of| of.samples), all)
        };
        Self::new(share(before, all_before), share(after, all_after))
    }

    /// The interval is Newcombe's hybrid of the two shares' own (his method 10).
    fn new(before: Share, after: Share) -> Self {
        let change = after.share - before.share;
        let [down, up] = [
            (after.share - after.low).hypot(before.high - before.share),
            (after.high - after.share).hypot(before.share - before.low),
        ];
        let (change_low, change_high) = (change - down, change + up);
        // Of no samples nothing is known.
        let significant = change_low > 0.0 || change_high < 0.0;
        Self { before, after, change, change_low, change_high, significant }
    }
}

impl Share {
    fn new(samples: u64, all: u64) -> Self {
        let (low, high) = interval(samples, all);
        Self { samples, share: if all == 0 { 0.0 } else { samples as f64 / all as f64 }, low, high }
    }
}

/// Samples of running threads in these rows.
pub(super) fn samples(rows: &[FunctionReport]) -> u64 {
    rows.iter().filter_map(|row| row.sampled).map(|of| of.samples).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: (u64, u64), after: (u64, u64)) -> ShareChange {
        ShareChange::new(Share::new(before.0, before.1), Share::new(after.0, after.1))
    }

    /// Newcombe, Statistics in Medicine 17 (1998), table II, method 10: 56/70 less 48/80, 9/10 less 3/10, 5/56 less 0/29.
    #[test]
    fn intervals_are_newcombes() {
        for (before, after, low, high) in [
            ((48, 80), (56, 70), 0.0524, 0.3339),
            ((3, 10), (9, 10), 0.1705, 0.8090),
            ((0, 29), (5, 56), -0.0381, 0.1926),
        ] {
            let of = change(before, after);
            let found = (of.change_low, of.change_high);
            assert!((found.0 - low).abs() < 5e-5 && (found.1 - high).abs() < 5e-5, "{found:?}");
            assert_eq!(of.significant, low > 0.0);
        }
    }

    #[test]
    fn backward_it_is_the_same_the_other_way() {
        let (there, back) = (change((3, 10), (9, 10)), change((9, 10), (3, 10)));
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(there.change_low, -back.change_high) && near(there.change_high, -back.change_low));
        assert!(there.significant && back.significant);
    }

    #[test]
    fn without_samples_nothing_is_known() {
        assert!(!change((0, 0), (50, 50)).significant && !change((0, 0), (0, 0)).significant);
        assert!(!change((7, 50), (7, 50)).significant);
    }
}
