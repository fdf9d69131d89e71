//! What a report says of processes that were traced in windows.

use serde::{Deserialize, Serialize};

use crate::mix::Share;

/// How often a function was called, relative to all calls of its process: windows can't tell how often in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallShare {
    /// Its calls as a share of all calls, 0 to 1.
    pub calls_share: f64,
    /// The true share lies within this much of it, with a probability of 95 %.
    pub calls_share_margin: f64,
    /// Resumptions of a generator or coroutine, relative to the calls of all functions.
    pub resumes_share: f64,
}

impl From<Share> for CallShare {
    fn from(share: Share) -> Self {
        Self { calls_share: share.calls, calls_share_margin: share.margin, resumes_share: share.resumes }
    }
}

/// How processes were traced in windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Windowing {
    /// What tracing was to cost each process at most, as a share of its own time.
    pub max_overhead: f64,
    /// What it is believed to have cost the process that it cost most.
    pub believed_overhead: f64,
    /// Share of the time in which calls were counted, of the process that was observed least.
    pub observed: f64,
    /// How many windows there were.
    pub windows: u64,
    /// Probe hits, those right before and after a window too.
    pub hits: u64,
    /// Calls and resumptions counted in them.
    pub starts: u64,
    /// Calls and resumptions of functions for which the table had no room: in no row.
    pub beyond: u64,
}
