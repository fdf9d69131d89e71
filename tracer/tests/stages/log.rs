//! The log: read back it says what the live report said, and damage to it is named and left out.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use tracer::analysis::{Source, scope::Scope};
use tracer::event::{Event, FrameEvent, Function};
use tracer::log::recording::Recording;
use tracer::log::{LogError, LogKind, LogOptions, LogWriter};
use tracer::pipeline::{Ending, Pipeline, PipelineOptions, ProcessAbout};
use tracer::report::Report;
use tracer::report::table::{Sort, TableOptions, render};

use super::simulate::{Run, config, kinds, programs, some_run};

fn create(dir: &Path, kind: LogKind) -> LogWriter {
    let options = LogOptions { kind, arguments: vec!["record".into()], ..LogOptions::default() };
    LogWriter::create(dir, options).unwrap()
}

/// What `pytracer report` says of a log.
#[derive(Debug)]
struct Reading {
    report: Report,
    cut_off: bool,
    warnings: Vec<String>,
    arguments: Vec<String>,
}

fn read(dir: &Path) -> Result<Reading, LogError> {
    let mut source = Source::open(dir, Scope::default())?;
    let report = source.summary(|_, _| {}).report;
    let recording = source.recording();
    Ok(Reading {
        report,
        cut_off: !recording.complete,
        warnings: source.warnings(),
        arguments: recording.arguments.clone(),
    })
}

/// Records a run in a folder, with a new segment every so many events.
fn record(dir: &Path, run: &Run, kind: LogKind, every: usize) -> Report {
    let mut pipeline = Pipeline::new(run.options(), create(dir, kind));
    run.play(&mut pipeline, |number, pipeline| {
        if number % every == every - 1 {
            pipeline.sink_mut().close_segments();
        }
    });
    pipeline.report()
}

/// All files of a log.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { files.extend(self::files(&entry)) } else { files.push(entry) }
    }
    files.sort();
    files
}

fn rewrite(dir: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let path = dir.join("recording.json");
    let mut json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut json);
    fs::write(path, json.to_string()).unwrap();
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn read_back_it_is_the_live_report(ops in programs(), kind in kinds(), events: bool, every in 20_usize..400) {
        let dir = tempfile::tempdir().unwrap();
        let run = Run::new(&ops, kind);
        let rows = if events { LogKind::Events } else { LogKind::Calls };
        let live = record(&dir.path().join("log"), &run, rows, every);
        let read = self::read(&dir.path().join("log")).unwrap();
        prop_assert_eq!(&read.warnings, &Vec::<String>::new());
        prop_assert!(!read.cut_off);
        prop_assert_eq!(read.report.to_json().unwrap(), live.to_json().unwrap());
        prop_assert_eq!(read.report, live);
    }

    #[test]
    fn names_come_back_as_they_were(name: String, file: String, line: u32) {
        let dir = tempfile::tempdir().unwrap();
        let mut pipeline = Pipeline::new(PipelineOptions::default(), create(dir.path(), LogKind::Calls));
        let function = Function { name, file, line };
        let thread = 1;
        for event in [
            Event::Thread { time_ns: 0, thread, process: 1, pid: 7, tid: 7 },
            Event::Function { id: 1, process: 1, function: function.clone(), code: 0, code_flags: 0 },
            Event::Frame { time_ns: 1, thread, frame: 16, what: FrameEvent::Start { resumed: false, function: 1 } },
        ] {
            pipeline.apply(&event);
        }
        pipeline.finish(&Ending { end_ns: 9, ..Ending::default() });
        let row = &read(dir.path()).unwrap().report.functions[0];
        prop_assert_eq!((&row.function, &row.file, row.line), (&function.name, &function.file, function.line));
    }

    #[test]
    fn a_segment_cut_short_is_named_and_left_out(length: prop::sample::Index, of: prop::sample::Index) {
        let dir = tempfile::tempdir().unwrap();
        let whole = record(dir.path(), &some_run(), LogKind::Calls, 300);
        let segments: Vec<_> =
            files(dir.path()).into_iter().filter(|file| file.extension().is_some_and(|end| end == "parquet")).collect();
        let segment = of.get(&segments);
        let mut bytes = fs::read(segment).unwrap();
        bytes.truncate(length.index(bytes.len()));
        fs::write(segment, bytes).unwrap();
        let read = self::read(dir.path()).unwrap();
        let name = segment.strip_prefix(dir.path()).unwrap().display();
        let [warning] = &read.warnings[..] else { panic!("{:?}", read.warnings) };
        prop_assert!(warning.starts_with(&format!("{name}: skipped, damaged: ")), "{warning}");
        prop_assert_eq!(read.report.account, whole.account);
    }

    #[test]
    fn damage_never_ends_the_reader(of: prop::sample::Index, damage in vec(any::<(prop::sample::Index, u8)>(), 1..8)) {
        let dir = tempfile::tempdir().unwrap();
        record(dir.path(), &some_run(), LogKind::Events, 300);
        let all = files(dir.path());
        let file = of.get(&all);
        let mut bytes = fs::read(file).unwrap();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        fs::write(file, bytes).unwrap();
        if let Ok(read) = read(dir.path()) {
            let options = TableOptions { sort: Sort::Own, limit: 0, width: Some(80), colour: false };
            prop_assert!(render(&read.report, &options).contains("account: "));
        }
    }
}

