//! Durations of made-up programs whose probes cost exactly what the calibration says: corrected they are the truth.

use std::path::Path;

use proptest::prelude::*;
use tracer::analysis::{Source, scope::Scope, timeline::Span};
use tracer::correction::{Calibration, Corrected};
use tracer::event::{Event, FrameEvent, Function};
use tracer::filter::FunctionFilter;
use tracer::log::{LogKind, LogOptions, LogWriter};
use tracer::pipeline::{Ending, Pipeline, PipelineOptions};
use tracer::report::Thinning;

use super::simulate::config;

const CALIBRATION: Calibration = Calibration { inside_ns: 470, outside_ns: 480 };
const START_NS: u64 = 1_000_000;
const FUNCTIONS: u32 = 3;
const SLOT: u16 = 1;

/// A call: its function, the nanoseconds that it works before each call that it makes and after the last, and those calls.
#[derive(Clone, Debug)]
struct Call {
    function: u32,
    works_ns: u64,
    calls: Vec<Call>,
}

fn calls() -> impl Strategy<Value = Call> {
    let call = |function, works_ns, calls| Call { function, works_ns, calls };
    let leaf =
        (1..=FUNCTIONS, 0_u64..5_000).prop_map(move |(function, works)| call(function, works, Vec::new()));
    leaf.prop_recursive(5, 60, 6, move |inner| {
        (1..=FUNCTIONS, 0_u64..20_000, prop::collection::vec(inner, 0..6))
            .prop_map(move |(function, works, calls)| call(function, works, calls))
    })
}

/// A run of it: the events, and what each call takes without probes, in the order in which they begin.
#[derive(Default)]
struct Run {
    events: Vec<Event>,
    truths: Vec<u64>,
    now_ns: u64,
    true_ns: u64,
}

impl Run {
    fn new(call: &Call) -> Self {
        let mut run = Self { now_ns: START_NS, ..Self::default() };
        for id in 1..=FUNCTIONS {
            let function = Function { name: format!("f{id}"), file: "m.py".into(), line: id };
            run.events.push(Event::Function { id, process: 1, function, code: 0, code_flags: 0 });
        }
        run.events.push(Event::Thread { time_ns: START_NS, thread: SLOT, process: 1, pid: 100, tid: 100 });
        run.events.push(Event::HeldEnd { time_ns: START_NS, thread: SLOT, complete: true });
        run.call(call, 1);
        run
    }

    fn call(&mut self, call: &Call, depth: u64) {
        let at = self.truths.len();
        self.truths.push(0);
        let began_ns = self.true_ns;
        self.hit((300, 200), depth, FrameEvent::Start { resumed: false, function: call.function });
        for inner in &call.calls {
            self.work(call.works_ns);
            self.call(inner, depth + 1);
        }
        self.work(call.works_ns);
        self.hit((270, 180), depth, FrameEvent::End);
        self.truths[at] = self.true_ns - began_ns;
    }

    fn work(&mut self, ns: u64) {
        self.now_ns += ns;
        self.true_ns += ns;
    }

    /// A hit that takes so long before its reading of the clock and after it.
    fn hit(&mut self, (before_ns, after_ns): (u64, u64), frame: u64, what: FrameEvent) {
        self.now_ns += before_ns;
        self.events.push(Event::Frame { time_ns: self.now_ns, thread: SLOT, frame, what });
        self.now_ns += after_ns;
    }

    fn record(&self, dir: &Path, log: LogOptions, filter: FunctionFilter) {
        let options = PipelineOptions {
            window_start_ns: START_NS,
            start_unix_ns: 0,
            filter,
            calibration: Some(CALIBRATION),
            sample_rate: None,
        };
        let mut pipeline = Pipeline::new(options, LogWriter::create(dir, log).unwrap());
        pipeline.process(1, 100, tracer::pipeline::ProcessAbout::default());
        self.events.iter().for_each(|event| pipeline.apply(event));
        pipeline.finish(&Ending { end_ns: self.now_ns, ..Ending::default() });
    }
}

/// What is known of each call of a log, in the order in which they begin: that of the calls, and of the timeline.
fn corrected(dir: &Path, scope: &Scope) -> Vec<Corrected> {
    let mut source = Source::open(dir, scope.clone()).unwrap();
    let correction = source.correction().unwrap();
    let mut found = Vec::new();
    source.calls(|visit, _| found.push(visit.corrected(correction)));
    found.reverse();
    let timeline = source.timeline().unwrap();
    let mut of_timeline = Vec::new();
    let each = timeline.each(0, |span: &Span| {
        of_timeline.push(span.corrected(correction));
        std::io::Result::Ok(())
    });
    each.unwrap();
    assert_eq!(found, of_timeline);
    found
}

fn assert_true(found: &[Corrected], truths: &[u64]) {
    assert_eq!(found.len(), truths.len());
    for (found, &truth) in found.iter().zip(truths) {
        match *found {
            Corrected::Estimate(ns) => assert_eq!(ns, truth),
            Corrected::AtMost(ns) => assert!(ns >= truth, "{ns} is no bound of {truth}"),
        }
    }
}

fn options(kind: LogKind) -> LogOptions {
    LogOptions { kind, ..LogOptions::default() }
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn corrected_durations_are_the_truth_or_bounds_of_it(call in calls(), events: bool) {
        let dir = tempfile::tempdir().unwrap();
        let run = Run::new(&call);
        let kind = if events { LogKind::Events } else { LogKind::Calls };
        run.record(dir.path(), options(kind), FunctionFilter::default());
        assert_true(&corrected(dir.path(), &Scope::default()), &run.truths);
    }

    #[test]
    fn calls_that_are_not_shown_are_counted(call in calls(), events: bool) {
        let dir = tempfile::tempdir().unwrap();
        let run = Run::new(&call);
        let kind = if events { LogKind::Events } else { LogKind::Calls };
        run.record(dir.path(), options(kind), FunctionFilter::default());
        let functions = FunctionFilter::new(&["f1".to_owned()], &[]).unwrap();
        let mut wanted = Vec::new();
        in_order(&call, &mut |call| wanted.push(call.function == 1));
        let truths: Vec<u64> =
            run.truths.iter().zip(wanted).filter_map(|(&truth, wanted)| wanted.then_some(truth)).collect();
        if !truths.is_empty() {
            assert_true(&corrected(dir.path(), &Scope { functions, ..Scope::default() }), &truths);
        }
    }

    #[test]
    fn of_what_was_never_recorded_there_are_bounds_only(call in calls()) {
        let run = Run::new(&call);
        let filter = FunctionFilter::new(&["f1".to_owned()], &[]).unwrap();
        let thinning = Some(Thinning { min_duration_ns: Some(10_000), ..Thinning::default() });
        let thinned = LogOptions { thinning, ..LogOptions::default() };
        for (log, filter) in [(options(LogKind::Calls), filter), (thinned, FunctionFilter::default())] {
            let dir = tempfile::tempdir().unwrap();
            run.record(dir.path(), log, filter);
            let mut source = Source::open(dir.path(), Scope::default()).unwrap();
            let correction = source.correction().unwrap();
            source.calls(|visit, _| {
                assert!(visit.corrected(correction).estimate_ns().is_none());
            });
        }
    }
}

fn in_order(call: &Call, take: &mut impl FnMut(&Call)) {
    take(call);
    call.calls.iter().for_each(|inner| in_order(inner, take));
}
