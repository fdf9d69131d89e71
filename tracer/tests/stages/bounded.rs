//! Logs that keep within a size: what is left of them is what a log without a bound says of the same time.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tracer::analysis::{Source, scope::Scope};
use tracer::log::{LogKind, LogOptions, LogWriter};
use tracer::pipeline::Pipeline;
use tracer::report::{Report, Thinning};

use super::simulate::{Kind, Run, config, programs, some_run};

/// Records a run, which is written every so many events, every so many times to the end of segments.
fn record(dir: &Path, run: &Run, options: LogOptions, every: usize, closed: usize) {
    let mut pipeline = Pipeline::new(run.options(), LogWriter::create(dir, options).unwrap());
    run.play(&mut pipeline, |number, pipeline| match (number + 1) % (every * closed) {
        0 => pipeline.sink_mut().close_segments(),
        at if at % every == 0 => pipeline.sink_mut().save(),
        _ => {}
    });
}

fn options(kind: LogKind, max_bytes: Option<u64>) -> LogOptions {
    LogOptions { kind, max_bytes, ..LogOptions::default() }
}

fn read(dir: &Path, scope: Scope) -> (Source, Report) {
    let mut source = Source::open(dir, scope).unwrap();
    let report = source.summary(|_, _| {}).report;
    assert_eq!(source.warnings(), Vec::<String>::new());
    (source, report)
}

/// Bytes of all files of a log.
fn size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { size(&path) } else { fs::metadata(path).unwrap().len() }).sum()
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn what_is_left_is_what_a_whole_log_has_of_that_time(
        ops in programs(),
        events: bool,
        max_bytes in 40_000_u64..120_000,
        every in 20_usize..100,
        closed in 1_usize..5,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let run = Run::new(&ops, Kind { lossy: false, filtered: false });
        let kind = if events { LogKind::Events } else { LogKind::Calls };
        let (bounded, whole) = (dir.path().join("bounded"), dir.path().join("whole"));
        record(&bounded, &run, options(kind, Some(max_bytes)), every, closed);
        record(&whole, &run, options(kind, None), every, closed);
        prop_assert!(size(&bounded) <= max_bytes, "{} of {max_bytes}", size(&bounded));
        let (source, mut left) = read(&bounded, Scope::default());
        let (_, expected) = read(&whole, source.scope().clone());
        match &source.recording().gone {
            None => prop_assert_eq!(left.account.clone(), expected.account),
            Some(gone) => {
                let note = gone.text(source.recording().start_monotonic_ns);
                prop_assert!(left.account.notes.contains(&note), "{:?}", left.account.notes);
                left.account.notes.retain(|other| *other != note);
                prop_assert_eq!(left.account.notes, expected.account.notes);
                prop_assert!(size(&whole) > max_bytes);
            }
        }
        prop_assert_eq!(left.functions, expected.functions);
        prop_assert_eq!(left.processes, expected.processes);
    }
}

#[test]
fn segments_that_are_gone_are_not_missed_and_not_read_if_they_are_still_there() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), &some_run(), options(LogKind::Calls, Some(50_000)), 40, 1);
    let (source, before) = read(dir.path(), Scope::default());
    let gone = source.recording().gone.clone().unwrap();
    assert!(gone.segments("calls") > 1 && gone.tables["calls"].rows > 0, "{gone:?}");
    assert!(!gone.names_exceed && gone.tables["calls"].from_ns < gone.tables["calls"].to_ns);
    // As if the recorder had been killed between the word and the deed.
    fs::write(dir.path().join("calls/part-000001.parquet"), "old").unwrap();
    assert_eq!(read(dir.path(), Scope::default()).1, before);
    let last = source.recording().segments.calls;
    fs::remove_file(dir.path().join(format!("calls/part-{last:06}.parquet"))).unwrap();
    let mut source = Source::open(dir.path(), Scope::default()).unwrap();
    source.summary(|_, _| {});
    assert_eq!(source.warnings(), [format!("calls/part-{last:06}.parquet is missing")]);
}

#[test]
fn names_that_are_too_many_stay_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), &some_run(), options(LogKind::Calls, Some(1)), 100, 1);
    let (source, report) = read(dir.path(), Scope::default());
    assert!(source.recording().gone.as_ref().is_some_and(|gone| gone.names_exceed));
    assert_eq!(fs::read_dir(dir.path().join("functions")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(dir.path().join("calls")).unwrap().count(), 0);
    let notes = report.account.notes.join("\n");
    assert!(notes.contains("the names of functions and threads alone take more than that"), "{notes}");
}

#[test]
fn sums_that_are_left_of_a_thinned_log_are_taken_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let run = some_run();
    let thinning = Some(Thinning { min_duration_ns: Some(1_000), ..Thinning::default() });
    record(
        &dir.path().join("log"),
        &run,
        LogOptions { thinning, max_bytes: Some(50_000), ..LogOptions::default() },
        40,
        1,
    );
    record(&dir.path().join("whole"), &run, options(LogKind::Calls, None), 40, 1);
    let (source, left) = read(&dir.path().join("log"), Scope::default());
    let (_, whole) = read(&dir.path().join("whole"), Scope::default());
    let gone = source.recording().gone.clone().unwrap();
    assert!(gone.segments("thinned") > 0, "{gone:?}");
    assert!(source.scope().is_whole_time());
    let calls = |report: &Report| report.functions.iter().map(|row| row.calls).sum::<u64>();
    assert!(calls(&left) > 0 && calls(&left) < calls(&whole));
    let notes = left.account.notes.join("\n");
    assert!(notes.contains("rows of sums") && notes.contains("is their callers' own"), "{notes}");
}