#[test]
fn a_recorder_that_was_killed_leaves_what_it_has_written() {
    for kind in [LogKind::Calls, LogKind::Events] {
        let dir = tempfile::tempdir().unwrap();
        let run = some_run();
        let mut pipeline = Pipeline::new(run.options(), create(dir.path(), kind));
        for process in [1, 2] {
            pipeline.process(process, process * 100, ProcessAbout::default());
        }
        for event in &run.events {
            pipeline.apply(event);
        }
        pipeline.sink_mut().close_segments();
        let finished = pipeline.counts();
        drop(pipeline);
        fs::write(dir.path().join("rss/part-000002.parquet.part"), "half").unwrap();

        let read = self::read(dir.path()).unwrap();
        assert!(read.cut_off && read.warnings.is_empty(), "{:?}", read.warnings);
        assert!(finished.events > 0 && read.report.functions.iter().any(|row| row.calls > 0));
        assert!(read.report.window.duration_ns > 0);
        assert_eq!(
            read.report.account.notes,
            ["the recording was cut off: these numbers are of what was written"]
        );
        let (start, end) =
            read.report.processes.iter().fold((0, 0), |sum, process| {
                (sum.0 + process.rss_start_bytes, sum.1 + process.rss_end_bytes)
            });
        assert_eq!(read.report.functions.iter().map(|row| row.self_rss_bytes).sum::<i64>(), end - start);
        assert_eq!(end - start, run.total);
    }
}

#[test]
fn files_that_do_not_belong_are_named_and_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let whole = record(dir.path(), &some_run(), LogKind::Calls, 10_000);
    fs::write(dir.path().join("calls/notes\x1b.txt"), "mine").unwrap();
    fs::write(dir.path().join("calls/part-000002.parquet"), "not parquet at all").unwrap();
    fs::copy(dir.path().join("rss/part-000001.parquet"), dir.path().join("calls/part-000003.parquet"))
        .unwrap();
    fs::create_dir(dir.path().join("calls/part-000004.parquet")).unwrap();
    let read = self::read(dir.path()).unwrap();
    let warnings = read.warnings.join("\n");
    assert!(warnings.contains("calls/notes\\x1b.txt: skipped, not a segment of this log"), "{warnings}");
    assert!(warnings.contains("calls/part-000002.parquet: skipped, damaged: "), "{warnings}");
    assert!(
        warnings.contains("calls/part-000003.parquet: skipped, no segment of this log: no column end_ns"),
        "{warnings}"
    );
    assert!(
        warnings.contains("calls/part-000004.parquet: skipped, no segment of this log: not a regular file"),
        "{warnings}"
    );
    assert_eq!(read.warnings.len(), 4);
    assert_eq!(read.report, whole);
}

#[test]
fn missing_segments_are_named() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), &some_run(), LogKind::Calls, 40);
    let calls = fs::read_dir(dir.path().join("calls")).unwrap().count();
    assert!(calls >= 4, "{calls} segments");
    fs::remove_file(dir.path().join("calls/part-000002.parquet")).unwrap();
    fs::remove_file(dir.path().join(format!("calls/part-{calls:06}.parquet"))).unwrap();
    let read = self::read(dir.path()).unwrap();
    let last = format!("calls/part-{calls:06}.parquet is missing");
    assert_eq!(read.warnings, ["calls/part-000002.parquet is missing", last.as_str()]);
    assert!(!read.report.functions.is_empty());
}

