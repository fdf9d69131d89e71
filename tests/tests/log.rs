//! The event log: other tools read it, `report` makes the same report of it, and a kill loses at most a second.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;
use tests::{
    Python, Target, Tracer, kernel::breakpoints, log, on_all_pythons, report::Report, scratch, tracer, wait,
};

on_all_pythons!(read_by_others, reported_again, events_on_request, survives_a_kill, a_full_disk);

/// Records a program into a folder; returns the report that was printed live.
fn record(python: Python, program: &str, folder: &Path, arguments: &[&str]) -> Report {
    let mut target = Target::start(python, program, &[]);
    let path = folder.display().to_string();
    let tracer = Tracer::attach(&[&target], &[&["-o", &path], arguments].concat());
    target.work();
    let report = tracer.report();
    target.end();
    report
}

fn again(folder: &Path) -> Report {
    let output = tracer::run(["report", &folder.display().to_string(), "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a report is JSON")
}

fn number(rows: &[Vec<Value>]) -> i64 {
    rows[0][0].as_i64().expect("the query gives a number")
}

fn read_by_others(python: Python) {
    let folder = scratch();
    let report = record(python, "calls.py", &folder.path().join("log"), &[]);
    let folder = folder.path().join("log");
    let rows = log::duckdb(
        &folder,
        "select function, count(*) from 'LOG/calls/*.parquet' join 'LOG/functions/*.parquet' using (function_id) \
         where function in ('Cat.speak', 'Dog.speak', 'leaf') group by function order by function",
    );
    let expected: Vec<Vec<Value>> = ["Cat.speak", "Dog.speak", "leaf"]
        .iter()
        .map(|name| vec![(*name).into(), report.calls(name).into()])
        .collect();
    assert_eq!(rows, expected);
    let (columns, length) = log::pandas(&folder, "calls");
    for column in ["end_ns", "duration_ns", "pid", "tid", "function_id", "depth"] {
        assert!(columns.iter().any(|name| name == column), "{column} in {columns:?}");
    }
    assert_eq!(
        i64::try_from(length).expect("it fits"),
        number(&log::duckdb(&folder, "select count(*) from 'LOG/calls/*.parquet'"))
    );
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("read the boot id");
    let metadata = log::duckdb(
        &folder,
        "select distinct decode(value) from parquet_kv_metadata('LOG/*/*.parquet') \
         where decode(key) = 'pytracer.boot_id'",
    );
    assert_eq!(metadata, [[Value::from(boot_id.trim())]]);
    let (columns, _) = log::pandas(&folder, "functions");
    for column in ["function_id", "function", "file", "line"] {
        assert!(columns.iter().any(|name| name == column), "{column} in {columns:?}");
    }
}

/// One pipeline, two sources.
fn reported_again(python: Python) {
    for program in ["generators.py", "memory.py", "exceptions.py", "threads.py"] {
        let folder = scratch();
        let folder = folder.path().join("log");
        let mut live = record(python, program, &folder, &[]);
        let mut later = again(&folder);
        for report in [&mut live, &mut later] {
            report.functions.sort_by(|left, right| {
                (left.pid, &left.function, &left.file, left.line).cmp(&(
                    right.pid,
                    &right.function,
                    &right.file,
                    right.line,
                ))
            });
        }
        assert_eq!(live, later, "{program}");
    }
}

fn events_on_request(python: Python) {
    let folder = scratch();
    let folder = folder.path().join("log");
    let report = record(python, "calls.py", &folder, &["--log", "events"]);
    let events = number(&log::duckdb(
        &folder,
        "select count(*) from 'LOG/events/*.parquet' join 'LOG/functions/*.parquet' using (function_id) \
         where function = 'leaf'",
    ));
    let calls = i64::try_from(report.calls("leaf")).expect("it fits");
    assert_eq!(events, 2 * calls, "one row when it is entered, one when it returns");
    assert_eq!(again(&folder).calls("leaf"), report.calls("leaf"));
}

/// What the program did until a second before the kill is in the log.
fn survives_a_kill(python: Python) {
    let folder = scratch();
    let folder = folder.path().join("log");
    let mut target = Target::start(python, "steady.py", &[]);
    let tracer = Tracer::attach(&[&target], &["-o", &folder.display().to_string()]);
    target.go();
    wait::until("the program has worked for a while", || ticks(&mut target) >= 1000);
    let (kept, then) = (ticks(&mut target), Instant::now());
    wait::until("more than a second has passed", || then.elapsed() > Duration::from_millis(1500));
    tracer.kill();
    assert!(target.lives());
    let output = tracer::run(["report", &folder.display().to_string(), "--json"]);
    let note = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && note.contains("cut off"), "{note}");
    let report: Report = serde_json::from_slice(&output.stdout).expect("a report is JSON");
    assert!(report.calls("tick") >= kept, "{} of {kept} are left", report.calls("tick"));
    let table = tracer::run(["report", &folder.display().to_string()]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("cost: not known"), "{table}");
    let query = "select count(*) from 'LOG/calls/*.parquet' join 'LOG/functions/*.parquet' using (function_id) \
                 where function = 'tick'";
    assert!(number(&log::duckdb(&folder, query)).unsigned_abs() >= kept, "other tools read it too");
}

