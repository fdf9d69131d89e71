//! The longest calls of the busiest threads, as lanes over time.

use std::cmp::Reverse;

use serde::{Serialize, Serializer};

use super::functions::{Names, Number};
use super::{CorrectedTime, corrected};
use crate::analysis::top_calls::TopCalls;
use crate::analysis::tree::CallTree;
use crate::analysis::{Source, Visit};
use crate::correction::Correction;
use crate::text::shown;

/// Calls that are kept.
const MOST: usize = 20_000;
/// Threads that get a lane.
const LANES: usize = 64;

/// The longest calls so far.
pub(super) struct Longest {
    calls: TopCalls,
    /// Time in calls, by thread.
    busy_ns: Vec<u64>,
}

/// What is drawn.
#[derive(Serialize)]
pub(super) struct Lanes {
    /// Process id, thread id and name of each lane.
    threads: Vec<(u32, u32, String)>,
    /// Longer ones first.
    calls: Vec<Drawn>,
    /// Calls that are not in it.
    left_out: u64,
    /// Threads without a lane.
    threads_left_out: usize,
    /// What corrected lengths are; `None`: there are none.
    corrected: Option<String>,
}

/// A call: number of its lane, depth, function, beginning, length, part of it off CPU, change of resident memory, whether
/// the length is an upper bound, and the length without what probes added.
struct Drawn {
    lane: usize,
    function: Number,
    start_ns: u64,
    visit: Visit,
    corrected: Option<CorrectedTime>,
}

impl Serialize for Drawn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { lane, function, start_ns, visit, corrected } = self;
        let (depth, total, late) = (visit.call.depth, visit.call.total, visit.call.ended.is_late());
        (lane, depth, function, start_ns, total.wall_ns, total.off_cpu_ns, total.rss_bytes, late, corrected)
            .serialize(serializer)
    }
}

impl Default for Longest {
    fn default() -> Self {
        Self { calls: TopCalls::new(MOST), busy_ns: Vec::new() }
    }
}

impl Longest {
    /// Looks at a call.
    pub(super) fn add(&mut self, visit: &Visit) {
        let thread = visit.thread as usize;
        if thread >= self.busy_ns.len() {
            self.busy_ns.resize(thread + 1, 0);
        }
        self.busy_ns[thread] = self.busy_ns[thread].saturating_add(visit.call.own.wall_ns);
        self.calls.add(visit, visit.call.total.wall_ns);
    }

    /// No call is left; `tree` has all of them, also those that are in the log's sums only.
    pub(super) fn finish(self, source: &Source, tree: &CallTree, names: &mut Names) -> Lanes {
        let mut busiest: Vec<usize> = (0..self.busy_ns.len()).collect();
        busiest.sort_by_key(|&thread| Reverse(self.busy_ns[thread]));
        let threads_left_out = busiest.split_off(busiest.len().min(LANES)).len();
        busiest.sort_by_key(|&thread| source.threads()[thread]);
        let drawn = |visit: Visit| {
            Some(Drawn {
                lane: busiest.iter().position(|&busy| busy == visit.thread as usize)?,
                function: names.of_row(source, visit.row),
                start_ns: visit.call.start_ns.saturating_sub(source.start_ns()),
                visit,
                corrected: corrected(source, &visit),
            })
        };
        let calls: Vec<_> = self.calls.finish().into_iter().filter_map(drawn).collect();
        let all: u64 = tree.calls().map(|(.., path)| path.sums.activations).sum();
        Lanes {
            threads: busiest.iter().map(|&thread| heading(source, thread as u32)).collect(),
            left_out: all.saturating_sub(calls.len() as u64),
            calls,
            threads_left_out,
            corrected: source.correction().map(Correction::note),
        }
    }
}

fn heading(source: &Source, thread: u32) -> (u32, u32, String) {
    let (pid, tid) = source.threads()[thread as usize];
    (pid, tid, shown(source.thread_name(thread).unwrap_or_default()).into_owned())
}
