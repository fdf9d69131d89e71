//! Durations of made-up programs whose probes cost exactly what the calibration says: corrected they are the truth.

use std::collections::BTreeMap;
use std::path::Path;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use proptest::prelude::*;
use serde_json::Value;
use tracer::analysis::measure::Measure;
use tracer::analysis::{Source, scope::Scope, timeline::Span};
use tracer::correction::{Calibration, Corrected};
use tracer::event::{Event, FrameEvent, Function};
use tracer::export::{Format, Options, Rows};
use tracer::filter::FunctionFilter;
use tracer::html;
use tracer::log::{LogKind, LogOptions, LogWriter};
use tracer::pipeline::{Ending, Pipeline, PipelineOptions};
use tracer::report::Thinning;
use tracer::report::table::TableOptions;
use tracer::views::{By, View, ViewOptions, show};

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
            ..PipelineOptions::default()
        };
        let mut pipeline = Pipeline::new(options, LogWriter::create(dir, log).unwrap());
        pipeline.process(1, 100, tracer::pipeline::ProcessAbout::default());
        self.events.iter().for_each(|event| pipeline.apply(event));
        let (probe_hits, end_ns) = (self.truths.len() as u64 * 2, self.now_ns);
        let probe_cost_ns = probe_hits * (CALIBRATION.inside_ns + CALIBRATION.outside_ns) / 2;
        pipeline.finish(&Ending { end_ns, probe_hits, probe_cost_ns, ..Ending::default() });
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

/// `f1` works for 100 us and calls `f2` ten times meanwhile, which works for 50 ns: that is lost in what probes take.
fn recorded(dir: &Path) {
    let leaf = Call { function: 2, works_ns: 50, calls: Vec::new() };
    let run = Run::new(&Call { function: 1, works_ns: 10_000, calls: vec![leaf; 9] });
    run.record(dir, options(LogKind::Calls), FunctionFilter::default());
}

const LONG_NS: u64 = 10 * 10_000 + 9 * 50;
const LEAF_AT_MOST_NS: u64 = 520 - 470 * 9 / 10;

fn export(dir: &Path, format: Format) -> Vec<u8> {
    let mut source = Source::open(dir, Scope::default()).unwrap();
    let mut out = Vec::new();
    let options = Options { rows: Rows::Calls, ..Options::default() };
    format.write(&mut source, options, &mut out).unwrap();
    out
}

#[test]
fn rows_have_a_corrected_duration_or_a_bound_of_it() {
    let dir = tempfile::tempdir().unwrap();
    recorded(dir.path());
    let text = |format| String::from_utf8(export(dir.path(), format)).unwrap();
    let rows: Vec<Value> =
        text(Format::Ndjson).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 10);
    for row in &rows {
        let (corrected, bound) = (&row["corrected_ns"], &row["corrected_at_most_ns"]);
        if row["function"] == "f1" {
            assert_eq!((corrected.as_u64(), bound), (Some(LONG_NS), &Value::Null));
            assert_eq!(row["calls_inside"], 9);
        } else {
            assert_eq!((corrected, bound.as_u64()), (&Value::Null, Some(LEAF_AT_MOST_NS)));
        }
    }
    let csv = text(Format::Csv);
    assert!(csv.lines().any(|line| line.ends_with(&format!(",9,{LONG_NS},"))), "{csv}");
    assert!(csv.lines().any(|line| line.ends_with(&format!(",0,,{LEAF_AT_MOST_NS}"))), "{csv}");
    let file = export(dir.path(), Format::Parquet);
    let reader = SerializedFileReader::new(bytes::Bytes::from(file)).unwrap();
    let columns = ["corrected_ns", "corrected_at_most_ns"].map(str::to_owned);
    let found: Vec<_> = reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| {
            let row = row.unwrap();
            let values: BTreeMap<_, _> = row.get_column_iter().collect();
            columns.each_ref().map(|name| match *values[name] {
                Field::Long(ns) => Some(ns as u64),
                _ => None,
            })
        })
        .collect();
    assert_eq!(found[9], [Some(LONG_NS), None]);
    assert!(found[..9].iter().all(|row| *row == [None, Some(LEAF_AT_MOST_NS)]));
}

