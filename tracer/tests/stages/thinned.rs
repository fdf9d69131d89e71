//! Logs that don't hold everything: whatever is left out, the sums are those of the live report.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use proptest::prelude::*;
use tracer::analysis::tree::PathSums;
use tracer::analysis::{Source, scope::Scope};
use tracer::charge::Cost;
use tracer::filter::FunctionFilter;
use tracer::log::{LogKind, LogOptions, LogWriter};
use tracer::pipeline::Pipeline;
use tracer::report::{Report, Thinning};

use super::simulate::{Kind, Run, config, kinds, programs, some_run};

fn create(dir: &Path, kind: LogKind, thinning: Option<Thinning>) -> LogWriter {
    LogWriter::create(dir, LogOptions { kind, thinning, ..LogOptions::default() }).unwrap()
}

/// Records a run with a new segment every so many events; returns the live report.
fn record(log: LogWriter, run: &Run, every: usize) -> Report {
    let mut pipeline = Pipeline::new(run.options(), log);
    run.play(&mut pipeline, |number, pipeline| {
        if number % every == every - 1 {
            pipeline.sink_mut().close_segments();
        }
    });
    pipeline.report()
}

/// Any rule, or none at all: totals.
fn rules() -> impl Strategy<Value = Option<Thinning>> {
    let bytes = prop::option::of(prop::sample::select(vec![1, 4096, 100_000, 400_000, 2_000_000]));
    let ns = prop::option::of(0_u64..3000);
    (bytes, any::<bool>(), ns).prop_map(|(min_rss_bytes, with_previous, min_duration_ns)| {
        let rule = Thinning { min_rss_bytes, with_previous, min_duration_ns };
        (min_rss_bytes.is_some() || min_duration_ns.is_some()).then_some(rule)
    })
}

fn sums_of_paths(source: &mut Source) -> (Report, Vec<PathSums>) {
    let summary = source.summary(|_, _| {});
    let sums = summary.tree.calls().map(|(_, _, sums)| *sums).collect();
    (summary.report, sums)
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn every_sum_is_that_of_the_live_report(
        ops in programs(),
        kind in kinds(),
        rule in rules(),
        every in 20_usize..400,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let run = Run::new(&ops, kind);
        let log = if rule.is_some() { LogKind::Calls } else { LogKind::Totals };
        let live = record(create(&dir.path().join("log"), log, rule), &run, every);
        let mut source = Source::open(&dir.path().join("log"), Scope::default()).unwrap();
        let (mut read, paths) = sums_of_paths(&mut source);
        prop_assert_eq!(source.warnings(), Vec::<String>::new());

        let thinned = read.account.thinned.take().unwrap();
        prop_assert_eq!(thinned.kept, rule.unwrap_or_default());
        prop_assert_eq!(read.account.notes.pop(), Some(thinned.text()));
        prop_assert_eq!(&read, &live);

        let rows = |table: &str| -> u64 {
            let table = dir.path().join("log").join(table);
            if table.exists() { fs::read_dir(table).unwrap().count() as u64 } else { 0 }
        };
        let all: u64 = live.functions.iter().map(|row| row.activations).sum();
        prop_assert!(thinned.calls <= all);
        prop_assert_eq!(rows("calls") > 0, thinned.calls < all);

        // The tree has the same sums, and memory that was added less what was given back is the change.
        let own = paths.iter().fold(Cost::default(), |mut sum, path| { sum += path.sums.own; sum });
        let functions = || live.functions.iter().filter(|row| row.is_function());
        prop_assert_eq!(own.wall_ns, functions().map(|row| row.self_wall_ns).sum::<u64>());
        prop_assert_eq!(own.rss_bytes, functions().map(|row| row.self_rss_bytes).sum::<i64>());
        for path in &paths {
            prop_assert_eq!(path.grew_bytes as i64 - path.shrank_bytes as i64, path.sums.own.rss_bytes);
        }
    }

    #[test]
    fn a_recorder_that_was_killed_leaves_the_sums_of_what_had_ended(ops in programs(), rule in rules()) {
        let dir = tempfile::tempdir().unwrap();
        let run = Run::new(&ops, Kind { lossy: false, filtered: false });
        // The call before the next one that is kept waits for that in memory.
        let rule = rule.map(|rule| Thinning { with_previous: false, ..rule });
        let thinned = if rule.is_some() { LogKind::Calls } else { LogKind::Totals };
        let read = |name: &str, log, rule| {
            let dir = dir.path().join(name);
            let mut pipeline = Pipeline::new(run.options(), create(&dir, log, rule));
            for event in &run.events {
                pipeline.apply(event);
            }
            pipeline.sink_mut().close_segments();
            drop(pipeline);
            let (read, _) = sums_of_paths(&mut Source::open(&dir, Scope::default()).unwrap());
            let changes: Vec<_> =
                read.processes.iter().map(|of| (of.pid, of.rss_end_bytes - of.rss_start_bytes)).collect();
            prop_assert_eq!(
                read.functions.iter().map(|row| row.self_rss_bytes).sum::<i64>(),
                changes.iter().map(|(_, bytes)| bytes).sum::<i64>()
            );
            Ok((read.functions, changes))
        };
        prop_assert_eq!(read("thinned", thinned, rule)?, read("whole", LogKind::Calls, None)?);
    }

    #[test]
    fn the_sums_of_a_process_or_a_thread_are_those_of_a_log_with_all_rows(
        ops in programs(),
        rule in rules(),
        by_thread: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let run = Run::new(&ops, Kind { lossy: false, filtered: false });
        let log = if rule.is_some() { LogKind::Calls } else { LogKind::Totals };
        record(create(&dir.path().join("thinned"), log, rule), &run, 100);
        record(create(&dir.path().join("whole"), LogKind::Calls, None), &run, 100);
        let scope = if by_thread {
            Scope { tids: vec![1000], ..Scope::default() }
        } else {
            Scope { pids: vec![200], ..Scope::default() }
        };
        let read = |log: &str| sums_of_paths(&mut Source::open(&dir.path().join(log), scope.clone()).unwrap()).0;
        let (thinned, whole) = (read("thinned"), read("whole"));
        prop_assert_eq!(&thinned.functions, &whole.functions);
        prop_assert_eq!(&thinned.processes, &whole.processes);
    }
}

