//! Whatever happens to pytracer, the target runs on and nothing is left in the kernel.

use std::time::Duration;

use rustix::process::Signal;
use tests::{
    Python, Target, Tracer,
    kernel::{Loaded, breakpoints, lasting_probes},
    on_all_pythons, wait,
};

on_all_pythons!(killed, killed_while_letting_go, interrupted, terminated, attached_again);

fn nothing_left(before: &Loaded) {
    wait::until("the kernel's programs are gone", || !Loaded::now().exceeds(before));
    assert_eq!(lasting_probes(), "");
}

fn works_on(mut target: Target) {
    assert!(target.lives());
    target.work();
    target.end();
}

fn killed(python: Python) {
    let before = Loaded::now();
    let mut target = Target::start(python, "busy.py", &["--rounds", "2", "--size", "300000"]);
    let tracer = Tracer::attach(&[&target], &[]);
    assert!(Loaded::now().exceeds(&before), "the test sees what is loaded");
    target.go();
    tracer.kill();
    target.done();
    nothing_left(&before);
    works_on(target);
}

/// Killed at any moment around the end, when the probes are on their way out, none stays in the target's code.
fn killed_while_letting_go(python: Python) {
    let before = Loaded::now();
    let mut target = Target::start(python, "busy.py", &["--rounds", "2", "--size", "1000000000"]);
    let tracer = Tracer::attach(&[&target], &[]);
    assert!(!breakpoints(python, target.pid()).is_empty(), "the test sees a breakpoint");
    drop(tracer);
    target.go();
    for step in 0..7 {
        let tracer = Tracer::attach(&[&target], &["--duration", "100ms"]);
        std::thread::sleep(Duration::from_millis(98 + 7 * step));
        tracer.kill();
        wait::until("the kernel's programs are gone", || !Loaded::now().exceeds(&before));
        assert_eq!(breakpoints(python, target.pid()), [0; 0], "killed {} ms after the end", 7 * step);
    }
    assert!(target.lives());
    target.kill();
}

fn interrupted(python: Python) {
    let before = Loaded::now();
    let mut target = Target::start(python, "busy.py", &["--rounds", "2", "--size", "300000"]);
    let tracer = Tracer::attach(&[&target], &[]);
    target.go();
    tracer.report();
    nothing_left(&before);
    target.done();
    works_on(target);
}

fn terminated(python: Python) {
    let before = Loaded::now();
    let mut target = Target::start(python, "busy.py", &["--rounds", "2", "--size", "1000"]);
    let tracer = Tracer::attach(&[&target], &[]);
    target.work();
    tracer.signal(Signal::TERM);
    let outcome = tracer.finish();
    assert_eq!(outcome.any_report().calls("callee"), 1000, "the report is not lost");
    nothing_left(&before);
    works_on(target);
}

/// A second recording begins in the middle of a program that has been traced before.
fn attached_again(python: Python) {
    let mut target = Target::start(python, "calls.py", &["--rounds", "3"]);
    for _ in 0..3 {
        let tracer = Tracer::attach(&[&target], &[]);
        target.work();
        let report = tracer.report();
        assert_eq!((report.calls("Cat.speak"), report.calls("Dog.speak")), (300, 600));
    }
    target.end();
}
