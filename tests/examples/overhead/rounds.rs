//! Many rounds of the loop, in some ways each.

use tests::{Python, statistics::median};

use crate::mode::{Mode, Subject, Work};

/// Nanoseconds that a call or step took: for each round, by the number of the mode.
pub(crate) struct Rounds(Vec<[f64; Mode::ALL.len()]>);

impl Rounds {
    /// Runs them under one interpreter.
    pub(crate) fn run(python: Python, work: Work, modes: &[Mode], rounds: usize, calls: u64) -> Self {
        let mut subject = Subject::start(python, work, rounds, calls);
        let mut costs = Vec::new();
        for round in 0..rounds {
            eprintln!("{python}, round {} of {rounds}", round + 1);
            let mut by_mode = [f64::NAN; Mode::ALL.len()];
            // Each round begins with another mode: what one leaves behind does not always hit the same next one.
            for turn in 0..modes.len() {
                let mode = modes[(turn + round) % modes.len()];
                by_mode[mode as usize] = subject.call_ns(mode);
            }
            costs.push(by_mode);
        }
        subject.end();
        Self(costs)
    }

    /// What a call took, the median.
    pub(crate) fn total(&self, mode: Mode) -> f64 {
        median(&self.0.iter().map(|round| round[mode as usize]).collect::<Vec<_>>())
    }

    /// What a way added to a call, the median.
    pub(crate) fn added(&self, mode: Mode) -> f64 {
        median(&self.additions(mode))
    }

    /// The same as a ratio to what another way added in the same round, for each round.
    pub(crate) fn ratios(&self, mode: Mode, other: Mode) -> Vec<f64> {
        self.additions(mode).iter().zip(self.additions(other)).map(|(added, other)| added / other).collect()
    }

    fn additions(&self, mode: Mode) -> Vec<f64> {
        self.0.iter().map(|round| round[mode as usize] - round[Mode::Untraced as usize]).collect()
    }
}
