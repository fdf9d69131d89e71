//! What an event log holds besides calls and memory, and what it holds on request only: fewer rows, only sums, a bound on
//! its size.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{Python, Target, Tracer, log, report::Report, scratch, tracer, wait};

tests::on_pythons! { [
    a_thinned_log_has_the_same_report,
    totals_are_all_of_a_report,
    sums_grow_in_one_segment_and_survive_a_kill,
    the_oldest_rows_go,
    rows_of_events_are_not_chosen,
    threads_have_their_names
]
    cpython_3_11_debian: DEBIAN_3_11,
}

/// Records a program into a folder; returns the functions and the account of the live report.
fn record(python: Python, program: &[&str], folder: &Path, arguments: &[&str]) -> (Value, Value) {
    let mut target = Target::start(python, program[0], &program[1..]);
    let path = folder.display().to_string();
    let tracer = Tracer::attach(&[&target], &[&["-o", &path], arguments].concat());
    target.work();
    let outcome = tracer.interrupt();
    target.end();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    parts(outcome.stdout.as_bytes())
}

fn again(folder: &Path) -> (Value, Value) {
    let output = tracer::run(["report", &folder.display().to_string(), "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    parts(&output.stdout)
}

/// Functions and account of a report.
fn parts(json: &[u8]) -> (Value, Value) {
    let mut report: Value = serde_json::from_slice(json).expect("a report is JSON");
    (report["functions"].take(), report["account"].take())
}

fn number(folder: &Path, query: &str) -> u64 {
    log::duckdb(folder, query)[0][0].as_u64().expect("the query gives a number")
}

/// Every function has the same numbers, to the last nanosecond and byte.
fn a_thinned_log_has_the_same_report(python: Python) {
    for (program, arguments, rows) in [
        (["memory.py"], &["--min-rss", "1M"][..], "abs(rss_delta) >= 1048576"),
        (["memory.py"], &["--min-rss", "64K", "--with-previous"], "true"),
        (["threads.py"], &["--min-duration", "500us"], "duration_ns >= 500000"),
        (["coroutines.py"], &["--min-duration", "1ms", "--min-rss", "4096"], "true"),
    ] {
        let folder = scratch();
        let folder = folder.path().join("log");
        let (live, _) = record(python, &program, &folder, arguments);
        let (read, account) = again(&folder);
        assert_eq!(live, read, "{program:?} {arguments:?}");
        let activations = |functions: &Value| -> u64 {
            let functions = functions.as_array().expect("an array");
            functions.iter().map(|row| row["activations"].as_u64().expect("a number")).sum()
        };
        let kept = number(&folder, "select count(*) from 'LOG/calls/*.parquet'");
        let thinned = account["thinned"]["calls"].as_u64().expect("a number");
        assert!(thinned > 0, "{account}");
        assert_eq!(kept + thinned, activations(&live), "{program:?} {arguments:?}");
        let asked_for = format!("select count(*) from 'LOG/calls/*.parquet' where {rows}");
        assert!(number(&folder, &asked_for) > 0);
        let note = account["notes"].to_string();
        assert!(note.contains("are in the sums only: the log keeps"), "{note}");
        // What other tools make of the two tables is the same.
        let total = number(
            &folder,
            "select (select coalesce(sum(calls), 0) from 'LOG/thinned/*.parquet')::bigint \
             + (select count(*) from 'LOG/calls/*.parquet' where began = 0)",
        );
        let calls: u64 = live
            .as_array()
            .expect("an array")
            .iter()
            .map(|row| row["calls"].as_u64().expect("a number"))
            .sum();
        assert_eq!(total, calls, "{program:?} {arguments:?}");
    }
}

fn totals_are_all_of_a_report(python: Python) {
    for program in ["memory.py", "generators.py"] {
        let folder = scratch();
        let folder = folder.path().join("log");
        let (live, _) = record(python, &[program], &folder, &["--log", "totals"]);
        let (read, account) = again(&folder);
        assert_eq!(live, read, "{program}");
        assert!(account["notes"].to_string().contains("the log keeps nothing"), "{account}");
        let tables: BTreeSet<_> = fs::read_dir(&folder)
            .expect("list the log")
            .map(|entry| entry.expect("list the log").file_name().to_string_lossy().into_owned())
            .collect();
        assert_eq!(tables, ["functions", "recording.json", "thinned", "threads"].map(Into::into).into());
    }
}

/// Whoever reads meanwhile finds more each time, and what a killed tracer leaves is all until a second before.
fn sums_grow_in_one_segment_and_survive_a_kill(python: Python) {
    const SUM: &str = "select coalesce(sum(calls), 0)::bigint from 'LOG/thinned/*.parquet' \
                       join 'LOG/functions/*.parquet' using (function_id) where function = 'tick'";
    for arguments in [&["--log", "totals"][..], &["--min-duration", "10ms"]] {
        let folder = scratch();
        let folder = folder.path().join("log");
        let mut target = Target::start(python, "steady.py", &[]);
        let path = folder.display().to_string();
        let tracer = Tracer::attach(&[&target], &[&["-o", &path], arguments].concat());
        target.go();
        let mut ticks = || target.known().last().map_or(0, |fact| fact.calls);
        wait::until("the program has worked for a while", || ticks() >= 2000);
        let (mut sums, begun) = (vec![0], Instant::now());
        while begun.elapsed() < Duration::from_secs(3) {
            sums.push(number(&folder, SUM));
        }
        assert!(sums.is_sorted() && sums.iter().collect::<BTreeSet<_>>().len() > 2, "{sums:?}");
        let (kept, then) = (ticks(), Instant::now());
        wait::until("more than a second has passed", || then.elapsed() > Duration::from_millis(1500));
        tracer.kill();
        let left = number(&folder, SUM);
        assert!(left >= kept && left <= ticks() + 100, "{left} of {kept}");
        let output = tracer::run(["report", &path, "--json"]);
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Report = serde_json::from_slice(&output.stdout).expect("a report is JSON");
        assert_eq!(report.calls("tick"), left);
        assert_eq!(number(&folder, "select count(distinct filename) from 'LOG/thinned/*.parquet'"), 1);
    }
}

/// A busy program makes more than is to be kept.
fn the_oldest_rows_go(python: Python) {
    const MOST: u64 = 1 << 20;
    let folder = scratch();
    let folder = folder.path().join("log");
    record(python, &["busy.py", "--size", "1000000"], &folder, &["--max-size", "1M"]);
    assert!(size(&folder) <= MOST, "{}", size(&folder));
    let recording: Value =
        serde_json::from_slice(&fs::read(folder.join("recording.json")).expect("it is there"))
            .expect("it is JSON");
    let gone = recording["gone"]["calls"]["rows"].as_u64().expect("calls are gone");
    let left = number(&folder, "select count(*) from 'LOG/calls/*.parquet'");
    assert!(left > 10_000, "{left} are left");
    let (functions, account) = again(&folder);
    let callee = functions.as_array().expect("an array").iter().find(|row| row["function"] == "callee");
    let calls = callee.and_then(|row| row["calls"].as_u64()).expect("the last calls are there");
    assert!(calls <= left && calls > 10_000, "{calls} of {left}");
    assert!(gone + left >= 1_000_000, "{gone} are gone, {left} are left");
    let notes = account["notes"].to_string();
    assert!(notes.contains("the log was to keep within 1 MiB: its oldest rows are gone"), "{notes}");
    assert!(notes.contains("these numbers are of"), "{notes}");
}

/// Bytes of all files of a log.
fn size(folder: &Path) -> u64 {
    let entries =
        fs::read_dir(folder).expect("list the log").map(|entry| entry.expect("list the log").path());
    entries.map(|path| if path.is_dir() { size(&path) } else { path.metadata().expect("a file").len() }).sum()
}

fn rows_of_events_are_not_chosen(_python: Python) {
    let folder = scratch();
    let path = folder.path().join("log").display().to_string();
    for log in ["events", "totals"] {
        let output = tracer::run(["record", "-p", "1", "-o", &path, "--log", log, "--min-rss", "4096"]);
        let says = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{says}");
        assert!(says.contains("choose rows of --log calls"), "{says}");
    }
    assert!(!folder.path().join("log").exists());
}

/// The kernel's word for each, also for those that were renamed while they were traced.
fn threads_have_their_names(python: Python) {
    let folder = scratch();
    let folder = folder.path().join("log");
    let mut target = Target::start(python, "named_threads.py", &[]);
    let tracer = Tracer::attach(&[&target], &["-o", &folder.display().to_string()]);
    target.work();
    let tasks = fs::read_dir(format!("/proc/{}/task", target.pid())).expect("the program runs");
    let truth: BTreeMap<String, String> = tasks
        .map(|task| {
            let task = task.expect("list the threads");
            let name = fs::read(task.path().join("comm")).expect("the thread runs");
            let name = String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned();
            (task.file_name().to_string_lossy().into_owned(), name)
        })
        .collect();
    let report: Report = tracer.report();
    target.end();
    assert_eq!(truth.len(), 5, "{truth:?}");
    assert!(truth.values().any(|name| name == "später"), "{truth:?}");
    report.assert_lossless();
    let rows = log::duckdb(&folder, "select tid::varchar, name from 'LOG/threads/*.parquet'");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    // The last one holds.
    let named: BTreeMap<_, _> = rows.iter().map(|row| (text(&row[0]), text(&row[1]))).collect();
    assert_eq!(named, truth);
    assert!(rows.iter().any(|row| row[1] == "too early"), "{rows:?}");
}
