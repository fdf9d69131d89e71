//! Wall and CPU time, against clocks read inside each function and around its calls: the truth lies between the two.

use tests::{Python, Target, Tracer, on_all_pythons, program::Known, report::Report};

on_all_pythons!(durations);

const MILLISECOND: u64 = 1_000_000;

fn durations(python: Python) {
    let mut target = Target::start(python, "durations.py", &[]);
    let tracer = Tracer::attach(&[&target], &[]);
    let known = target.work();
    let report = tracer.report();
    target.end();
    report.assert_lossless();
    for fact in &known {
        cumulative(&report, fact);
    }
    own(&report, &known);
    order(&report);
}

/// Cumulative times: the wall's to a hundredth, the processor's as well as two ways of accounting agree.
fn cumulative(report: &Report, fact: &Known) {
    let row = report.function(&fact.function);
    let [inside, around] = fact.wall_ns;
    let wall = inside - inside / 100..=around + around / 100 + MILLISECOND;
    assert!(wall.contains(&row.cum_wall_ns), "{}: wall {} not in {wall:?}", row.function, row.cum_wall_ns);
    let [inside, around] = fact.cpu_ns;
    let cpu =
        (inside - inside / 10).saturating_sub(10 * MILLISECOND)..=around + around / 10 + 10 * MILLISECOND;
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
