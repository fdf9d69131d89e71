//! Exports that show time, of the recording `portrait`: what is read back from them is what the report says, and of a
//! small part of it they are what they were.

mod chrome;
mod firefox;
mod speedscope;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tracer::analysis::{Source, scope::Scope};
use tracer::event::{Event, FrameEvent, Function};
use tracer::export::{Format, Options};
use tracer::filter::FunctionFilter;
use tracer::log::{LogKind, LogOptions, LogWriter};
use tracer::pipeline::{Ending, Pipeline, PipelineOptions};
use tracer::report::Report;

use super::exports::{assert_golden, recordings};

/// Functions by name, file and line: calls with resumptions and those found open, self time in nanoseconds.
type Sums = BTreeMap<String, (u64, u64)>;

fn portrait(scope: Scope) -> Source {
    Source::open(&recordings().join("portrait"), scope).unwrap()
}

fn export(format: Format, scope: Scope) -> Vec<u8> {
    let mut out = Vec::new();
    format.write(&mut portrait(scope), Options::default(), &mut out).unwrap();
    out
}

fn json(format: Format, scope: Scope) -> Value {
    serde_json::from_slice(&export(format, scope)).unwrap()
}

fn report(scope: Scope) -> Report {
    portrait(scope).summary(|_, _| {}).report
}

/// Parts of the recording, each of which cuts in another way.
fn parts() -> [Scope; 4] {
    let of_time = |time_ns| Scope { time_ns, ..Scope::default() };
    let functions = FunctionFilter::new(&["fib".into(), "work".into(), "_run*".into()], &[]).unwrap();
    [
        Scope::default(),
        of_time(120_000_000..150_000_000),
        Scope { functions, ..Scope::default() },
        Scope { tids: vec![20_481], ..Scope::default() },
    ]
}

/// What the golden files are of: steps of coroutines, a name that would do harm, a call cut at both ends, memory.
fn small_part() -> Scope {
    let names = ["main", "fetch", "sleep", "gather", "*script*"].map(str::to_owned);
    let functions = FunctionFilter::new(&names, &[]).unwrap();
    Scope { time_ns: 176_400_000..178_000_000, functions, ..Scope::default() }
}

/// A function with its place, as some formats name it.
fn label(name: &str, file: &str, line: u64) -> String {
    format!("{name} ({file}:{line})")
}

fn reported(report: &Report) -> Sums {
    let functions = report.functions.iter().filter(|row| row.activations > 0);
    let sums = functions.map(|row| {
        let label = label(&row.function, &row.file, u64::from(row.line));
        (label, (row.activations, row.self_wall_ns))
    });
    sums.collect()
}

/// A log of a call of no length in which two calls of no length lie, all at one time, and then another one of them.
fn of_no_length(dir: &Path, kind: LogKind) -> Source {
    let dir = dir.join("log");
    let log = LogWriter::create(&dir, LogOptions { kind, ..LogOptions::default() }).unwrap();
    let mut pipeline = Pipeline::new(PipelineOptions::default(), log);
    pipeline.apply(&Event::Thread { time_ns: 0, thread: 1, process: 1, pid: 7, tid: 7 });
    for (id, name) in [(1, "outer"), (2, "inner")] {
        let function = Function { name: name.into(), file: "m.py".into(), line: id };
        pipeline.apply(&Event::Function { id, process: 1, function, code: 0, code_flags: 0 });
    }
    let start = |function| FrameEvent::Start { resumed: false, function };
    let frames = [
        (16, start(1)),
        (32, start(2)),
        (32, FrameEvent::End),
        (32, start(2)),
        (32, FrameEvent::End),
        (16, FrameEvent::End),
        (16, start(2)),
        (16, FrameEvent::End),
    ];
    for (frame, what) in frames {
        pipeline.apply(&Event::Frame { time_ns: 500, thread: 1, frame, what });
    }
    pipeline.finish(&Ending { end_ns: 1_000, ..Ending::default() });
    Source::open(&dir, Scope::default()).unwrap()
}

#[test]
fn calls_of_no_length_are_not_lost() {
    let expected: Sums = [(label("outer", "m.py", 1), (1, 0)), (label("inner", "m.py", 2), (3, 0))].into();
    for format in [Format::Speedscope, Format::Chrome, Format::Firefox] {
        let dir = tempfile::tempdir().unwrap();
        let mut out = Vec::new();
        let mut source = of_no_length(dir.path(), LogKind::Calls);
        format.write(&mut source, Options::default(), &mut out).unwrap();
        let file = serde_json::from_slice(&out).unwrap();
        let sums = match format {
            Format::Speedscope => speedscope::sums(&file),
            Format::Chrome => chrome::sums(&file),
            _ => firefox::sums(&file),
        };
        assert_eq!(sums, expected, "{format:?}");
    }
}

#[test]
fn sums_alone_are_refused_with_advice() {
    for format in [Format::Speedscope, Format::Chrome, Format::Perfetto, Format::Firefox] {
        let dir = tempfile::tempdir().unwrap();
        let mut source = of_no_length(dir.path(), LogKind::Totals);
        let error = format.write(&mut source, Options::default(), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().ends_with("export as pprof, callgrind or pstats"), "{error}");
    }
}