#[test]
fn calls_over_time_have_it_too() {
    let dir = tempfile::tempdir().unwrap();
    recorded(dir.path());
    let trace: Value = serde_json::from_slice(&export(dir.path(), Format::Chrome)).unwrap();
    let calls: Vec<_> =
        trace["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == "X").collect();
    assert_eq!(
        (calls[0]["name"].as_str(), calls[0]["args"]["corrected_ns"].as_u64()),
        (Some("f1"), Some(LONG_NS))
    );
    assert_eq!(calls[1]["args"]["corrected_at_most_ns"].as_u64(), Some(LEAF_AT_MOST_NS));
    let profile = String::from_utf8(export(dir.path(), Format::Firefox)).unwrap();
    assert!(profile.contains("corrected duration is an upper bound"), "{profile}");
    assert!(profile.contains(&format!("\"corrected\":{}", LONG_NS as f64 / 1e6)), "{profile}");
}

#[test]
fn single_calls_on_the_page_have_it_too() {
    let dir = tempfile::tempdir().unwrap();
    recorded(dir.path());
    let mut page = Vec::new();
    html::write(&mut Source::open(dir.path(), Scope::default()).unwrap(), &mut page).unwrap();
    let page = String::from_utf8(page).unwrap();
    let (_, data) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    let data: Value = serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap();
    let calls = data["lanes"]["calls"].as_array().unwrap();
    assert_eq!(calls.len(), 10);
    // Longer ones first: whether the duration is a bound, and the corrected one, with whether that is.
    assert_eq!((&calls[0][7], &calls[0][8]), (&false.into(), &serde_json::json!([LONG_NS, false])));
    assert!(calls[1..].iter().all(|call| call[8] == serde_json::json!([LEAF_AT_MOST_NS, true])));
    let note = data["lanes"]["corrected"].as_str().unwrap();
    assert!(
        note.starts_with("corrected: less 470 ns for the call and 950 ns for each call inside"),
        "{note}"
    );
}

fn view(dir: &Path, view: View, json: bool) -> String {
    let table = TableOptions { sort: view.default_sort(), limit: 0, width: Some(100), colour: false };
    let options = ViewOptions {
        view,
        by: By::Function,
        of: Measure::Wall,
        min_share: 0.0,
        all_frames: false,
        merge: false,
        json,
        table,
    };
    show(&mut Source::open(dir, Scope::default()).unwrap(), &options).unwrap()
}

#[test]
fn views_show_it_beside_what_was_measured() {
    let dir = tempfile::tempdir().unwrap();
    recorded(dir.path());
    let json = |of| serde_json::from_str::<Value>(&view(dir.path(), of, true)).unwrap();
    let latencies = json(View::Latency);
    let of = |function: &str| {
        let rows = latencies["latencies"].as_array().unwrap();
        rows.iter().find(|row| row["function"] == function).unwrap()["corrected"].clone()
    };
    assert_eq!(of("f1")["p50"]["corrected_ns"], LONG_NS);
    assert_eq!(of("f2")["max"]["corrected_at_most_ns"], LEAF_AT_MOST_NS);
    assert_eq!(of("f2")["sum"]["corrected_at_most_ns"], 9 * LEAF_AT_MOST_NS);
    let slowest = json(View::Slowest);
    assert_eq!(slowest["calls"][0]["corrected_ns"], LONG_NS);
    assert_eq!(slowest["calls"][1]["corrected_at_most_ns"], LEAF_AT_MOST_NS);
    for of in [View::Latency, View::Slowest] {
        let text = view(dir.path(), of, false);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("100 us") && text.contains("≤97 ns"), "{text}");
        assert!(
            text.contains("corrected: less 470 ns for the call and 950 ns for each call inside"),
            "{text}"
        );
        assert!(text.contains("each call adds 470 ns to the self time of its function"), "{text}");
    }
}
