//! The probes' own cost, taken out of durations.
//!
//! A duration lies between two readings of the clock, in the programs at a call's beginning and end. What the first
//! probe takes after its reading, and what the second takes before its own, is part of it; the rest of both falls into
//! whatever called. So a call's duration holds the inside part once for itself, and both parts for each call inside of
//! it, however deep. `docs/overhead.md` has what was measured of this.

use serde::{Deserialize, Serialize};

use crate::units::duration;

/// What the two probes of a call take, as measured on a function of our own before the recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calibration {
    /// Nanoseconds between the readings of the clock: part of the call itself.
    pub inside_ns: u64,
    /// Nanoseconds before the first reading and after the second: part of its caller.
    pub outside_ns: u64,
}

impl Calibration {
    /// What probes add to a duration, nanoseconds: `itself` of the call it is of, unless that was cut, and of so many
    /// calls inside of it.
    pub fn cost_ns(self, itself: bool, calls_inside: u64) -> u64 {
        let own_ns = if itself { self.inside_ns } else { 0 };
        self.inside_ns.saturating_add(self.outside_ns).saturating_mul(calls_inside).saturating_add(own_ns)
    }
}

/// How the durations of a recording are corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Correction {
    /// What a call's probes take.
    pub calibration: Calibration,
    /// Every call that was hit is known. Where some are not, durations can only be bounded.
    pub all_known: bool,
}

/// A duration without what probes added to it, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Corrected {
    /// As well as is known.
    #[serde(rename = "corrected_ns")]
    Estimate(u64),
    /// No more than this: most of what was measured was the probes'.
    #[serde(rename = "corrected_at_most_ns")]
    AtMost(u64),
}

impl Correction {
    /// Of more than this share of a duration, in percent, no number is made. Probes in a program cost up to 18 % more than
    /// in the calibration: at this share what is left may be twice too large.
    const MOST_PERCENT: u64 = 70;
    /// What a bound relies on of the cost, in percent: calibrated on functions of other shapes it came out up to 5 % lower.
    const SURE_PERCENT: u64 = 90;

    /// The same of durations that are, or are not, bounds as they were measured.
    #[must_use]
    pub fn of_bounds(self, bounds: bool) -> Self {
        Self { all_known: self.all_known && !bounds, ..self }
    }

    /// A duration, or a sum of such, of which so much is the probes'.
    pub fn of(self, measured_ns: u64, cost_ns: u64) -> Corrected {
        let percent_of = |ns: u64, percent: u64| (u128::from(ns) * u128::from(percent) / 100) as u64;
        let is_small = cost_ns <= percent_of(measured_ns, Self::MOST_PERCENT);
        if self.all_known && is_small {
            return Corrected::Estimate(measured_ns - cost_ns);
        }
        Corrected::AtMost(measured_ns - percent_of(cost_ns.min(measured_ns), Self::SURE_PERCENT))
    }

    /// What to know about corrected durations, in a line.
    pub fn note(self) -> String {
        let Calibration { inside_ns, outside_ns } = self.calibration;
        let each = duration(inside_ns.saturating_add(outside_ns));
        let unknown = if self.all_known { "" } else { ", or calls in it are not known" };
        format!(
            "corrected: less {} for the call and {each} for each call inside of it, which the probes take; ≤: no more \
             than this, as most of what was measured is the probes'{unknown}",
            duration(inside_ns)
        )
    }
}

impl Corrected {
    /// The duration, or its bound.
    pub fn ns(self) -> u64 {
        let (Self::Estimate(ns) | Self::AtMost(ns)) = self;
        ns
    }

    /// The duration, where one is known.
    pub fn estimate_ns(self) -> Option<u64> {
        if let Self::Estimate(ns) = self { Some(ns) } else { None }
    }

    /// The bound, where that is all.
    pub fn at_most_ns(self) -> Option<u64> {
        if let Self::AtMost(ns) = self { Some(ns) } else { None }
    }
}

impl std::fmt::Display for Corrected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.at_most_ns().is_some() { "≤" } else { "" };
        write!(f, "{sign}{}", duration(self.ns()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CALIBRATION: Calibration = Calibration { inside_ns: 470, outside_ns: 480 };
    const CORRECTION: Correction = Correction { calibration: CALIBRATION, all_known: true };

    #[test]
    fn a_call_has_its_own_inside_part_and_all_of_the_calls_in_it() {
        assert_eq!(CALIBRATION.cost_ns(true, 0), 470);
        assert_eq!(CALIBRATION.cost_ns(true, 3), 470 + 3 * 950);
        assert_eq!(CALIBRATION.cost_ns(false, 3), 3 * 950);
    }

    #[test]
    fn a_duration_that_is_mostly_probes_has_a_bound_only() {
        assert_eq!(CORRECTION.of(10_000, 7_000), Corrected::Estimate(3_000));
        assert_eq!(CORRECTION.of(10_000, 7_001), Corrected::AtMost(10_000 - 6_300));
        assert_eq!(CORRECTION.of(500, 600), Corrected::AtMost(50));
        let some_unknown = Correction { all_known: false, ..CORRECTION };
        assert_eq!(some_unknown.of(10_000, 1_000), Corrected::AtMost(9_100));
    }

    #[test]
    fn a_bound_is_marked_where_it_is_shown() {
        assert_eq!(Corrected::Estimate(1_500).to_string(), "1.50 us");
        assert_eq!(Corrected::AtMost(1_500).to_string(), "≤1.50 us");
    }

    proptest! {
        #[test]
        fn nothing_gets_longer_and_nothing_negative(measured: u64, cost: u64, all_known: bool) {
            let corrected = Correction { all_known, ..CORRECTION }.of(measured, cost);
            prop_assert!(corrected.ns() <= measured);
            if let Corrected::Estimate(ns) = corrected {
                prop_assert_eq!(ns + cost, measured);
            }
            prop_assert!(measured == 0 || corrected.ns() > 0);
        }

        #[test]
        fn parts_add_up(calls in prop::collection::vec(0_u64..1_000, 0..20)) {
            // A call, and in it calls with so many calls inside each.
            let inside: u64 = calls.iter().map(|inside| inside + 1).sum();
            let parts: u64 = calls.iter().map(|&inside| {
                CALIBRATION.cost_ns(true, inside) + CALIBRATION.outside_ns
            }).sum();
            prop_assert_eq!(CALIBRATION.cost_ns(true, inside), CALIBRATION.inside_ns + parts);
        }
    }
}
