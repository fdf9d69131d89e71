//! How often, and for how long, a process may be traced, so that it costs no more than it was given: it is traced in
//! windows, and the budget says when. Numbers in, numbers out; the clock and the probes are elsewhere.
//!
//! What the process has done by itself, in processor time, earns an allowance; every window spends what its hits are
//! believed to have cost. So the cost stays in proportion however the program changes, and what a window has cost too
//! much is saved afterwards.

use std::time::Duration;

/// What is believed to be lost to probes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// By one hit, nanoseconds of the process's time.
    pub hit_ns: f64,
    /// By putting the probes in place and taking them away, besides hits.
    pub window_ns: f64,
    /// By other means all the time, as a share of its time (samples).
    pub always: f64,
}

/// What has happened since the last time it was told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Time that has passed.
    pub elapsed_ns: f64,
    /// Processor time that the process has used, its probes' included.
    pub cpu_ns: f64,
    /// Probe hits, also those before and after the window.
    pub hits: u64,
    /// Length of the window.
    pub window_ns: f64,
    /// Hits in the window.
    pub window_hits: u64,
}

/// When to open a window, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// From now on.
    pub after: Duration,
    /// How long it is to be open.
    pub length: Duration,
    /// How many hits it may have: it is closed then, however short it was.
    pub hits: u64,
}

/// A budget for one process.
#[derive(Clone, Debug)]
pub struct Budget {
    limit: f64,
    costs: Costs,
    /// What may be spent; below 0: what is to be saved first.
    allowance_ns: f64,
    /// Share of a window that hits are believed to take, lately. The first window learns it.
    dense: Option<f64>,
    /// Own work of the process for each nanosecond that passes, lately.
    busy: f64,
    own_ns: f64,
    cost_ns: f64,
    window_ns: f64,
    elapsed_ns: f64,
    windows: u64,
}

/// What is planned of what is allowed: what hits cost is believed, not known, and may be half as much more.
const PLANNED: f64 = 2.0 / 3.0;
/// The first window: long enough to learn what a longer one will cost.
const FIRST_NS: f64 = 2e6;
/// Shorter windows cost twice what they should: what comes before and after them counts for more.
const SHORT_NS: f64 = 5e6;
/// Where hits are rarer, and a window sees less.
const LONG_NS: f64 = 10e6;
/// Where all can be traced all the time. Such a window is closed early if that changes.
const WHOLE_NS: f64 = 250e6;
/// Longest time without a window, where there is an allowance: what an idle process does shall be seen.
const LONGEST_GAP_NS: f64 = 1e9;
/// Weight of the newest observation.
const NEWEST: f64 = 0.3;

impl Budget {
    /// `limit`: what all may cost, as a share of the process's own time: 0.05 is 5 %.
    pub fn new(limit: f64, costs: Costs) -> Self {
        Self {
            limit,
            costs,
            allowance_ns: 0.0,
            dense: None,
            busy: 0.0,
            own_ns: 0.0,
            cost_ns: 0.0,
            window_ns: 0.0,
            elapsed_ns: 0.0,
            windows: 0,
        }
    }

    /// Takes in what has happened.
    pub fn observe(&mut self, spent: &Spent) {
        let windows = f64::from(u8::from(spent.window_ns > 0.0));
        let hits = spent.hits as f64 * self.costs.hit_ns;
        // More than all of it can't have gone into probes.
        let cost = (hits + windows * self.costs.window_ns).min(spent.cpu_ns);
        let own = spent.cpu_ns - cost;
        self.allowance_ns += own * self.rate() - cost;
        // Not more than for some windows in a row: after a long rest there is no burst.
        self.allowance_ns = self.allowance_ns.min(self.rate() * LONGEST_GAP_NS);
        self.own_ns += own;
        self.cost_ns += cost;
        self.elapsed_ns += spent.elapsed_ns;
        self.window_ns += spent.window_ns;
        if spent.elapsed_ns > 0.0 {
            let outside = (spent.elapsed_ns - spent.window_ns).max(spent.elapsed_ns * 0.01);
            let busy = own / outside;
            self.busy = if self.busy == 0.0 { busy } else { mixed(self.busy, busy) };
        }
        if spent.window_ns > 0.0 {
            self.windows += 1;
            let dense = (spent.window_hits as f64 * self.costs.hit_ns / spent.window_ns).min(1.0);
            self.dense = Some(self.dense.map_or(dense, |before| mixed(before, dense).max(dense / 2.0)));
        }
    }

    /// Plans the next window. `random`: a number from 0 up to 1, so that windows begin at no fixed distance.
    pub fn next(&self, random: f64) -> Next {
        let Some(dense) = self.dense else {
            return Next {
                after: Duration::from_nanos((random * 2e7) as u64),
                length: Duration::from_nanos(FIRST_NS as u64),
                hits: u64::MAX,
            };
        };
        let length_ns = if dense <= self.rate() / 2.0 {
            WHOLE_NS
        } else if dense < 0.5 {
            LONG_NS
        } else {
            SHORT_NS
        };
        let price = dense * length_ns + self.costs.window_ns;
        let earned_per_ns = (self.busy * self.rate()).max(f64::MIN_POSITIVE);
        // What the window itself earns, while it is open.
        let own = length_ns * (1.0 - dense) * self.busy.min(1.0) * self.rate();
        let mean_gap = ((price - own) / earned_per_ns).max(0.0);
        // What is left of earlier ones evens out over some windows.
        let correction = (-self.allowance_ns / earned_per_ns / 4.0).clamp(-mean_gap / 2.0, f64::MAX);
        let gap = mean_gap * (0.5 + random) + correction;
        let gap =
            if self.allowance_ns >= 0.0 { gap.min(LONGEST_GAP_NS) } else { gap.min(60.0 * LONGEST_GAP_NS) };
        let most = (price * 2.0).max(self.allowance_ns) / self.costs.hit_ns;
        Next {
            after: Duration::from_nanos(gap as u64),
            length: Duration::from_nanos(length_ns as u64),
            hits: most as u64,
        }
    }

    /// What the process is believed to have lost, as a share of its own time.
    pub fn believed(&self) -> f64 {
        if self.own_ns > 0.0 { self.cost_ns / self.own_ns + self.costs.always } else { 0.0 }
    }

    /// Share of the time in which a window was open.
    pub fn observed(&self) -> f64 {
        if self.elapsed_ns > 0.0 { self.window_ns / self.elapsed_ns } else { 0.0 }
    }

    /// What is believed to be lost to what.
    pub fn costs(&self) -> Costs {
        self.costs
    }

    /// How many windows there were.
    pub fn windows(&self) -> u64 {
        self.windows
    }

    /// What may be spent for each nanosecond of the process's own time.
    fn rate(&self) -> f64 {
        (self.limit * PLANNED - self.costs.always).max(0.0)
    }
}

fn mixed(before: f64, newest: f64) -> f64 {
    before * (1.0 - NEWEST) + newest * NEWEST
}

#[cfg(test)]
mod tests;
