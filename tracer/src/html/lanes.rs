//! The longest calls of the busiest threads, as lanes over time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Serialize, Serializer};

use super::functions::{Names, Number};
use crate::analysis::{Source, Visit};
use crate::functions::Row;
use crate::text::shown;

/// Calls that are kept.
const MOST: usize = 20_000;
/// Threads that get a lane.
const LANES: usize = 64;

/// The longest calls so far.
#[derive(Default)]
pub(super) struct Longest {
    /// The shortest is on top. Length, beginning and depth come first, so that what is kept does not hang on chance.
    calls: BinaryHeap<Reverse<Call>>,
    /// Time in calls, by thread.
    busy_ns: Vec<u64>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    duration_ns: u64,
    start_ns: u64,
    depth: u32,
    thread: u32,
    row: Row,
    off_cpu_ns: u64,
    rss_bytes: i64,
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
}

/// A call: number of its lane, depth, function, beginning, length, part of it off CPU, change of resident memory.
struct Drawn(usize, Number, Call);

impl Serialize for Drawn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(lane, number, call) = self;
        (lane, call.depth, number, call.start_ns, call.duration_ns, call.off_cpu_ns, call.rss_bytes)
            .serialize(serializer)
    }
}

impl Longest {
    /// Looks at a call.
    pub(super) fn add(&mut self, visit: &Visit) {
        let call = &visit.call;
        let thread = visit.thread as usize;
        if thread >= self.busy_ns.len() {
            self.busy_ns.resize(thread + 1, 0);
        }
        self.busy_ns[thread] = self.busy_ns[thread].saturating_add(call.own.wall_ns);
        let call = Call {
            duration_ns: call.total.wall_ns,
            start_ns: call.start_ns,
            depth: call.depth,
            thread: visit.thread,
            row: visit.row,
            off_cpu_ns: call.total.off_cpu_ns,
            rss_bytes: call.total.rss_bytes,
        };
        if self.calls.len() < MOST {
            self.calls.push(Reverse(call));
        } else if let Some(mut shortest) = self.calls.peek_mut()
            && shortest.0 < call
        {
            *shortest = Reverse(call);
        }
    }

    /// No call is left of so many. `start_ns`: beginning of the window.
    pub(super) fn finish(self, source: &Source, all: u64, start_ns: u64, names: &mut Names) -> Lanes {
        let mut busiest: Vec<usize> = (0..self.busy_ns.len()).collect();
        busiest.sort_by_key(|&thread| Reverse(self.busy_ns[thread]));
        let left_out = busiest.split_off(busiest.len().min(LANES)).len();
        busiest.sort_by_key(|&thread| source.threads()[thread]);
        let lane = |thread: u32| busiest.iter().position(|&busy| busy == thread as usize);
        let calls: Vec<_> = self
            .calls
            .into_sorted_vec()
            .into_iter()
            .filter_map(|Reverse(call)| {
                let start_ns = call.start_ns.saturating_sub(start_ns);
                Some(Drawn(lane(call.thread)?, names.of_row(source, call.row), Call { start_ns, ..call }))
            })
            .collect();
        Lanes {
            threads: busiest.iter().map(|&thread| heading(source, thread as u32)).collect(),
            left_out: all.saturating_sub(calls.len() as u64),
            calls,
            threads_left_out: left_out,
        }
    }
}

fn heading(source: &Source, thread: u32) -> (u32, u32, String) {
    let (pid, tid) = source.threads()[thread as usize];
    (pid, tid, shown(source.thread_name(thread).unwrap_or_default()).into_owned())
}
