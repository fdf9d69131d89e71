//! What the profilers say that people know, of the same program in a run of its own.

use std::collections::{BTreeMap, HashMap};

use tests::{Python, Target, Tracer, packages, program, scratch, tracer};

const PAGE: i64 = 4096;

/// A call changes the memory by what `memory_profiler` says it does, up to a page: its own objects take some too.
#[test]
fn memory_profiler_finds_the_same_increments() {
    let printed = packages::output(packages::python().arg(program("under_memory_profiler.py")));
    let increments: BTreeMap<String, i64> = serde_json::from_str(&printed).expect("increments by function");
    let target = Target::start(Python::DEBIAN_3_11, "known_sizes.py", &[]);
    let (_, report) = Tracer::work_of(target, &[]);
    assert!(increments.len() >= 7 && increments["takes_16_mib"] >= 16 << 20, "{increments:?}");
    for (function, increment) in increments {
        let row = report.function(&function);
        let slack = PAGE * i64::try_from(row.calls).expect("it fits");
        let difference = row.cum_rss_bytes - increment;
        assert!(difference.abs() <= slack, "memory_profiler says {increment} of {row:?}");
    }
}

/// Sampled or counted, the program is found in the same place.
#[test]
fn py_spy_finds_the_same_heaviest_path() {
    let expected = ["<module>", "run", "workload", "serve", "render", "lay_out", "burn"];
    assert_eq!(heaviest(&sampled(), 0), expected);
    // Process and thread come first.
    assert_eq!(heaviest(&collapsed(&[]), 2), expected);
    assert_eq!(heaviest(&collapsed(&["--source", "sample"]), 2), expected);
}

/// Stacks that py-spy samples from outside, for two seconds.
fn sampled() -> String {
    let folder = scratch();
    let file = folder.path().join("stacks.txt");
    let mut target = Target::start(Python::DEBIAN_3_11, "hot_path.py", &[]);
    target.go();
    target.tells(1);
    let options = ["record", "--nonblocking", "--format", "raw", "--duration", "2", "--pid"];
    let mut py_spy = packages::program("py-spy");
    packages::output(py_spy.args(options).arg(target.pid().to_string()).arg("--output").arg(&file));
    target.kill();
    std::fs::read_to_string(&file).expect("py-spy wrote its stacks")
}

/// The same of a recording of some requests.
fn collapsed(arguments: &[&str]) -> String {
    let folder = scratch();
    let log = folder.path().join("log").display().to_string();
    let mut target = Target::start(Python::DEBIAN_3_11, "hot_path.py", &[]);
    let tracer = Tracer::attach(&[&target], &[&["-o", &log], arguments].concat());
    target.go();
    target.tells(20);
    let outcome = tracer.interrupt();
    target.kill();
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("a report is JSON");
    assert_eq!(
        (outcome.status.success(), &report["account"]["lost"]),
        (true, &0.into()),
        "{}",
        outcome.stderr
    );
    let export = tracer::run(["export", &log, "--format", "collapsed", "-o", "-"]);
    assert!(export.status.success(), "{}", String::from_utf8_lossy(&export.stderr));
    String::from_utf8(export.stdout).expect("stacks are text")
}

/// The functions of the heaviest of collapsed stacks, outermost first, without the first so many frames. Stacks that
/// differ only in the lines of their frames are one.
fn heaviest(stacks: &str, skipped: usize) -> Vec<&str> {
    let mut weights: HashMap<Vec<&str>, u64> = HashMap::new();
    for line in stacks.lines() {
        let (stack, weight) = line.rsplit_once(' ').expect("a stack and its weight");
        let names = stack.split(';').skip(skipped).map(|frame| frame.split(" (").next().unwrap_or(frame));
        *weights.entry(names.collect()).or_default() += weight.parse::<u64>().expect("a weight");
    }
    let heaviest = weights.into_iter().max_by_key(|(_, weight)| *weight);
    heaviest.expect("there are stacks").0
}
