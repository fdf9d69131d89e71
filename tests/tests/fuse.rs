//! A recording that comes to more than it may ends by itself: the target runs on, and the report says why.

use tests::{
    Python, Target, Tracer,
    kernel::{self, Loaded, lasting_probes},
    on_all_pythons, scratch, tracer, wait,
};

/// Exit status of a recording that was ended early.
const STOPPED: i32 = 4;

on_all_pythons!(a_busy_program_is_let_go);

/// Records a program that calls as fast as it can until the recording ends by itself; returns what the report notes.
fn notes_of_the_end(python: Python, arguments: &[&str]) -> Vec<String> {
    let before = Loaded::now();
    let mut target = Target::start(python, "busy.py", &["--rounds", "2", "--size", "1000000000"]);
    let tracer = Tracer::attach(&[&target], arguments);
    target.go();
    let outcome = tracer.finish();
    assert_eq!(outcome.status.code(), Some(STOPPED), "{}", outcome.stderr);
    let report = outcome.any_report();
    assert!(report.calls("callee") > 0, "what there was is reported");
    wait::until("the kernel's programs are gone", || !Loaded::now().exceeds(&before));
    assert_eq!(lasting_probes(), "");
    assert!(target.lives());
    target.kill();
    report.account.notes
}

fn a_busy_program_is_let_go(python: Python) {
    let notes = notes_of_the_end(python, &["--stop-at-rate", "10k"]);
    let said =
        |note: &String| note.starts_with("the recording was ended early") && note.contains("--stop-at-rate");
    assert!(notes.iter().any(said), "{notes:?}");
}

/// The log is whole, and says it too.
#[test]
fn a_log_is_kept_to_its_end() {
    let folder = scratch();
    let log = folder.path().join("log").display().to_string();
    notes_of_the_end(Python::DEBIAN_3_11, &["--stop-at-cost", "5%", "-o", &log]);
    let report = tracer::run(["report", &log]);
    let text = String::from_utf8_lossy(&report.stdout);
    assert!(report.status.success() && text.contains("of a processor's time (--stop-at-cost)"), "{text}");
}

/// Limits that are not reached change nothing.
#[test]
fn a_quiet_program_is_recorded_to_the_end() {
    let target = Target::start(Python::DEBIAN_3_11, "busy.py", &["--size", "1000"]);
    let limits = ["--stop-at-cost", "90%", "--stop-at-rate", "100M", "--stop-at-loss", "0"];
    let (_, report) = Tracer::work_of(target, &limits);
    assert_eq!(report.calls("callee"), 1000);
    assert_eq!(kernel::without_chance(&report.account.notes), kernel::usual_notes());
}
