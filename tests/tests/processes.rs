//! Several processes, processes that start later, and commands that pytracer starts itself.

use tests::{Outcome, Python, Target, Tracer, on_all_pythons, program, scratch, tracer, truth, wait};

on_all_pythons!(
    two_at_once,
    all_picks_up_later_ones,
    launched,
    launched_keeps_a_good_status,
    children_are_not_the_parent,
    becomes_another_program,
    ends_while_traced,
    listed_as_traceable,
);

fn two_at_once(python: Python) {
    let mut targets = [Target::start(python, "calls.py", &[]), Target::start(python, "generators.py", &[])];
    let tracer = Tracer::attach(&[&targets[0], &targets[1]], &[]);
    for target in &mut targets {
        target.go();
    }
    for target in &mut targets {
        target.done();
    }
    let report = tracer.report();
    report.assert_lossless();
    for (target, name) in targets.iter().zip(["calls.py", "generators.py"]) {
        let mut own = report.clone();
        own.functions.retain(|row| row.pid == target.pid());
        assert!(report.process(target.pid()).runs(python.version()));
        truth::assert_equal(&truth::of(python, name, &[]), &truth::counted(&own));
    }
}

/// When the later process is found is not promised, so it works until it must have been.
fn all_picks_up_later_ones(python: Python) {
    let mut early = Target::start(python, "calls.py", &[]);
    let mut tracer = Tracer::record(&["--all", "--json"]);
    tracer.attached();
    let mut late = Target::start(python, "steady.py", &[]);
    late.go();
    early.work();
    wait::until("the later process has worked for a while", || {
        late.known().last().is_some_and(|fact| fact.calls >= 2000)
    });
    let report = tracer.report();
    assert_eq!(report.calls_in(early.pid(), "Dog.speak"), 600);
    assert!(report.calls_in(late.pid(), "tick") > 0, "{:?}", report.processes);
}

fn launch(python: Python, status: &str) -> (Outcome, tests::report::Report) {
    let folder = scratch();
    let log = folder.path().join("log");
    let mut words = vec!["-o".to_owned(), log.display().to_string(), "--".to_owned()];
    words.extend(python.words());
    words.push(program("calls.py").display().to_string());
    words.extend(["--at-once", "--exit-status", status].map(str::to_owned));
    let outcome = Tracer::record(&words).finish();
    let report = tracer::run(["report", &log.display().to_string(), "--json"]);
    assert!(report.status.success(), "{}", String::from_utf8_lossy(&report.stderr));
    (outcome, serde_json::from_slice(&report.stdout).expect("a report is JSON"))
}

/// Traced from the first function on: the interpreter's own start is there too.
fn launched(python: Python) {
    let (outcome, report) = launch(python, "7");
    assert_eq!(outcome.status.code(), Some(7), "{}", outcome.stderr);
    report.assert_lossless();
    let truth = truth::of(python, "calls.py", &[]);
    let mut counted = truth::counted(&report);
    counted.retain(|key, _| truth.contains_key(key));
    truth::assert_equal(&truth, &counted);
    assert!(report.calls("<module>") > 2, "modules are executed at the start");
}

fn launched_keeps_a_good_status(python: Python) {
    let (outcome, _) = launch(python, "0");
    assert_eq!(outcome.status.code(), Some(0), "{}", outcome.stderr);
}

fn children_are_not_the_parent(python: Python) {
    let mut target = Target::start(python, "forks.py", &[]);
    let tracer = Tracer::attach(&[&target], &[]);
    let known = target.work();
    let report = tracer.report();
    assert_eq!(report.calls_in(target.pid(), "step"), known[0].calls);
    target.end();
}

/// After an exec nothing of the old program's state may be used; what it did until then is reported.
fn becomes_another_program(python: Python) {
    let mut target = Target::start(python, "execs.py", &[]);
    let tracer = Tracer::attach(&[&target], &[]);
    target.work();
    let report = tracer.report();
    assert_eq!(report.calls("before"), 50);
    target.end();
}

/// The report has what there was up to the end, and comes without a signal.
fn ends_while_traced(python: Python) {
    let mut target = Target::start(python, "calls.py", &[]);
    let tracer = Tracer::attach(&[&target], &[]);
    target.work();
    target.kill();
    let report = tracer.finish().report();
    assert_eq!(report.calls("Dog.speak"), 600);
}

fn listed_as_traceable(python: Python) {
    let target = Target::start(python, "calls.py", &[]);
    let row = wait::until_some("ps lists the process", || {
        let output = tracer::run(["ps", "--json"]);
        let list: serde_json::Value = serde_json::from_slice(&output.stdout).expect("ps prints JSON");
        assert_eq!(list["schema"], 1);
        let rows = list["processes"].as_array().expect("a list of processes").clone();
        rows.into_iter().find(|row| row["pid"] == target.pid())
    });
    assert!(row["version"].as_str().is_some_and(|version| version.starts_with(python.version())), "{row}");
    assert!(row["source"].is_string() && row["exact"] == true && row["reason"].is_null(), "{row}");
    for key in ["command", "interpreter"] {
        assert!(row[key].is_string(), "{row}");
    }
    target.end();
}