#[test]
fn counts_of_chosen_functions_are_those_of_a_log_with_all_rows() {
    let dir = tempfile::tempdir().unwrap();
    let run = some_run();
    record(create(&dir.path().join("thinned"), LogKind::Totals, None), &run, 100);
    record(create(&dir.path().join("whole"), LogKind::Calls, None), &run, 100);
    let scope = Scope {
        functions: FunctionFilter::new(&["f0".into(), "f2".into()], &[]).unwrap(),
        ..Scope::default()
    };
    let read = |log: &str| sums_of_paths(&mut Source::open(&dir.path().join(log), scope.clone()).unwrap()).0;
    let (thinned, whole) = (read("thinned"), read("whole"));
    let counts = |report: &Report| -> BTreeSet<_> {
        let rows = report.functions.iter().filter(|row| row.is_function());
        rows.map(|row| {
            let counts = (row.activations, row.calls, row.resumes);
            (row.process, row.function.clone(), counts, row.cum_wall_ns, row.cum_rss_bytes)
        })
        .collect()
    };
    assert_eq!(counts(&thinned), counts(&whole));
    assert!(counts(&whole).len() >= 2);
    let notes = thinned.account.notes.join("\n");
    assert!(notes.contains("of those sums the self amounts are of the functions alone"), "{notes}");
}

#[test]
fn sums_are_not_cut_to_a_time_range_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let run = some_run();
    record(create(dir.path(), LogKind::Totals, None), &run, 100);
    let scope = Scope { time_ns: 0..10_000, ..Scope::default() };
    let (read, paths) = sums_of_paths(&mut Source::open(dir.path(), scope).unwrap());
    assert!(paths.is_empty() && read.functions.is_empty(), "{read:?}");
    let notes = read.account.notes.join("\n");
    assert!(notes.contains("can't be cut to a time range: they are left out here"), "{notes}");
}

#[test]
fn the_call_before_each_kept_one_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let run = some_run();
    let rule =
        |with_previous| Thinning { min_rss_bytes: Some(600_000), with_previous, min_duration_ns: None };
    // Calls of each thread in the order in which they ended, and whether the rule keeps them.
    let calls = |name: &str, thinning| {
        record(create(&dir.path().join(name), LogKind::Calls, thinning), &run, 1_000_000);
        let mut calls: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        let table = dir.path().join(name).join("calls/part-000001.parquet");
        for (tid, end_ns, depth, rss) in rows(&table) {
            calls.entry(tid).or_default().push((end_ns, depth, rss, rss.unsigned_abs() >= 600_000));
        }
        calls
    };
    let (all, kept) = (calls("all", None), calls("kept", Some(rule(false))));
    let with_previous = calls("previous", Some(rule(true)));
    let count = |calls: &BTreeMap<u32, Vec<_>>| calls.values().map(Vec::len).sum::<usize>();
    assert!(count(&kept) > 5 && count(&kept) < count(&with_previous) && count(&with_previous) < count(&all));
    for (tid, calls) in &all {
        for (at, call) in calls.iter().enumerate() {
            let next = calls.get(at + 1).is_some_and(|next| next.3);
            let has =
                |calls: &BTreeMap<u32, Vec<_>>| calls.get(tid).is_some_and(|calls| calls.contains(call));
            assert!(!call.3 || has(&kept) && has(&with_previous), "{call:?}");
            assert!(!next || has(&with_previous), "{call:?}");
        }
    }
}

/// Thread, end, depth and change of memory of the rows of a segment of calls.
fn rows(path: &Path) -> Vec<(u32, i64, i32, i64)> {
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap().map(|row| {
        let row = row.unwrap();
        let columns: BTreeMap<String, Field> =
            row.get_column_iter().map(|(name, field)| (name.clone(), field.clone())).collect();
        let int = |name: &str| match columns[name] {
            Field::Int(value) => i64::from(value),
            Field::Long(value) => value,
            ref other => panic!("{name}: {other:?}"),
        };
        (int("tid") as u32, int("end_ns"), int("depth") as i32, int("rss_delta"))
    });
    rows.collect()
}
