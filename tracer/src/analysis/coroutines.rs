//! Coroutines by function: how long their instances ran and how long they waited, from their first step to their last.
//!
//! Calls come backward: the first step that is seen of an instance is its last one, and it is over for us with the one
//! that it began with. So state is kept of those only that live at the same time.

use rustc_hash::FxHashMap;

use super::Visit;
use super::names::Names;
use crate::charge::{Began, Ended};
use crate::correction::Calibration;
use crate::functions::Row;

/// What the instances of a coroutine function came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoroutineSums {
    /// Instances of which a step was seen.
    pub instances: u64,
    /// Those that began in the window.
    pub calls: u64,
    /// Steps after the first.
    pub resumes: u64,
    /// Sum of the durations of steps, with all that they called, nanoseconds. A coroutine that another one awaits runs
    /// as part of that.
    pub ran_ns: u64,
    /// What probes added to that.
    pub probe_cost_ns: u64,
    /// Time suspended between the first step that was seen of an instance and the last.
    pub waited_ns: u64,
    /// Instances whose beginning or end was not seen: the window cut them, or events were lost.
    pub cut: u64,
    /// Sum of the times from beginning to end of all others.
    pub span_ns: u64,
    /// The longest of them.
    pub longest_ns: u64,
    /// Steps that ended with a suspension that was seen as one.
    pub suspended: u64,
    /// Steps whose times are bounds from above.
    pub late_ends: u64,
}

#[derive(Clone, Copy, Debug)]
struct Live {
    row: Row,
    start_ns: u64,
    end_ns: u64,
    ran_ns: u64,
    /// It went on after its last step.
    is_cut: bool,
}

/// All coroutines and generators of a recording.
#[derive(Debug, Default)]
pub struct Coroutines {
    calibration: Calibration,
    live: FxHashMap<u64, Live>,
    sums: FxHashMap<Row, CoroutineSums>,
}

impl Coroutines {
    /// `calibration`: what probes add to durations.
    pub fn new(calibration: Calibration) -> Self {
        Self { calibration, ..Self::default() }
    }

    /// Takes in a call, later ones first.
    pub fn add(&mut self, visit: &Visit) {
        let call = &visit.call;
        if call.instance == 0 {
            return;
        }
        let sums = self.sums.entry(visit.row).or_default();
        let suspended = matches!(call.ended, Ended::Suspended | Ended::SuspendedUnseen);
        sums.suspended += u64::from(suspended);
        sums.late_ends += u64::from(call.ended.is_late());
        sums.probe_cost_ns = sums.probe_cost_ns.saturating_add(visit.probe_cost_ns(self.calibration));
        let live = self.live.entry(call.instance).or_insert(Live {
            row: visit.row,
            start_ns: call.start_ns,
            end_ns: call.end_ns,
            ran_ns: 0,
            is_cut: suspended || !call.ended.by_itself(),
        });
        live.start_ns = call.start_ns;
        live.ran_ns = live.ran_ns.saturating_add(call.total.wall_ns);
        match call.began {
            Began::Call => {
                sums.calls += 1;
                let live = *live;
                self.live.remove(&call.instance);
                sums.close(&live);
            }
            Began::Resumed => sums.resumes += 1,
            Began::OpenAtAttach | Began::Unseen => {}
        }
    }

    /// The sums of coroutines, without those of generators. All calls have been added.
    pub fn finish(mut self, names: &Names) -> Vec<(Row, CoroutineSums)> {
        for live in self.live.into_values() {
            self.sums.entry(live.row).or_default().close(&Live { is_cut: true, ..live });
        }
        let mut sums: Vec<_> =
            self.sums.into_iter().filter(|(row, _)| names.get(*row).is_coroutine()).collect();
        sums.sort_unstable_by_key(|(row, _)| *row);
        sums
    }
}

impl CoroutineSums {
    /// Nothing more will come of this instance.
    fn close(&mut self, live: &Live) {
        let span_ns = live.end_ns.saturating_sub(live.start_ns);
        self.instances += 1;
        self.ran_ns = self.ran_ns.saturating_add(live.ran_ns);
        self.waited_ns = self.waited_ns.saturating_add(span_ns.saturating_sub(live.ran_ns));
        if live.is_cut {
            self.cut += 1;
        } else {
            self.span_ns = self.span_ns.saturating_add(span_ns);
            self.longest_ns = self.longest_ns.max(span_ns);
        }
    }

    /// Adds the sums of the same function from elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.instances += other.instances;
        self.calls += other.calls;
        self.resumes += other.resumes;
        self.ran_ns = self.ran_ns.saturating_add(other.ran_ns);
        self.probe_cost_ns = self.probe_cost_ns.saturating_add(other.probe_cost_ns);
        self.waited_ns = self.waited_ns.saturating_add(other.waited_ns);
        self.cut += other.cut;
        self.span_ns = self.span_ns.saturating_add(other.span_ns);
        self.longest_ns = self.longest_ns.max(other.longest_ns);
        self.suspended += other.suspended;
        self.late_ends += other.late_ends;
    }

    /// Average time from beginning to end, nanoseconds; `None` if all were cut.
    pub fn average_ns(&self) -> Option<u64> {
        self.span_ns.checked_div(self.instances - self.cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charge::{Cost, FinishedCall};

    fn step(instance: u64, times: (u64, u64), began: Began, ended: Ended) -> Visit {
        let (start_ns, end_ns) = times;
        let total = Cost { wall_ns: end_ns - start_ns, ..Cost::default() };
        let call = FinishedCall {
            pid: 1,
            tid: 1,
            function: 1,
            caller: None,
            depth: 0,
            start_ns,
            end_ns,
            total,
            own: total,
            calls_made: 0,
            began,
            ended,
            recursive: false,
            instance,
        };
        Visit { call, row: 0, path: 2, thread: 0, task: instance, calls_inside: 0 }
    }

    fn sums(backward: &[Visit]) -> CoroutineSums {
        let mut coroutines = Coroutines::default();
        for visit in backward {
            coroutines.add(visit);
        }
        let live: Vec<_> = coroutines.live.values().copied().collect();
        let mut sums = coroutines.sums[&0];
        for live in live {
            sums.close(&Live { is_cut: true, ..live });
        }
        sums
    }

    #[test]
    fn an_instance_waits_between_its_steps() {
        let sums = sums(&[
            step(7, (90, 100), Began::Resumed, Ended::Returned),
            step(8, (50, 55), Began::Call, Ended::Returned),
            step(7, (10, 40), Began::Call, Ended::Suspended),
        ]);
        assert_eq!((sums.instances, sums.calls, sums.resumes, sums.cut), (2, 2, 1, 0));
        assert_eq!((sums.ran_ns, sums.waited_ns), (10 + 5 + 30, 50));
        assert_eq!((sums.longest_ns, sums.average_ns()), (90, Some(47)));
    }

    #[test]
    fn what_the_window_cuts_is_counted_and_has_no_span() {
        let sums = sums(&[
            step(3, (80, 90), Began::Call, Ended::Suspended),
            step(2, (60, 70), Began::Call, Ended::OpenAtDetach),
            step(1, (10, 20), Began::Resumed, Ended::Returned),
        ]);
        assert_eq!((sums.instances, sums.calls, sums.cut), (3, 2, 3));
        assert_eq!((sums.average_ns(), sums.ran_ns), (None, 30));
    }
}
