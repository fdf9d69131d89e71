//! Filters leave functions out, and change nothing about those they let through.

use tests::{Python, Target, Tracer, on_all_pythons, report::Report, truth};

on_all_pythons!(by_function, by_file, by_neither, left_out_in_the_kernel);

/// More events than a recording has that are not of a function: of threads, memory and time.
const FEW: u64 = 2_000;

fn record(python: Python, arguments: &[&str]) -> Report {
    Tracer::work_of(Target::start(python, "calls.py", &[]), arguments).1
}

fn names(report: &Report) -> Vec<&str> {
    let mut names: Vec<_> =
        report.functions.iter().filter(|row| row.calls > 0).map(|row| &*row.function).collect();
    names.sort_unstable();
    names
}

fn by_function(python: Python) {
    let report = record(python, &["--function", "Cat.*", "--function", "Dog.*"]);
    assert_eq!(names(&report), ["Cat.speak", "Dog.speak"]);
    assert_eq!((report.calls("Cat.speak"), report.calls("Dog.speak")), (300, 600));
}

fn by_file(python: Python) {
    let report = record(python, &["--file", "*/programs/calls.py"]);
    let mut truth = truth::of(python, "calls.py", &[]);
    truth.retain(|key, _| key.1.ends_with("/programs/calls.py"));
    truth::assert_equal(&truth, &truth::counted(&report));
    assert!(report.functions.iter().filter(|row| row.calls > 0).all(|row| row.file.ends_with("/calls.py")));
}

fn by_neither(python: Python) {
    let report = record(python, &["--function", "nothing.has.this.name"]);
    assert_eq!(names(&report), [""; 0]);
    assert!(report.account.events < FEW, "functions left out send nothing: {:?}", report.account);
}

/// What no glob can match is left out by the kernel side at its first call.
fn left_out_in_the_kernel(python: Python) {
    const CALLS: u64 = 1_000_000;
    let mut target = Target::start(python, "busy.py", &["--size", &CALLS.to_string()]);
    let tracer = Tracer::attach(&[&target], &["--function", "nothing.has.this.name"]);
    target.work();
    let report = tracer.report();
    target.end();
    assert!(report.account.events < FEW, "{:?}", report.account);
}