#[test]
fn a_missing_table_is_named() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), &some_run(), LogKind::Calls, 10_000);
    fs::remove_dir_all(dir.path().join("rss")).unwrap();
    let read = self::read(dir.path()).unwrap();
    assert_eq!(
        read.warnings,
        ["rss: No such file or directory (os error 2)", "rss/part-000001.parquet is missing"]
    );
}

#[test]
fn a_newer_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), &some_run(), LogKind::Calls, 10_000);
    rewrite(dir.path(), |json| {
        json["schema"] = 2.into();
        json["account"] = "something new".into();
    });
    let error = read(dir.path()).unwrap_err();
    assert!(matches!(error, LogError::Newer { found: 2, .. }), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("has the form 2, this pytracer reads forms up to 1: use a newer pytracer")
    );
}

#[test]
fn what_is_no_recording_is_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let refusal = |path: &Path| read(path).unwrap_err().to_string();
    let path = dir.path().display();
    assert_eq!(refusal(dir.path()), format!("{path} is not a recording: it has no recording.json"));
    assert!(refusal(&dir.path().join("nothing")).starts_with("can't read "));
    fs::write(dir.path().join("recording.json"), "{\"schema\":").unwrap();
    assert!(refusal(dir.path()).contains("recording.json can't be read: EOF"), "{}", refusal(dir.path()));
    fs::write(dir.path().join("recording.json"), "{\"schema\":1}").unwrap();
    assert!(
        refusal(dir.path()).contains("recording.json can't be read: missing field"),
        "{}",
        refusal(dir.path())
    );
}

#[test]
fn a_folder_that_is_not_empty_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mine"), "x").unwrap();
    let options = LogOptions::default;
    assert!(matches!(LogWriter::create(dir.path(), options()), Err(LogError::NotEmpty(_))));
    assert!(matches!(LogWriter::create(&dir.path().join("mine"), options()), Err(LogError::NotAFolder(_))));
    assert!(matches!(
        LogWriter::create(&dir.path().join("a/b"), options()),
        Err(LogError::Io { action: "make", .. })
    ));
    assert_eq!(files(dir.path()), [dir.path().join("mine")]);
}

#[test]
fn a_recording_that_never_began_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    drop(create(&dir.path().join("log"), LogKind::Calls));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    drop(create(dir.path(), LogKind::Events));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "the folder itself was there before");
}

#[test]
fn nobody_else_can_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    record(&log, &some_run(), LogKind::Calls, 10_000);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&log), 0o700);
    assert_eq!(mode(&log.join("calls")), 0o700);
    for file in files(&log) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_log_that_can_t_be_written_on_stops_and_the_recording_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let run = some_run();
    let whole = {
        let mut pipeline = Pipeline::new(run.options(), tracer::pipeline::NoSink);
        run.play(&mut pipeline, |_, _| {});
        pipeline.report()
    };
    let mut pipeline = Pipeline::new(run.options(), create(&log, LogKind::Calls));
    run.play(&mut pipeline, |number, pipeline| {
        if number % 200 == 199 {
            pipeline.sink_mut().close_segments();
        }
        if number == 700 {
            wait_until("something is written", || segments(&log) > 0);
            // As when the disk is full: the next segment finds no place.
            fs::rename(log.join("calls"), log.join("gone")).unwrap();
        }
    });
    let report = pipeline.report();
    assert_eq!(report.functions, whole.functions);
    let [note] = &report.account.notes[..] else { panic!("{:?}", report.account.notes) };
    assert!(note.starts_with("the event log stopped: can't write in "), "{note}");

    fs::rename(log.join("gone"), log.join("calls")).unwrap();
    let read = self::read(&log).unwrap();
    assert!(read.cut_off && read.report.functions.iter().any(|row| row.calls > 0));
    assert_eq!(read.warnings, Vec::<String>::new());
    let said: Recording = serde_json::from_slice(&fs::read(log.join("recording.json")).unwrap()).unwrap();
    assert!(!said.complete && said.error.is_some_and(|error| note.ends_with(&error)));
}

