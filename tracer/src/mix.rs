//! Who is called how often, from windows: calls relative to each other. How many there were in all is not known.
//!
//! A window of a fixed length sees little of a program while that calls much, since the probes slow it down so; and
//! while it calls little, much. So each window counts by what the program has got done in it: as many calls as it would
//! have made in the same time, had it not been traced.

use crate::{
    event::{FunctionId, ProcessIndex},
    functions::Row,
};

/// A window that was, and what was counted in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClosedWindow {
    /// Index of the process.
    pub process: ProcessIndex,
    /// Calls and resumptions by function.
    pub starts: Vec<(FunctionId, u64, u64)>,
    /// Those of functions beyond the table.
    pub beyond: u64,
    /// How long it was.
    pub length: WindowLength,
}

/// Calls of every function, weighted window by window.
#[derive(Clone, Debug, Default)]
pub struct CallMix {
    rows: Vec<Sums>,
    /// Of all functions together: weighted calls, and their squares window by window.
    calls: f64,
    squares: f64,
    windows: u64,
    starts: u64,
}

/// Sums of one function over windows, of weighted calls. A window counts as one observation, however many calls there
/// are in it: those of one moment are much alike.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    calls: f64,
    resumes: f64,
    squares: f64,
    /// Products with the calls of all functions.
    with_all: f64,
}

/// What windows say of a function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Its calls, as a share of all calls: 0 to 1.
    pub calls: f64,
    /// The true share lies within this much of it, with a probability of 95 %.
    pub margin: f64,
    /// Resumptions, relative to the calls of all functions.
    pub resumes: f64,
}

/// One window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WindowLength {
    /// How long it was open.
    pub open_ns: f64,
    /// How much of that hits are believed to have taken.
    pub hits_ns: f64,
}

/// What a program gets done in a window that is full of hits is known badly: it is taken to be at least this share.
const LEAST_PROGRESS: f64 = 0.01;
/// Half the width of an interval of 95 % of a normal distribution, in standard deviations.
const NORMAL_95: f64 = 1.96;

impl WindowLength {
    /// Calls for each nanosecond, had there been no probes, are those that were seen times this.
    fn weight(self) -> f64 {
        let progress = (self.open_ns - self.hits_ns).max(self.open_ns * LEAST_PROGRESS);
        if progress > 0.0 { 1.0 / progress } else { 0.0 }
    }
}

impl CallMix {
    /// Adds a window: calls and resumptions by function, each function once.
    pub fn add(&mut self, length: WindowLength, starts: impl IntoIterator<Item = (Row, u64, u64)>) {
        let weight = length.weight();
        let starts: Vec<_> = starts.into_iter().collect();
        let all = starts.iter().map(|&(_, calls, _)| calls as f64).sum::<f64>() * weight;
        for (row, calls, resumes) in starts {
            let row = row as usize;
            if row >= self.rows.len() {
                self.rows.resize(row + 1, Sums::default());
            }
            let own = calls as f64 * weight;
            let sums = &mut self.rows[row];
            sums.calls += own;
            sums.resumes += resumes as f64 * weight;
            sums.squares += own * own;
            sums.with_all += own * all;
            self.starts += calls + resumes;
        }
        self.calls += all;
        self.squares += all * all;
        self.windows += 1;
    }

    /// What is known of a function; `None`: no calls were seen at all.
    pub fn share(&self, row: Row) -> Option<Share> {
        let sums = self.rows.get(row as usize).copied().unwrap_or_default();
        if self.calls <= 0.0 {
            return None;
        }
        let calls = sums.calls / self.calls;
        // Of a ratio of sums: the residuals of the windows against the whole.
        let residuals = (sums.squares - 2.0 * calls * sums.with_all + calls * calls * self.squares).max(0.0);
        let windows = self.windows as f64;
        let spread =
            if self.windows > 1 { (residuals * windows / (windows - 1.0)).sqrt() / self.calls } else { 1.0 };
        Some(Share { calls, margin: (NORMAL_95 * spread).min(1.0), resumes: sums.resumes / self.calls })
    }

    /// How many windows there were.
    pub fn windows(&self) -> u64 {
        self.windows
    }

    /// How many starts were counted in them.
    pub fn starts(&self) -> u64 {
        self.starts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIT_NS: f64 = 500.0;

    /// A window on a program that makes so many calls in each nanosecond of its own work.
    fn window(calls_per_ns: [f64; 2]) -> (WindowLength, [(Row, u64, u64); 2]) {
        let open_ns = 5e6;
        let progress = open_ns / (1.0 + (calls_per_ns[0] + calls_per_ns[1]) * HIT_NS);
        let calls = calls_per_ns.map(|rate| (rate * progress).round() as u64);
        let hits_ns = (calls[0] + calls[1]) as f64 * HIT_NS;
        (WindowLength { open_ns, hits_ns }, [(0, calls[0], 0), (1, calls[1], 7)])
    }

    #[test]
    fn phases_count_by_what_the_program_gets_done_in_them() {
        let mut mix = CallMix::default();
        // Half of the time one that calls much, half of the time one that calls little.
        let phases = [[0.02, 0.0], [0.0, 0.000_1]];
        for phase in phases.into_iter().cycle().take(100) {
            let (length, starts) = window(phase);
            mix.add(length, starts);
        }
        let truth = 0.02 / 0.020_1;
        let share = mix.share(0).unwrap();
        assert!((share.calls - truth).abs() < 0.002, "{share:?}");
        let other = mix.share(1).unwrap();
        assert!((share.calls + other.calls - 1.0).abs() < 1e-9);
        assert!(other.resumes > 0.0 && share.resumes == 0.0);
    }

    #[test]
    fn the_margin_holds_the_truth() {
        // Two functions, whose share differs from window to window.
        let mut random = 1_u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 40) as f64 / f64::from(1 << 24)
        };
        let mut held = 0;
        for _ in 0..200 {
            let mut mix = CallMix::default();
            for _ in 0..60 {
                let share = next();
                let (length, starts) = window([0.001 * share, 0.001 * (1.0 - share)]);
                mix.add(length, starts);
            }
            let share = mix.share(0).unwrap();
            held += i32::from((share.calls - 0.5).abs() <= share.margin);
        }
        assert!((180..200).contains(&held), "{held} of 200");
    }

    #[test]
    fn nothing_is_said_where_nothing_was_seen() {
        assert_eq!(CallMix::default().share(0), None);
        let mut mix = CallMix::default();
        mix.add(WindowLength { open_ns: 5e6, hits_ns: 0.0 }, [(3, 0, 4)]);
        assert_eq!(mix.share(3), None);
        mix.add(WindowLength { open_ns: 5e6, hits_ns: 500.0 }, [(3, 1, 0)]);
        assert_eq!(mix.share(3).map(|share| share.calls), Some(1.0));
        assert_eq!(mix.share(9).map(|share| share.calls), Some(0.0));
    }
}
