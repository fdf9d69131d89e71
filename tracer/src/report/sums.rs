//! What calls came to, with the keys that this has in the JSON of reports and views.

use serde::{Deserialize, Serialize};

use crate::summary::FunctionSums;

/// Sums over the calls of a function, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Calls that began in the window.
    pub calls: u64,
    /// Resumptions of a generator or coroutine.
    pub resumes: u64,
    /// Wall time without what they called, in nanoseconds.
    pub self_wall_ns: u64,
    /// Wall time with all that they called; recursion counted once.
    pub cum_wall_ns: u64,
    /// CPU time without what they called.
    pub self_cpu_ns: u64,
    /// CPU time with all that they called.
    pub cum_cpu_ns: u64,
    /// Change of resident memory in bytes while they were on top.
    pub self_rss_bytes: i64,
    /// Change of resident memory in bytes while they were open, by their thread.
    pub cum_rss_bytes: i64,
    /// Page faults while they were on top.
    pub page_faults: u64,
}

impl From<&FunctionSums> for Sums {
    fn from(sums: &FunctionSums) -> Self {
        Self {
            calls: sums.calls,
            resumes: sums.resumes,
            self_wall_ns: sums.own.wall_ns,
            cum_wall_ns: sums.cumulative.wall_ns,
            self_cpu_ns: sums.own.cpu_ns(),
            cum_cpu_ns: sums.cumulative.cpu_ns(),
            self_rss_bytes: sums.own.rss_bytes,
            cum_rss_bytes: sums.cumulative.rss_bytes,
            page_faults: sums.own.faults,
        }
    }
}

impl Sums {
    /// Adds those of other calls.
    pub(super) fn merge(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.resumes = self.resumes.saturating_add(other.resumes);
        self.self_wall_ns = self.self_wall_ns.saturating_add(other.self_wall_ns);
        self.cum_wall_ns = self.cum_wall_ns.saturating_add(other.cum_wall_ns);
        self.self_cpu_ns = self.self_cpu_ns.saturating_add(other.self_cpu_ns);
        self.cum_cpu_ns = self.cum_cpu_ns.saturating_add(other.cum_cpu_ns);
        self.self_rss_bytes = self.self_rss_bytes.saturating_add(other.self_rss_bytes);
        self.cum_rss_bytes = self.cum_rss_bytes.saturating_add(other.cum_rss_bytes);
        self.page_faults = self.page_faults.saturating_add(other.page_faults);
    }
}
