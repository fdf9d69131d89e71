//! Segments that grow: whenever a recorder is killed, and whenever somebody reads, each row is there once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use proptest::prelude::*;
use tracer::analysis::{Source, scope::Scope};
use tracer::event::{Event, FrameEvent, Function};
use tracer::log::recording::Recording;
use tracer::log::{LogKind, LogOptions, LogWriter};
use tracer::pipeline::{Ending, Pipeline, PipelineOptions, ProcessAbout};
use tracer::report::{Report, Thinning};

use super::simulate::{Run, config, kinds, programs, some_run};

/// In the order in which they are written.
const TABLES: [&str; 8] = ["functions", "threads", "calls", "events", "paths", "samples", "thinned", "rss"];
const DESCRIPTION: &str = "recording.json";

/// Logs of all kinds: with all rows, with some and sums, with sums alone.
fn all_kinds() -> [LogOptions; 4] {
    let thinning = Some(Thinning { min_duration_ns: Some(1_000), ..Thinning::default() });
    [
        LogOptions::default(),
        LogOptions { kind: LogKind::Events, ..LogOptions::default() },
        LogOptions { thinning, ..LogOptions::default() },
        LogOptions { kind: LogKind::Totals, ..LogOptions::default() },
    ]
}

fn read(dir: &Path) -> Report {
    let mut source = Source::open(dir, Scope::default()).unwrap();
    let report = source.summary(|_, _| {}).report;
    assert_eq!(source.warnings(), Vec::<String>::new());
    report
}

fn described(dir: &Path) -> Recording {
    serde_json::from_slice(&fs::read(dir.join(DESCRIPTION)).unwrap()).unwrap()
}

/// Segments of a table, in order; none if there is no such table.
fn segments(dir: &Path, table: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join(table)).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = paths.filter(|path| path.extension().unwrap() == "parquet").collect();
    segments.sort();
    segments
}

/// Rows of a table as other tools read it, in order.
fn rows(dir: &Path, table: &str) -> Vec<String> {
    let of_segment = |path: PathBuf| {
        let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
        let rows = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string());
        rows.collect::<Vec<_>>()
    };
    segments(dir, table).into_iter().flat_map(of_segment).collect()
}

/// Has what there is written, and waits until it is.
fn save(pipeline: &mut Pipeline<LogWriter>, dir: &Path) {
    until_described_anew(dir, || pipeline.sink_mut().save());
}

/// The description is written last.
fn until_described_anew<T>(dir: &Path, work: impl FnOnce() -> T) -> T {
    let inode = || fs::metadata(dir.join(DESCRIPTION)).unwrap().ino();
    let (before, begun) = (inode(), Instant::now());
    let done = work();
    while inode() == before {
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing is written");
        sleep(Duration::from_millis(1));
    }
    done
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let to = to.join(entry.file_name().unwrap());
        if entry.is_dir() { copy(&entry, &to) } else { _ = fs::copy(&entry, to).unwrap() }
    }
}

/// Calls of each function.
fn activations(report: &Report) -> BTreeMap<(u32, String), u64> {
    let mut sums = BTreeMap::new();
    for row in &report.functions {
        *sums.entry((row.pid, row.function.clone())).or_default() += row.activations;
    }
    sums
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn read_back_it_is_the_live_report(ops in programs(), kind in kinds(), every in 20_usize..200) {
        let run = Run::new(&ops, kind);
        for options in all_kinds() {
            let dir = tempfile::tempdir().unwrap();
            let mut pipeline = Pipeline::new(run.options(), LogWriter::create(dir.path(), options).unwrap());
            run.play(&mut pipeline, |number, pipeline| {
                if number % every == every - 1 {
                    pipeline.sink_mut().save();
                }
            });
            let (mut read, live) = (read(dir.path()), pipeline.report());
            if let Some(thinned) = read.account.thinned.take() {
                prop_assert_eq!(read.account.notes.pop(), Some(thinned.text()));
            }
            prop_assert_eq!(read, live);
            for table in TABLES {
                prop_assert!(segments(dir.path(), table).len() <= 1, "{table}");
            }
        }
    }
}

/// Between any two files that are written, and in the middle of each.
#[test]
fn a_recorder_that_was_killed_at_any_file_leaves_each_row_once() {
    for options in all_kinds() {
        let parent = tempfile::tempdir().unwrap();
        let [log, whole, state] = ["log", "whole", "state"].map(|name| parent.path().join(name));
        let run = some_run();
        let sink = LogWriter::create(&log, options.clone()).unwrap();
        let mut pipeline = until_described_anew(&log, || with_processes(&run, sink));
        let mut snapshots = Vec::new();
        for (number, event) in run.events.iter().enumerate() {
            pipeline.apply(event);
            if number % 150 == 149 {
                save(&mut pipeline, &log);
                let snapshot = parent.path().join(number.to_string());
                copy(&log, &snapshot);
                assert_written_in_order(&log);
                snapshots.push(snapshot);
            }
        }
        assert!(snapshots.len() > 5);
        // What the last one is to hold: the same, written at once.
        let mut at_once = with_processes(&run, LogWriter::create(&whole, options).unwrap());
        for event in &run.events[..run.events.len() / 150 * 150] {
            at_once.apply(event);
        }
        at_once.sink_mut().close_segments();
        drop(at_once);
        for table in TABLES {
            assert_eq!(rows(snapshots.last().unwrap(), table), rows(&whole, table), "{table}");
        }
        for pair in snapshots.windows(2) {
            let [before, after] = pair else { unreachable!() };
            let [fewest, most] = [before, after].map(|dir| activations(&read(dir)));
            for at in 0..=TABLES.len() {
                let _ = fs::remove_dir_all(&state);
                copy(before, &state);
                for table in TABLES[..at].iter().filter(|table| after.join(table).exists()) {
                    copy(&after.join(table), &state.join(table));
                }
                if let Some(segment) = TABLES.get(at).and_then(|table| segments(after, table).pop()) {
                    let half = fs::read(&segment).unwrap();
                    let name = segment.strip_prefix(after).unwrap().display();
                    fs::write(state.join(format!("{name}.part")), &half[..half.len() / 2]).unwrap();
                }
                for (function, count) in activations(&read(&state)) {
                    let least = fewest.get(&function).copied().unwrap_or_default();
                    assert!((least..=most[&function]).contains(&count), "{function:?}: {count}");
                }
            }
            // What was there is there, once and in its place.
            for table in TABLES.into_iter().filter(|table| *table != "thinned") {
                let (before, after) = (rows(before, table), rows(after, table));
                assert_eq!(before[..], after[..before.len()], "{table}");
            }
        }
    }
}