/// It ends the log, not the recording; the status says that something is missing.
fn a_full_disk(python: Python) {
    const SCRIPT: &str =
        r#"mount -t tmpfs -o size=256k tmpfs "$1" && exec "$2" record --json -p "$3" -o "$1/log""#;
    let folder = scratch();
    let mut target = Target::start(python, "busy.py", &["--size", "300000"]);
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh"]);
    shell.arg(folder.path()).arg(tracer::binary()).arg(target.pid().to_string());
    let mut tracer = Tracer::spawn(&mut shell);
    tracer.attached();
    target.work();
    let outcome = tracer.interrupt();
    target.end();
    assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
    assert_eq!(outcome.any_report().calls("callee"), 300_000, "the recording goes on");
    assert!(outcome.stdout.contains("the event log stopped"), "the account says so: {}", outcome.stderr);
}

/// Each write takes 20 ms: much more comes than can be written. What waits is bounded, the rest is lost and counted, the
/// probes go at once when the recording ends, and the log says what the report says.
#[test]
fn a_slow_disk() {
    const MOST_BYTES: u64 = 400 << 20;
    let python = Python::DEBIAN_3_11;
    let folder = scratch();
    let folder = folder.path().join("log");
    let mut target = Target::start(python, "busy.py", &["--size", "4000000"]);
    let mut strace = Command::new("strace");
    // It traces from beside: the process that is started is pytracer.
    strace.args(["--daemonize", "--follow-forks", "--seccomp-bpf", "--quiet=all", "--signal=none"]);
    strace.args(["-e", "trace=write", "-e", "inject=write:delay_enter=20ms", "-o", "/dev/null"]);
    strace.arg(tracer::binary()).args([
        "record",
        "--json",
        "--untraced",
        "0s",
        "--ring-size",
        "262144",
        "-o",
    ]);
    let mut tracer = Tracer::spawn(strace.arg(&folder).args(["-p", &target.pid().to_string()]));
    tracer.attached();
    target.work();
    assert!(!breakpoints(python, target.pid()).is_empty(), "the test sees a breakpoint");
    let status = format!("/proc/{}/status", tracer.pid());
    tracer.signal(Signal::INT);
    wait::until("the target is let go", || breakpoints(python, target.pid()).is_empty());
    let status = std::fs::read_to_string(status).expect("pytracer is still writing");
    let outcome = tracer.finish();
    target.end();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    assert!(peak * 1024 < MOST_BYTES, "{peak} kB");
    let report = outcome.report();
    assert!(report.account.lost > 0, "{:?}", report.account);
    assert!(outcome.stderr.contains("lost"), "a note says so: {}", outcome.stderr);
    let calls = report.calls("callee");
    assert!((1..4_000_000).contains(&calls), "{calls} calls");
    let query = "select count(*) from 'LOG/calls/*.parquet' join 'LOG/functions/*.parquet' using (function_id) \
                 where function = 'callee' and began = 0";
    assert_eq!(number(&log::duckdb(&folder, query)).unsigned_abs(), calls);
    assert_eq!(again(&folder).calls("callee"), calls);
}

fn ticks(target: &mut Target) -> u64 {
    target.known().last().map_or(0, |fact| fact.calls)
}
