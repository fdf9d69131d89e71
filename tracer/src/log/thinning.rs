//! Leaves calls and changes of memory out of a log, and keeps their sums.
//!
//! A reader takes for a call's own what the calls below it in the log don't account for. Where calls were left out that
//! is too much, so this follows what each call that is kept will seem to have taken, and puts the difference among the
//! sums too.

use std::mem::take;

use rustc_hash::FxHashMap;

use super::schema::{ThinnedRow, ThinnedRows};
use super::sums::Sums;
use crate::charge::{Cost, FinishedCall, RssChange};
use crate::report::{Thinned, Thinning};

/// Decides what is kept, call by call, as they end.
#[derive(Debug)]
pub(super) struct Thinner {
    /// The rule, and how much it left out so far.
    pub(super) thinned: Thinned,
    threads: FxHashMap<(u32, u32), Thread>,
    /// Of the segment that is open.
    sums: Sums,
}

/// What is to be known of a thread.
#[derive(Debug, Default)]
struct Thread {
    /// By depth: calls in the log that lie in the call open there, and in no other one of the log so far.
    below: Vec<Below>,
    /// Its last call, if that depends on the next one.
    previous: Option<FinishedCall>,
}

/// Calls that a reader will take for direct ones of whatever they lie in.
#[derive(Clone, Copy, Debug, Default)]
struct Below {
    total: Cost,
    calls: u64,
    /// When the last of them began.
    latest_start_ns: u64,
}

impl Thinning {
    fn keeps_call(&self, call: &FinishedCall) -> bool {
        self.min_rss_bytes.is_some_and(|least| call.total.rss_bytes.unsigned_abs() >= least)
            || self.min_duration_ns.is_some_and(|least| call.total.wall_ns >= least)
    }

    /// What goes to swap and comes back is no resident memory.
    fn keeps_change(&self, change: &RssChange) -> bool {
        match self.min_rss_bytes {
            Some(least) => !change.member.in_rss() || change.delta_bytes.unsigned_abs() >= least,
            None => self.min_duration_ns.is_some(),
        }
    }
}

impl Thinner {
    pub(super) fn new(kept: Thinning) -> Self {
        let thinned = Thinned { kept, ..Thinned::default() };
        Self { thinned, threads: FxHashMap::default(), sums: Sums::default() }
    }

    /// A call has ended. `keep` gets what is to be written by now.
    pub(super) fn call(&mut self, call: &FinishedCall, mut keep: impl FnMut(&FinishedCall)) {
        let Self { thinned, threads, sums } = self;
        let thread = threads.entry((call.pid, call.tid)).or_default();
        let kept = thinned.kept.keeps_call(call);
        if let Some(previous) = thread.previous.take() {
            thinned.calls += u64::from(!thread.settle(&previous, kept, sums, &mut keep));
        }
        if thinned.kept.with_previous && !kept {
            thread.previous = Some(*call);
        } else {
            thinned.calls += u64::from(!thread.settle(call, kept, sums, &mut keep));
        }
    }

    /// Resident memory has changed. Is that to be written?
    pub(super) fn change(&mut self, change: &RssChange) -> bool {
        let kept = self.thinned.kept.keeps_change(change);
        if !kept {
            self.thinned.rss_changes += 1;
            self.sums.add(&ThinnedRow::of_change(change));
        }
        kept
    }

    /// A thread has ended. `keep` gets what is still to be written.
    pub(super) fn end_thread(&mut self, pid: u32, tid: u32, mut keep: impl FnMut(&FinishedCall)) {
        if let Some(thread) = self.threads.remove(&(pid, tid)) {
            self.thinned.calls += thread.end(&mut self.sums, &mut keep);
        }
    }

    /// No more calls will come.
    pub(super) fn finish(&mut self, mut keep: impl FnMut(&FinishedCall)) {
        for (_, thread) in self.threads.drain() {
            self.thinned.calls += thread.end(&mut self.sums, &mut keep);
        }
    }

    /// How many sums there are.
    pub(super) fn len(&self) -> usize {
        self.sums.len()
    }

    /// The sums so far; the next ones begin at 0.
    pub(super) fn take(&mut self) -> ThinnedRows {
        take(&mut self.sums).into_table()
    }
}

impl Thread {
    /// A call is written, or becomes part of the sums. Was it written?
    fn settle(
        &mut self,
        call: &FinishedCall,
        kept: bool,
        sums: &mut Sums,
        keep: &mut impl FnMut(&FinishedCall),
    ) -> bool {
        let depth = call.depth as usize;
        let below = self.below.get_mut(depth).map(take).unwrap_or_default();
        self.below.truncate(depth);
        // A call in the log that took no time, at the very end of this one, would seem to lie in whatever begins at that
        // time next. This one keeps it in its place.
        let kept = kept || below.calls_end_at(call.end_ns);
        let seen = if kept {
            keep(call);
            let seeming = call.total - below.total;
            if seeming != call.own || below.calls != call.calls_made {
                sums.add(&ThinnedRow::correction(call, seeming, below.calls));
            }
            Below {
                total: call.total,
                calls: u64::from(call.began.in_window()),
                latest_start_ns: call.start_ns,
            }
        } else {
            sums.add(&ThinnedRow::of_call(call));
            below
        };
        if let Some(depth) = depth.checked_sub(1) {
            if depth >= self.below.len() {
                self.below.resize(depth + 1, Below::default());
            }
            self.below[depth].add(&seen);
        }
        kept
    }

    /// No call comes after the last one. How many were left out?
    fn end(mut self, sums: &mut Sums, keep: &mut impl FnMut(&FinishedCall)) -> u64 {
        let previous = self.previous.take();
        previous.map_or(0, |previous| u64::from(!self.settle(&previous, false, sums, keep)))
    }
}

impl Below {
    fn add(&mut self, other: &Self) {
        self.total += other.total;
        self.calls += other.calls;
        self.latest_start_ns = self.latest_start_ns.max(other.latest_start_ns);
    }

    /// Is there one that took no time, at this time?
    fn calls_end_at(&self, time_ns: u64) -> bool {
        self.latest_start_ns >= time_ns && self.latest_start_ns > 0
    }
}
