//! Wall and CPU time, against clocks read inside each function and around its calls: the truth lies between the two.

use std::{
    process::Command,
    time::{Duration, SystemTime},
};

use tests::{
    Python, Target, Tracer, kernel, on_all_pythons, program, program::Known, report::Report, scratch, tracer,
};

on_all_pythons!(durations);

const MILLISECOND: u64 = 1_000_000;

fn durations(python: Python) {
    let mut target = Target::start(python, "durations.py", &[]);
    let tracer = Tracer::attach(&[&target], &[]);
    let (known, stolen_ns) = work(&mut target);
    let report = tracer.report();
    target.end();
    are_right(&report, &known, stolen_ns);
}

/// Whoever sets the clock of the machine meanwhile: it is read for display only.
#[test]
fn the_time_of_day_leaps() {
    const AN_HOUR: Duration = Duration::from_secs(3600);
    let folder = scratch();
    let (clock, log) = (folder.path().join("clock.so"), folder.path().join("log"));
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-o"]).arg(&clock).arg(program("leaping_clock.c"));
    assert!(compile.status().expect("start the C compiler").success());

    let mut target = Target::start(Python::DEBIAN_3_11, "durations.py", &[]);
    let mut command = Command::new(tracer::binary());
    command.env("LD_PRELOAD", &clock).args(["record", "--json", "--untraced", "0s", "-o"]).arg(&log);
    let began = SystemTime::now();
    let mut tracer = Tracer::spawn(command.args(["-p", &target.pid().to_string()]));
    tracer.attached();
    let (known, stolen_ns) = work(&mut target);
    let report = tracer.report();
    let took = began.elapsed().expect("this clock does not leap");
    target.end();

    let shown = SystemTime::UNIX_EPOCH + Duration::from_nanos(report.window.start_unix_ns);
    let ahead = shown.duration_since(began + AN_HOUR).or_else(|_| shown.duration_since(began - AN_HOUR));
    assert!(ahead.expect("a clock that leaps by an hour") < took, "it leaps for pytracer: {shown:?}");
    assert!(Duration::from_nanos(report.window.duration_ns) < took, "{:?}", report.window);
    are_right(&report, &known, stolen_ns);
    let again = tracer::run(["report", "--json", &log.display().to_string()]);
    are_right(&serde_json::from_slice(&again.stdout).expect("a report is JSON"), &known, stolen_ns);
}

/// Has the program work; what it knows of that, and what a hypervisor has taken meanwhile.
fn work(target: &mut Target) -> (Vec<Known>, u64) {
    let before_ns = kernel::stolen_ns();
    let known = target.work();
    (known, kernel::stolen_ns() - before_ns)
}

/// What a hypervisor takes is CPU time for pytracer, and not always for the clock of a thread.
fn are_right(report: &Report, known: &[Known], stolen_ns: u64) {
    report.assert_lossless();
    for fact in known {
        cumulative(report, fact, stolen_ns);
    }
    own(report, known);
    order(report);
}

/// Cumulative times: the wall's to a hundredth, the processor's as well as two ways of accounting agree.
fn cumulative(report: &Report, fact: &Known, stolen_ns: u64) {
    let row = report.function(&fact.function);
    let [inside, around] = fact.wall_ns;
    let wall = inside - inside / 100..=around + around / 100 + MILLISECOND;
    assert!(wall.contains(&row.cum_wall_ns), "{}: wall {} not in {wall:?}", row.function, row.cum_wall_ns);
    let [inside, around] = fact.cpu_ns;
    let slack = 10 * MILLISECOND + stolen_ns;
    let cpu = (inside - inside / 10).saturating_sub(slack)..=around + around / 10 + slack;
    assert!(cpu.contains(&row.cum_cpu_ns), "{}: CPU {} not in {cpu:?}", row.function, row.cum_cpu_ns);
}

/// A function's own time is without that of the functions it calls.
fn own(report: &Report, known: &[Known]) {
    let wall = |name: &str| {
        let fact = known.iter().find(|fact| fact.function == name).expect("the program knows it");
        fact.wall_ns
    };
    let parent = report.function("parent");
    let most = wall("parent")[1] - wall("child")[0] + MILLISECOND;
    assert!(parent.self_wall_ns >= 99 * MILLISECOND, "it sleeps 100 ms itself: {parent:?}");
    assert!(parent.self_wall_ns <= most, "its children sleep too: {parent:?}, at most {most}");
    let recursive = report.function("recursive");
    assert_eq!(recursive.calls, 10);
    assert!(recursive.self_wall_ns >= 198 * MILLISECOND, "ten levels sleep 20 ms each: {recursive:?}");
    let asleep = report.function("sleeps");
    assert!(asleep.self_wall_ns >= 198 * MILLISECOND && asleep.self_cpu_ns < 100 * MILLISECOND, "{asleep:?}");
}

/// What holds for every function of any program.
fn order(report: &Report) {
    for row in &report.functions {
        assert!(row.self_wall_ns <= row.cum_wall_ns, "{row:?}");
        assert!(row.self_cpu_ns <= row.cum_cpu_ns, "{row:?}");
        assert!(row.self_cpu_ns <= row.self_wall_ns + row.self_wall_ns / 100 + MILLISECOND, "{row:?}");
    }
}
