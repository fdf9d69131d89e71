//! Tracing within a budget: windows tell who is called how often, and leave nothing behind.

use std::{collections::BTreeMap, process::Command, time::Duration};

use serde_json::Value;
use tests::{
    Python, Target, Tracer,
    kernel::{Loaded, breakpoints, has_open_window},
    on_pythons, program, real_programs, wait,
};

on_pythons!([shares_of_calls, killed_at_any_moment, threads_get_right_results]
    cpython_3_10_shared: SHARED_3_10,
    cpython_3_11_debian: DEBIAN_3_11,
    cpython_3_13_sid: SID_3_13,
    cpython_3_14_sid: SID_3_14,
    cpython_3_15_sid: SID_3_15,
);

on_pythons!([phases_count_by_what_is_done_in_them] cpython_3_12_shared: SHARED_3_12,);

/// A program that does the same again and again.
fn units(python: Python, name: &str) -> Target {
    let mut command: Command = python.command();
    command.env("PYTHONPATH", real_programs()).arg(program("units.py")).args([name, "--"]);
    let mut target = Target::spawn(&mut command);
    target.go();
    target
}

/// What a recording of so many seconds says.
fn recorded(target: &Target, seconds: &str, arguments: &[&str]) -> Value {
    let outcome = Tracer::attach(&[target], &[&["--duration", seconds], arguments].concat()).finish();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    serde_json::from_str(&outcome.stdout).expect("a report is JSON")
}

/// A column of every function that has it, by name and line.
fn column(report: &Value, key: &str) -> BTreeMap<String, f64> {
    let functions = report["functions"].as_array().expect("a report has functions");
    let value = |row: &Value| Some((format!("{}:{}", row["function"], row["line"]), row[key].as_f64()?));
    functions.iter().filter_map(value).collect()
}

/// Calls relative to each other are those of a trace of all calls, and nothing is said that windows can't tell.
fn shares_of_calls(python: Python) {
    let mut target = units(python, "calls");
    let report = recorded(&target, "6s", &["--max-overhead", "20%"]);
    let windowing = &report["account"]["windowing"];
    assert!(windowing["windows"].as_u64() > Some(3), "{windowing}");
    assert!(windowing["observed"].as_f64().is_some_and(|share| (0.001..1.0).contains(&share)), "{windowing}");
    let (shares, margins) = (column(&report, "calls_share"), column(&report, "calls_share_margin"));
    let leaf = shares.iter().find(|(name, _)| name.contains("leaf")).expect("leaf is called");
    assert!((leaf.1 - 10.0 / 11.0).abs() < 0.001 + 3.0 * margins[leaf.0], "{shares:?} +- {margins:?}");
    assert!(column(&report, "calls").is_empty(), "how often in all is not known");
    let cpu: f64 = column(&report, "self_cpu_ns").values().sum();
    assert!(cpu > 1e9, "samples tell of times: {cpu} ns");
    target.kill();
}

/// Half of the time goes to a program that calls a hundred times as much as the other.
fn phases_count_by_what_is_done_in_them(python: Python) {
    let mut target = units(python, "phases");
    let exact = column(&recorded(&target, "6s", &[]), "calls");
    let all: f64 = exact.values().sum();
    let report = recorded(&target, "12s", &["--max-overhead", "30%"]);
    let (shares, margins) = (column(&report, "calls_share"), column(&report, "calls_share_margin"));
    for (function, calls) in exact.iter().filter(|(_, calls)| **calls / all > 0.001) {
        let (share, margin) = (shares.get(function).copied().unwrap_or(0.0), margins.get(function).copied());
        let off = (share - calls / all).abs();
        assert!(
            off < 0.02 + 3.0 * margin.unwrap_or(0.0),
            "{function}: {share} of {}: {margins:?}",
            calls / all
        );
    }
    target.kill();
}

/// Windows open and close all the time: whenever the tracer is killed, no probe stays.
fn killed_at_any_moment(python: Python) {
    let before = Loaded::now();
    let mut target = units(python, "calls");
    for step in 0..5 {
        let tracer = Tracer::attach(&[&target], &["--max-overhead", "100%"]);
        wait::until("a window is open", || has_open_window(python, target.pid()));
        std::thread::sleep(Duration::from_millis(12 * step));
        tracer.kill();
        wait::until("the kernel's programs are gone", || !Loaded::now().exceeds(&before));
        assert_eq!(breakpoints(python, target.pid()), [0; 0], "killed after {} ms", 12 * step);
    }
    assert!(target.lives());
    target.kill();
}

/// Recursion, exceptions and generators in four threads that check what they get, amid windows.
fn threads_get_right_results(python: Python) {
    let mut target = Target::start(python, "busy_threads.py", &["--rounds", "2"]);
    target.work();
    let report = recorded(&target, "4s", &["--max-overhead", "100%"]);
    let windows = report["account"]["windowing"]["windows"].as_u64();
    assert!(windows > Some(10), "{windows:?}");
    let known = target.work();
    assert_eq!(known.last().map(|known| known.calls), Some(4), "all threads are alive");
    target.end();
}
