//! What has to work on every kernel: each way to trace loads its programs, and counts truly. `cargo xtask test` runs this
//! in a virtual machine of each kernel, too: their verifiers have limits of their own, and our programs are close to some
//! (before Linux 6.13 the stacks of all functions under way share 512 bytes).
//!
//! One interpreter stands for all: the programs are the same, and those for a single kind of site are a part of those for
//! all kinds, which kernels without uprobe-multi links load.

use serde_json::Value;
use tests::{Both, Python, Target, Tracer, report::Report, scratch, tracer};

fn target(calls: u32) -> Target {
    Target::start(Python::DEBIAN_3_11, "busy.py", &["--size", &calls.to_string()])
}

#[test]
fn sums_of_the_kernel() {
    let (known, report) = Tracer::work_of(target(1000), &["--aggregate", "kernel"]);
    report.assert_known(&known);
}

#[test]
fn events_and_their_log() {
    let folder = scratch();
    let log = folder.path().join("log").display().to_string();
    let (known, report) = Tracer::work_of(target(1000), &["--aggregate", "stream", "-o", &log]);
    report.assert_known(&known);
    let output = tracer::run(["report", &log, "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let logged: Report = serde_json::from_slice(&output.stdout).expect("a report");
    logged.assert_known(&known);
}

#[test]
fn sums_and_events() {
    let both = Both::of(target(1000), &[]);
    for report in both.reports() {
        report.assert_known(&both.known);
    }
}

/// More than there are processors: on a kernel that switches threads also within the kernel, one of them hits a probe while
/// another one's program is under way on the same processor.
#[test]
fn several_processes_at_once() {
    for adder in ["kernel", "stream"] {
        let calls = [3000, 4000, 5000, 6000];
        let mut targets = calls.map(target);
        let tracer = Tracer::attach(&targets.each_ref(), &["--aggregate", adder]);
        targets.iter_mut().for_each(Target::go);
        for target in &mut targets {
            target.done();
        }
        let report = tracer.report();
        let of = |target: &Target, function| report.calls_in(target.pid(), function);
        let counted = targets.each_ref().map(|target| (of(target, "callee"), of(target, "loop")));
        assert_eq!(counted, calls.map(|calls| (calls.into(), 1)), "{adder}");
        targets.into_iter().for_each(Target::end);
    }
}

/// Before Linux 6.2 memory can't be followed: that is said, and no number is shown.
#[test]
fn memory_is_followed_or_said_not_to_be() {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("Linux says its version");
    let mut parts = release.split('.').map(|part| part.parse().unwrap_or(0));
    let followed = (parts.next(), parts.next()) >= (Some(6_u32), Some(2));

    let folder = scratch();
    let log = folder.path().join("log").display().to_string();
    let mut target = target(1000);
    let tracer = Tracer::attach(&[&target], &["-o", &log]);
    target.work();
    let outcome = tracer.interrupt();
    target.end();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    let report: Value = serde_json::from_str(&outcome.stdout).expect("a report");
    assert_eq!(report["account"]["memory_unknown"].as_bool().unwrap_or(false), !followed);
    assert_eq!(
        report["processes"][0]["rss_peak_bytes"].as_i64().map(|bytes| bytes > 0),
        followed.then_some(true)
    );
    assert_eq!(report["functions"][0]["page_faults"].is_number(), followed);

    let memory = tracer::run(["report", &log, "--view", "memory"]);
    let said = String::from_utf8_lossy(&memory.stderr);
    assert_eq!(
        (memory.status.success(), said.contains("older than Linux 6.2")),
        (followed, !followed),
        "{said}"
    );
    let rows = tracer::run(["export", &log, "--format", "csv", "-o", "-"]).stdout;
    let heading = String::from_utf8_lossy(&rows).lines().next().map(str::to_owned).expect("a heading");
    assert!(heading.contains("self_wall_ns") && heading.contains("self_rss_bytes") == followed, "{heading}");
}

#[test]
fn samples() {
    let mut target = target(1_000_000);
    let tracer = Tracer::attach(&[&target], &["--source", "sample", "--rate", "997"]);
    target.work();
    let outcome = tracer.interrupt();
    target.end();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    let report: Value = serde_json::from_str(&outcome.stdout).expect("a report");
    let rows = report["functions"].as_array().expect("there are functions");
    let of_loop = rows.iter().find(|row| row["function"] == "loop").expect("it was seen");
    assert!(of_loop["samples"].as_u64() > Some(10), "{of_loop}");
    assert_eq!((&of_loop["calls"], &report["account"]["lost"]), (&Value::Null, &0.into()));
}