/// A pipeline that knows of the processes of a run.
fn with_processes(run: &Run, sink: LogWriter) -> Pipeline<LogWriter> {
    let mut pipeline = Pipeline::new(run.options(), sink);
    for process in [1, 2] {
        pipeline.process(process, process * 100, ProcessAbout::default());
    }
    pipeline
}

/// The description comes last.
fn assert_written_in_order(log: &Path) {
    let modified = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    let description = modified(&log.join(DESCRIPTION));
    let last = |table: &str| segments(log, table).pop().map(|segment| modified(&segment));
    for table in TABLES {
        assert!(last(table).is_none_or(|time| time <= description), "{table}");
    }
}

/// A pipeline with a log and one thread that can call function 1.
fn one_thread(dir: &Path) -> Pipeline<LogWriter> {
    let log = LogWriter::create(dir, LogOptions::default()).unwrap();
    let mut pipeline = until_described_anew(dir, || Pipeline::new(PipelineOptions::default(), log));
    let function = Function { name: "f".into(), file: "m.py".into(), line: 1 };
    pipeline.apply(&Event::Thread { time_ns: 0, thread: 1, process: 1, pid: 7, tid: 7 });
    pipeline.apply(&Event::Function { id: 1, process: 1, function, code: 0, code_flags: 0 });
    pipeline
}

/// Calls, one after another, that end at these times.
fn call(pipeline: &mut Pipeline<LogWriter>, times_ns: impl Iterator<Item = u64>) {
    for time_ns in times_ns {
        for what in [FrameEvent::Start { resumed: false, function: 1 }, FrameEvent::End] {
            pipeline.apply(&Event::Frame { time_ns, thread: 1, frame: 16, what });
        }
    }
}

#[test]
fn whoever_reads_meanwhile_finds_each_row_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut pipeline = one_thread(dir.path());
    let done = AtomicBool::new(false);
    let reads = scope(|threads| {
        let reader = threads.spawn(|| {
            let (mut known, mut reads) = (Vec::new(), 0);
            while !done.load(Ordering::Relaxed) {
                let now = rows(dir.path(), "calls");
                assert!(now.len() >= known.len() && now[..known.len()] == known);
                assert_eq!(now.iter().collect::<BTreeSet<_>>().len(), now.len());
                reads += usize::from(now.len() > known.len());
                known = now;
                // The same by pytracer: what it has found it finds again, whatever was written since.
                let mut source = Source::open(dir.path(), Scope::default()).unwrap();
                let calls = |source: &mut Source| -> u64 {
                    source.summary(|_, _| {}).report.functions.iter().map(|row| row.calls).sum()
                };
                let counts = [calls(&mut source), calls(&mut source)];
                assert!(counts[0] == counts[1] && counts[0] >= known.len() as u64, "{counts:?}");
                assert_eq!(source.warnings(), Vec::<String>::new());
            }
            reads
        });
        for at in 0..100 {
            call(&mut pipeline, at * 100 + 1..at * 100 + 101);
            // Segments that are closed are as good as those that grow.
            if at % 20 == 19 {
                pipeline.sink_mut().close_segments();
            } else {
                pipeline.sink_mut().save();
            }
            sleep(Duration::from_millis(5));
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(reads > 3, "{reads}");
    pipeline.finish(&Ending { end_ns: 20_000, ..Ending::default() });
    assert_eq!(rows(dir.path(), "calls").len(), 10_000);
    assert_eq!(segments(dir.path(), "calls").len(), 5);
}

#[test]
fn a_segment_grows_to_10_000_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut pipeline = one_thread(dir.path());
    for at in 0..15 {
        call(&mut pipeline, at * 1_000 + 1..at * 1_000 + 1_001);
        save(&mut pipeline, dir.path());
        let expected = if at < 10 { 1 } else { 2 };
        assert_eq!(described(dir.path()).segments.calls, expected, "{at}");
    }
    pipeline.finish(&Ending { end_ns: 20_000, ..Ending::default() });
    let of_segments = segments(dir.path(), "calls").into_iter().map(|path| {
        SerializedFileReader::new(fs::File::open(path).unwrap())
            .unwrap()
            .metadata()
            .file_metadata()
            .num_rows()
    });
    assert_eq!(of_segments.collect::<Vec<_>>(), [10_000, 5_000]);
    assert_eq!(read(dir.path()).functions[0].calls, 15_000);
}
