//! The fuse: a recording that costs or loses more than was allowed ends early. Values in, decision out.

use std::time::Duration;

use crate::units::{count, duration};

/// What a recording may come to; `None`: anything.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Probe hits per second.
    pub rate: Option<u64>,
    /// Share of one processor's time that probes take, of 1.
    pub cost: Option<f64>,
    /// Share of events that are lost, of 1.
    pub loss: Option<f64>,
}

/// Counters since the beginning of a recording.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// How long that is ago.
    pub(super) elapsed: Duration,
    /// Probe hits.
    pub(super) hits: u64,
    /// What these took, nanoseconds.
    pub(super) cost_ns: u64,
    /// Events lost.
    pub(super) lost: u64,
}

/// A recording is looked at in steps of this.
const STEP: Duration = Duration::from_secs(1);
/// So many steps in a row above a limit are no burst any more. Losses harm only the numbers: they may last longer.
const STEPS: u32 = 3;
const STEPS_OF_LOSS: u32 = 10;

/// Compares a recording with its limits.
#[derive(Debug)]
pub(super) struct Fuse {
    limits: Limits,
    last: Reading,
    /// Steps in a row above each limit.
    rate: u32,
    cost: u32,
    loss: u32,
}

impl Fuse {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, last: Reading::default(), rate: 0, cost: 0, loss: 0 }
    }

    /// Is it time for the next reading?
    pub(super) fn is_due(&self, elapsed: Duration) -> bool {
        self.limits != Limits { rate: None, cost: None, loss: None } && elapsed >= self.last.elapsed + STEP
    }

    /// Takes a reading; returns why the recording is to end, if it is.
    pub(super) fn blows(&mut self, now: Reading) -> Option<String> {
        let seconds = now.elapsed.saturating_sub(self.last.elapsed).as_secs_f64().max(f64::MIN_POSITIVE);
        let hits = now.hits.saturating_sub(self.last.hits) as f64;
        let rate = hits / seconds;
        let cost = now.cost_ns.saturating_sub(self.last.cost_ns) as f64 / 1e9 / seconds;
        // A lost record is of a hit, or comes on top of one.
        let loss = now.lost.saturating_sub(self.last.lost) as f64 / hits.max(1.0);
        self.last = now;
        let Limits { rate: most_rate, cost: most_cost, loss: most_loss } = self.limits;
        let (too_fast, too_dear, too_lossy) = (
            is_over(&mut self.rate, rate, most_rate.map(|most| most as f64), STEPS),
            is_over(&mut self.cost, cost, most_cost, STEPS),
            is_over(&mut self.loss, loss, most_loss, STEPS_OF_LOSS),
        );
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        let reason = if too_dear {
            format!("probes took {} of a processor's time (--stop-at-cost)", percent(cost))
        } else if too_fast {
            format!("there were {} events per second (--stop-at-rate)", count(rate as u64))
        } else if too_lossy {
            format!("{} of the events were lost (--stop-at-loss)", percent(loss.min(1.0)))
        } else {
            return None;
        };
        let after = duration(now.elapsed.as_nanos() as u64);
        Some(format!("the recording was ended early, after {after}: {reason}"))
    }
}

/// Has a value been above its limit for so many steps in a row, with this one?
fn is_over(steps: &mut u32, value: f64, most: Option<f64>, enough: u32) -> bool {
    let is_above = most.is_some_and(|most| value > most);
    *steps = if is_above { *steps + 1 } else { 0 };
    *steps >= enough
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIT_NS: u64 = 600;

    /// After so many seconds of so many hits and losses each: the second at which the fuse blows, and why.
    fn run(limits: Limits, seconds: &[(u64, u64)]) -> Option<(usize, String)> {
        let mut fuse = Fuse::new(limits);
        let mut now = Reading::default();
        for (at, &(hits, lost)) in seconds.iter().enumerate() {
            assert!(!fuse.is_due(now.elapsed + STEP / 2));
            now.elapsed += STEP;
            now.hits += hits;
            now.cost_ns += hits * HIT_NS;
            now.lost += lost;
            assert_eq!(fuse.is_due(now.elapsed), limits != Limits::default());
            if let Some(why) = fuse.blows(now) {
                return Some((at, why));
            }
        }
        None
    }

    #[test]
    fn a_limit_holds_for_some_seconds_in_a_row() {
        let limits = Limits { rate: Some(1_000), ..Limits::default() };
        let burst = [(5_000, 0), (5_000, 0), (1_000, 0), (5_000, 0), (5_000, 0), (0, 0)];
        assert_eq!(run(limits, &burst), None);
        let (at, why) = run(limits, &[(0, 0), (1_001, 0), (5_000, 0), (2_000, 0), (0, 0)]).unwrap();
        let said = "the recording was ended early, after 4.00 s: there were 2 000 events per second (--stop-at-rate)";
        assert_eq!((at, &*why), (3, said));
    }

    #[test]
    fn cost_is_a_share_of_the_time() {
        let limits = Limits { cost: Some(0.5), ..Limits::default() };
        let (cheap, dear) = ((500_000_000 / HIT_NS, 0), (600_000_000 / HIT_NS, 0));
        assert_eq!(run(limits, &[cheap; 20]), None);
        let (at, why) = run(limits, &[dear; 20]).unwrap();
        assert!(at == 2 && why.contains("probes took 60 % of a processor's time"), "{at} {why}");
    }

    #[test]
    fn losses_may_last_longer() {
        let limits = Limits { loss: Some(0.5), ..Limits::default() };
        assert_eq!(run(limits, &[(1_000, 500); 40]), None);
        assert_eq!(run(limits, &[(1_000, 900); 9]), None);
        let (at, why) = run(limits, &[(1_000, 900); 12]).unwrap();
        assert!(at == 9 && why.contains("90 % of the events were lost"), "{at} {why}");
    }

    #[test]
    fn without_limits_nothing_is_too_much() {
        assert_eq!(run(Limits::default(), &[(u64::from(u32::MAX), u64::from(u32::MAX)); 20]), None);
    }
}