#[test]
fn functions_are_in_place_before_the_calls_that_use_them() {
    let dir = tempfile::tempdir().unwrap();
    let run = some_run();
    let mut pipeline = Pipeline::new(run.options(), create(dir.path(), LogKind::Calls));
    for event in &run.events {
        pipeline.apply(event);
    }
    pipeline.sink_mut().close_segments();
    drop(pipeline);
    let modified = |path: &str| fs::metadata(dir.path().join(path)).unwrap().modified().unwrap();
    assert!(modified("functions/part-000001.parquet") <= modified("calls/part-000001.parquet"));
}

#[test]
fn what_was_asked_for_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), &some_run(), LogKind::Calls, 10_000);
    assert_eq!(read(dir.path()).unwrap().arguments, ["record"]);
}

/// A pipeline with a log and one thread that can call function 1.
fn one_thread(dir: &Path) -> Pipeline<LogWriter> {
    let mut pipeline = Pipeline::new(PipelineOptions::default(), create(dir, LogKind::Calls));
    let function = Function { name: "f".into(), file: "m.py".into(), line: 1 };
    pipeline.apply(&Event::Thread { time_ns: 0, thread: 1, process: 1, pid: 7, tid: 7 });
    pipeline.apply(&Event::Function { id: 1, process: 1, function, code: 0, code_flags: 0 });
    pipeline
}

fn call(pipeline: &mut Pipeline<LogWriter>, time_ns: u64) {
    for what in [FrameEvent::Start { resumed: false, function: 1 }, FrameEvent::End] {
        pipeline.apply(&Event::Frame { time_ns, thread: 1, frame: 16, what });
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
        sleep(Duration::from_millis(10));
    }
}

fn segments(dir: &Path) -> usize {
    let entries = fs::read_dir(dir.join("calls")).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().path().extension().unwrap() == "parquet").count()
}

#[test]
fn a_segment_is_closed_at_500_000_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut pipeline = one_thread(dir.path());
    for time_ns in 0..500_001 {
        call(&mut pipeline, time_ns);
    }
    pipeline.finish(&Ending { end_ns: 1_000_000, ..Ending::default() });
    assert_eq!(segments(dir.path()), 2);
    assert_eq!(read(dir.path()).unwrap().report.functions[0].calls, 500_001);
}

#[test]
fn rows_are_written_within_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let mut pipeline = one_thread(dir.path());
    call(&mut pipeline, 1);
    pipeline.tick(2);
    wait_until("a segment is written", || {
        pipeline.tick(1_000);
        segments(dir.path()) == 1
    });
    let said: Recording =
        serde_json::from_slice(&fs::read(dir.path().join("recording.json")).unwrap()).unwrap();
    assert!(!said.complete);
}

#[test]
fn a_thread_has_the_latest_name_that_was_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut pipeline = one_thread(dir.path());
    for name in ["python3", "python3", "pool\x1b-1\u{e9}"] {
        pipeline.thread_name(1, 7, 7, name);
        pipeline.sink_mut().close_segments();
    }
    pipeline.thread_name(1, 7, 8, "silent");
    call(&mut pipeline, 1);
    pipeline.finish(&Ending { end_ns: 9, ..Ending::default() });
    let mut source = Source::open(dir.path(), Scope::default()).unwrap();
    source.summary(|_, _| {});
    assert_eq!((source.threads(), source.thread_name(0)), (&[(7, 7)][..], Some("pool\x1b-1\u{e9}")));
    assert_eq!(source.thread_name(1), None);
    assert_eq!(source.recording().segments.threads, 3, "what is known is not written again");
    assert_eq!(source.warnings(), Vec::<String>::new());
}

#[test]
fn a_log_without_names_of_threads_opens() {
    let dir = tempfile::tempdir().unwrap();
    let whole = record(dir.path(), &some_run(), LogKind::Calls, 10_000);
    fs::remove_dir(dir.path().join("threads")).unwrap();
    rewrite(dir.path(), |json| {
        json["segments"].as_object_mut().unwrap().remove("threads");
        json["segments"]["novelties"] = 1.into();
        json["novelty"] = "of a later pytracer".into();
    });
    fs::create_dir(dir.path().join("novelties")).unwrap();
    let read = self::read(dir.path()).unwrap();
    assert_eq!((read.warnings, read.report), (vec![], whole));
}
