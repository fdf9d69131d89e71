//! A ring buffer that is too small for the events of a stream: losses are counted and shown, and the rest stays sane.

use rustix::process::Signal;
use tests::{Outcome, Python, Target, Tracer, on_all_pythons, report::Report};
use tracer_common::ring::NEAR_SLOTS;

on_all_pythons!(
    loss_is_told,
    loss_can_fail,
    none_at_full_speed,
    none_while_it_stands_still,
    memory_has_a_beginning,
    ended_threads_give_their_slots_back
);

const CALLS: u64 = 1_000_000;
const STREAM: [&str; 2] = ["--aggregate", "stream"];
const SMALL_RING: [&str; 4] = ["--aggregate", "stream", "--ring-size", "4096"];

fn overrun(python: Python, arguments: &[&str]) -> Outcome {
    let mut target = Target::start(python, "busy.py", &["--size", &CALLS.to_string()]);
    let tracer = Tracer::attach(&[&target], arguments);
    target.work();
    let outcome = tracer.interrupt();
    target.end();
    outcome
}

fn loss_is_told(python: Python) {
    let outcome = overrun(python, &SMALL_RING);
    let report = outcome.report();
    assert!(report.account.lost > 0, "{:?}", report.account);
    assert!(outcome.stderr.contains("lost"), "a note says so: {}", outcome.stderr);
    assert!((1..CALLS).contains(&report.calls("callee")), "{} calls", report.calls("callee"));
    sane(&report);
}

fn loss_can_fail(python: Python) {
    let outcome = overrun(python, &[&SMALL_RING[..], &["--fail-on-loss"]].concat());
    assert_eq!(outcome.status.code(), Some(3), "{}", outcome.stderr);
    assert!(outcome.any_report().account.lost > 0);
}

fn none_at_full_speed(python: Python) {
    let report = overrun(python, &STREAM).report();
    report.assert_lossless();
    assert_eq!(report.calls("callee"), CALLS);
    assert!(report.account.probe_hits >= 2 * CALLS, "{:?}", report.account);
    sane(&report);
}

/// Far more events than the near ring of a CPU holds wait in the far one, in order.
fn none_while_it_stands_still(python: Python) {
    const CALLS: u64 = 5 * NEAR_SLOTS as u64;
    let mut target = Target::start(python, "busy.py", &["--size", &CALLS.to_string(), "--rounds", "2"]);
    let tracer = Tracer::attach(&[&target], &STREAM);
    tracer.signal(Signal::STOP);
    target.work();
    tracer.signal(Signal::CONT);
    target.work();
    let outcome = tracer.interrupt();
    target.end();
    let report = outcome.report();
    report.assert_lossless();
    assert_eq!(report.calls("callee"), 2 * CALLS);
    sane(&report);
}

/// A process keeps the ring buffer full while others are first seen.
fn memory_has_a_beginning(python: Python) {
    let mut busy = Target::start(python, "busy.py", &["--size", &CALLS.to_string()]);
    let mut others: Vec<_> = (0..8).map(|_| Target::start(python, "calls.py", &["--rounds", "2"])).collect();
    let targets: Vec<_> = std::iter::once(&busy).chain(&others).collect();
    let tracer = Tracer::attach(&targets, &SMALL_RING);
    busy.go();
    for other in &mut others {
        other.work();
    }
    busy.done();
    for other in &mut others {
        other.work();
    }
    let report = tracer.interrupt().any_report();
    assert!(report.account.lost > 0, "{:?}", report.account);
    for other in &others {
        let process = report.process(other.pid());
        assert!(process.rss_start_bytes > 1 << 20, "{process:?}");
    }
    others.into_iter().for_each(Target::end);
    busy.end();
}

/// The program has one thread: no function can have taken longer than the recording.
fn sane(report: &Report) {
    let window = report.window.duration_ns;
    for row in &report.functions {
        assert!(row.self_wall_ns <= row.cum_wall_ns && row.cum_wall_ns <= window, "{row:?} in {window}");
    }
    let sum: u64 = report.functions.iter().map(|row| row.self_wall_ns).sum();
    assert!(sum <= window + window / 100, "{sum} in {window}");
}

/// More threads than there are slots. The ends of many of them find no room in the ring buffer.
fn ended_threads_give_their_slots_back(python: Python) {
    let mut target = Target::start(python, "thread_churn.py", &["--size", "20000"]);
    let tracer = Tracer::attach(&[&target], &SMALL_RING);
    target.work();
    let report = tracer.report();
    target.end();
    assert!(
        report.account.lost > 0 && report.account.notes.iter().any(|note| note.contains("records about"))
    );
    assert_eq!(report.account.no_slot, 0, "{:?}", report.account);
}
