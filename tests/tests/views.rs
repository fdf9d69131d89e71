//! Views of a recording: coroutines against a program that times itself, and sums that are those of the report.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tests::{Python, Target, Tracer, program::Known, scratch, tracer};

/// As in `time.rs`: clocks are read a little apart from where probes are.
const SLACK_NS: u64 = 1_000_000;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("no JSON ({error}): {text}"))
}

fn view(log: &Path, arguments: &[&str]) -> Value {
    let log = log.display().to_string();
    let output = tracer::run([&["report", &log, "--json"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    json(&String::from_utf8_lossy(&output.stdout))
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("no number {key} in {value}"))
}

fn between(what: &str, of: &Known, [inside, around]: [u64; 2], known: u64) {
    let range = inside.saturating_sub(SLACK_NS)..=around + SLACK_NS;
    assert!(range.contains(&known), "{} {what}: {known} not in {range:?}", of.function);
}

/// A coroutine runs while it is sent to, and waits from its first step to its last for the rest of the time.
fn assert_coroutines(view: &Value, known: &[Known]) {
    assert_eq!(known.len(), 3, "{known:?}");
    let rows = view["coroutines"].as_array().expect("a list");
    for fact in known {
        let row = rows.iter().find(|row| row["function"] == fact.function.as_str());
        let row = row.unwrap_or_else(|| panic!("no {} in {rows:?}", fact.function));
        assert_eq!(number(row, "instances"), fact.calls, "{row}");
        assert_eq!((number(row, "calls"), number(row, "cut")), (fact.calls, 0), "{row}");
        let [ran, ran_around] = fact.ran_ns;
        let [whole, whole_around] = fact.whole_ns;
        between("ran", fact, fact.ran_ns, number(row, "ran_ns"));
        let waited = [whole.saturating_sub(ran_around), whole_around.saturating_sub(ran)];
        between("waited", fact, waited, number(row, "waited_ns"));
        between("longest", fact, fact.longest_ns, number(row, "longest_ns"));
        between("average", fact, fact.whole_ns.map(|sum| sum / fact.calls), number(row, "average_ns"));
    }
}

#[test]
fn coroutines_run_and_wait_as_they_know_themselves() {
    let mut target = Target::start(Python::DEBIAN_3_11, "waits.py", &[]);
    let folder = scratch();
    let log = folder.path().join("log");
    let tracer = Tracer::attach(&[&target], &["-o", &log.display().to_string()]);
    let known = target.work();
    tracer.report().assert_lossless();
    target.end();
    assert_coroutines(&view(&log, &["--view", "tasks"]), &known);

    let tasks = view(&log, &["--by", "task"]);
    let tasks = tasks["groups"].as_array().expect("a list");
    for fact in &known {
        let own = tasks.iter().filter(|row| row["task"]["function"] == fact.function.as_str());
        let ran: Vec<u64> = own.map(|row| number(&row["task"], "ran_ns")).collect();
        assert_eq!(ran.len() as u64, fact.calls, "{} has a row for each task", fact.function);
        between("ran in tasks", fact, fact.ran_ns, ran.iter().sum());
    }
}

/// Without a folder for the log there is one while it is needed.
#[test]
fn a_live_view_leaves_nothing_behind() {
    let mut target = Target::start(Python::DEBIAN_3_11, "waits.py", &[]);
    let folder = scratch();
    let mut command = Command::new(tracer::binary());
    command.env("TMPDIR", folder.path()).args(["record", "--json", "--view", "tasks", "-p"]);
    let mut tracer = Tracer::spawn(command.arg(target.pid().to_string()));
    tracer.attached();
    let made: Vec<_> = std::fs::read_dir(folder.path()).expect("read the folder").collect();
    assert_eq!(made.len(), 1, "the events are in a folder there: {made:?}");
    let known = target.work();
    let outcome = tracer.interrupt();
    target.end();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert_coroutines(&json(&outcome.stdout), &known);
    assert_eq!(std::fs::read_dir(folder.path()).expect("read the folder").count(), 0, "it is gone");
}

#[test]
fn groups_add_up_to_the_report() {
    for program in ["threads.py", "generators.py"] {
        let mut target = Target::start(Python::DEBIAN_3_11, program, &[]);
        let folder = scratch();
        let log = folder.path().join("log");
        let tracer = Tracer::attach(&[&target], &["-o", &log.display().to_string()]);
        target.work();
        let report = tracer.report();
        target.end();
        let total = |of: fn(&tests::report::Function) -> u64| report.functions.iter().map(of).sum::<u64>();
        let expected = [
            ("calls", total(|row| row.calls)),
            ("resumes", total(|row| row.resumes)),
            ("self_wall_ns", total(|row| row.self_wall_ns)),
            ("self_cpu_ns", total(|row| row.self_cpu_ns)),
            ("page_faults", total(|row| row.page_faults)),
        ];
        let memory: i64 = report.functions.iter().map(|row| row.self_rss_bytes).sum();
        for by in ["file", "module", "thread", "process", "task"] {
            let json = view(&log, &["--by", by]);
            let groups = json["groups"].as_array().expect("a list");
            for (key, expected) in expected {
                let sum: u64 = groups.iter().map(|row| number(row, key)).sum();
                assert_eq!(sum, expected, "{program} --by {by}: {key}");
            }
            // Memory that no function is charged with has rows of its own.
            let others = json["no_function"].as_array().expect("a list");
            let changes = groups.iter().chain(others).filter_map(|row| row["self_rss_bytes"].as_i64());
            assert_eq!(changes.sum::<i64>(), memory, "{program} --by {by}");
        }
    }
}

#[test]
fn a_view_that_has_no_use_for_an_option_says_so() {
    let output = tracer::run(["report", "nowhere", "--view", "tree", "--sort", "self"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("--sort takes any column"), "{said}");
}
