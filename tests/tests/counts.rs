//! Calls and resumptions of every function, against the interpreter's own count.
//!
//! Each program is traced twice: plainly, against the count of an equal run, and while the interpreter counts the very
//! same execution, which takes other paths through its loop. Each time calls are added up in the kernel and from events.

use tests::{Both, Python, Target, on_every_exact_build, report::Report, scratch, truth};

on_every_exact_build!(
    calls,
    calls_counted_too,
    generators,
    generators_counted_too,
    coroutines,
    coroutines_counted_too,
    exceptions,
    exceptions_counted_too,
    threads,
    threads_counted_too,
    callbacks,
    callbacks_counted_too,
    generated,
    generated_counted_too,
    hostile,
    thrown_at_birth,
    recursion_limit,
);

/// Traces one run of a program and compares it with the count of another.
fn plain(python: Python, program: &str) {
    let truth = truth::of(python, program, &[]);
    for report in Both::of(Target::start(python, program, &[]), &[]).reports() {
        truth::assert_equal(&truth, &truth::counted(report));
    }
}

/// Traces the run that the interpreter counts.
fn counted_too(python: Python, program: &str) {
    let folder = scratch();
    let file = folder.path().join("truth.json");
    let target = Target::start(python, program, &["--same-run", file.to_str().expect("its path is UTF-8")]);
    for report in Both::of(target, &[]).reports() {
        truth::assert_equal(&truth::read(&file), &truth::counted(report));
    }
}

fn calls(python: Python) {
    plain(python, "calls.py");
}

fn calls_counted_too(python: Python) {
    counted_too(python, "calls.py");
}

fn generators(python: Python) {
    plain(python, "generators.py");
}

fn generators_counted_too(python: Python) {
    counted_too(python, "generators.py");
}

fn coroutines(python: Python) {
    plain(python, "coroutines.py");
}

fn coroutines_counted_too(python: Python) {
    counted_too(python, "coroutines.py");
}

fn exceptions(python: Python) {
    plain(python, "exceptions.py");
}

fn exceptions_counted_too(python: Python) {
    counted_too(python, "exceptions.py");
}

fn threads(python: Python) {
    plain(python, "threads.py");
}

fn threads_counted_too(python: Python) {
    counted_too(python, "threads.py");
}

fn callbacks(python: Python) {
    plain(python, "callbacks.py");
}

fn callbacks_counted_too(python: Python) {
    counted_too(python, "callbacks.py");
}

fn generated(python: Python) {
    plain(python, "generated.py");
}

fn generated_counted_too(python: Python) {
    counted_too(python, "generated.py");
}

/// Frames that an exception enters before their first instruction are resumed, never called.
fn thrown_at_birth(python: Python) {
    plain(python, "thrown_at_birth.py");
}

/// Names that are long, empty or full of control characters.
fn hostile(python: Python) {
    for report in Both::of(Target::start(python, "hostile.py", &[]), &[]).reports() {
        hostile_names(report);
    }
}

fn hostile_names(report: &Report) {
    assert_eq!(report.calls("tab\there"), 3);
    assert_eq!(report.calls("line\nbreak"), 3);
    assert_eq!(report.calls("quote\"and\\backslash"), 3);
    assert_eq!(report.calls("latin-\u{e9}\u{ff}"), 3);
    assert_eq!(report.calls("greek-\u{3b1}\u{3b2}"), 3);
    assert_eq!(report.calls("astral-\u{1f40d}"), 3);
    assert_eq!(report.calls("plain"), 13 * 3);
    let long = report.functions.iter().filter(|row| row.function.starts_with("bbbb"));
    assert_eq!(long.map(|row| row.calls).sum::<u64>(), 3, "the name of 5000 letters, whole or cut");
}

/// The program counts itself: the limit would hit a counter of the interpreter's too.
fn recursion_limit(python: Python) {
    let both = Both::of(Target::start(python, "depth.py", &[]), &[]);
    for report in both.reports() {
        report.assert_known(&both.known);
    }
}
