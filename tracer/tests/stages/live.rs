//! The pipeline against the model, and what must hold even where events are lost.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tracer::charge::{Ended, FinishedCall, RssChange};
use tracer::pipeline::{CallSink, Pipeline};
use tracer::report::{FunctionReport, NO_FRAME, OUTSIDE, Report};

use super::simulate::{Kind, Run, START_NS, Truth, config, kinds, programs};

/// Adds up what it is told.
#[derive(Default)]
struct Sums {
    busy_ns: u64,
    open_at_detach: u64,
    rss: i64,
    last_end_ns: BTreeMap<u32, u64>,
}

impl CallSink for Sums {
    fn finished(&mut self, call: &FinishedCall) {
        assert!(call.total.wall_ns >= call.own.wall_ns && call.total.faults >= call.own.faults);
        assert!(call.total.off_cpu_ns <= call.total.wall_ns && call.own.off_cpu_ns <= call.own.wall_ns);
        assert_eq!(call.end_ns - call.start_ns, call.total.wall_ns);
        assert_eq!(call.depth == 0, call.caller.is_none());
        let last = self.last_end_ns.insert(call.tid, call.end_ns);
        assert!(
            last.is_none_or(|last| last <= call.end_ns),
            "calls of a thread come in the order in which they end"
        );
        if call.depth == 0 {
            self.busy_ns += call.total.wall_ns;
        }
        self.open_at_detach += u64::from(call.ended == Ended::OpenAtDetach);
    }

    fn rss(&mut self, change: &RssChange) {
        self.rss += if change.member.in_rss() { change.delta_bytes } else { 0 };
    }
}

fn truth(row: &FunctionReport) -> Truth {
    Truth {
        calls: row.calls,
        resumes: row.resumes,
        open_at_attach: row.open_at_attach,
        activations: row.activations,
        calls_made: row.calls_made,
        wall: [row.self_wall_ns, row.cum_wall_ns],
        off_cpu: [row.self_wall_ns - row.self_cpu_ns, row.cum_wall_ns - row.cum_cpu_ns],
        rss: [row.self_rss_bytes, row.cum_rss_bytes],
        faults: row.page_faults,
    }
}

fn sum(report: &Report, value: fn(&FunctionReport) -> i64) -> i64 {
    report.functions.iter().map(value).sum()
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn without_losses_every_number_is_that_of_the_model(ops in programs(), filtered: bool) {
        let run = Run::new(&ops, Kind { lossy: false, filtered });
        let mut pipeline = Pipeline::new(run.options(), Sums::default());
        run.play(&mut pipeline, |_, _| {});
        let report = pipeline.report();

        let functions = report.functions.iter().filter(|row| row.is_function());
        let functions: BTreeMap<_, _> = functions.map(|row| ((row.pid, row.function.clone()), truth(row))).collect();
        let called = run.functions.iter().filter(|(_, truth)| truth.activations > 0);
        let called: BTreeMap<_, _> = called.map(|(name, truth)| (name.clone(), *truth)).collect();
        prop_assert_eq!(functions, called);
        let account = &report.account;
        prop_assert_eq!((account.repaired, account.lost, account.unknown_thread), (0, 0, 0));
        prop_assert_eq!(account.open_at_attach, run.open_at_attach);
        prop_assert_eq!(account.open_at_detach, run.open_at_detach);
        prop_assert_eq!(account.duplicates, run.duplicates);
        let special = |name| sum_of(&report, name);
        prop_assert_eq!((special(OUTSIDE), special(NO_FRAME)), (run.outside, run.no_frame));
    }

    #[test]
    fn whatever_is_lost_the_sums_hold(ops in programs(), kind in kinds()) {
        let run = Run::new(&ops, kind);
        let mut pipeline = Pipeline::new(run.options(), Sums::default());
        run.play(&mut pipeline, |_, _| {});
        let report = pipeline.report();

        let (start, end): (i64, i64) =
            report.processes.iter().fold((0, 0), |sum, of| (sum.0 + of.rss_start_bytes, sum.1 + of.rss_end_bytes));
        prop_assert_eq!(sum(&report, |row| row.self_rss_bytes), end - start);
        prop_assert_eq!(run.total, end - start);
        prop_assert_eq!(pipeline.sink_mut().rss, end - start);
        prop_assert_eq!(sum(&report, |row| row.self_wall_ns as i64) as u64, pipeline.sink_mut().busy_ns);
        prop_assert_eq!(report.account.open_at_detach, pipeline.sink_mut().open_at_detach);
        for row in &report.functions {
            prop_assert!(row.cum_wall_ns >= row.self_wall_ns && row.cum_cpu_ns >= row.self_cpu_ns, "{row:?}");
            prop_assert!(row.self_cpu_ns <= row.self_wall_ns && row.cum_cpu_ns <= row.cum_wall_ns, "{row:?}");
            prop_assert!(row.cum_wall_ns <= 3 * (run.ending.end_ns - START_NS), "{row:?}");
            let truth = run.functions.get(&(row.pid, row.function.clone())).copied().unwrap_or_default();
            prop_assert!(row.calls <= truth.calls, "no call is made up: {row:?} {truth:?}");
        }
        prop_assert!(report.account.lost <= run.lost);
        prop_assert_eq!(report.account.open_at_attach, run.open_at_attach);
        prop_assert_eq!(sum(&report, |row| row.open_at_attach as i64) as u64, run.open_at_attach);
    }

    #[test]
    fn a_report_in_mid_run_is_the_one_of_a_run_that_ends_there(ops in programs(), kind in kinds(), at: u16) {
        let mut run = Run::new(&ops, kind);
        run.events.truncate(usize::from(at));
        run.ending.threads.clear();
        let mut mid_run = None;
        let last = run.events.len().saturating_sub(1);
        let mut pipeline = Pipeline::new(run.options(), Sums::default());
        run.play(&mut pipeline, |number, pipeline| {
            if number == last {
                mid_run = Some(pipeline.report());
            }
        });
        if let Some(mid_run) = mid_run {
            run.ending.end_ns = START_NS + mid_run.window.duration_ns;
            let mut pipeline = Pipeline::new(run.options(), Sums::default());
            run.play(&mut pipeline, |_, _| {});
            prop_assert_eq!(mid_run, pipeline.report());
        }
    }
}

fn sum_of(report: &Report, name: &str) -> i64 {
    report.functions.iter().filter(|row| row.function == name).map(|row| row.self_rss_bytes).sum()
}
