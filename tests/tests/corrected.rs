//! Durations without what probes add to them, against what the program measures when nobody traces it.

use std::path::Path;

use serde_json::Value;
use tests::{Python, Target, Tracer, on_all_pythons, program::Known, scratch, tracer};

on_all_pythons!(corrected_durations_are_nearer_to_untraced_ones);

/// The shortest run of a function as it is in the log, nanoseconds: measured, corrected, and the bound.
struct Shortest {
    measured: u64,
    corrected: Option<u64>,
    at_most: Option<u64>,
}

/// What else runs on the machine makes single runs longer, never all of many.
fn shortest(log: &Path, function: &str) -> Shortest {
    let log = log.display().to_string();
    let export = ["export", &log, "--format", "ndjson", "--rows", "calls", "-o", "-"];
    let export = tracer::run([&export[..], &["--function", function]].concat());
    assert!(export.status.success(), "{}", String::from_utf8_lossy(&export.stderr));
    let rows = String::from_utf8(export.stdout).expect("rows are text");
    let rows = rows.lines().map(|row| serde_json::from_str::<Value>(row).expect("a row is JSON"));
    let row = rows.min_by_key(|row| row["wall_ns"].as_u64()).expect("it was called");
    Shortest {
        measured: row["wall_ns"].as_u64().expect("a duration"),
        corrected: row["corrected_ns"].as_u64(),
        at_most: row["corrected_at_most_ns"].as_u64(),
    }
}

fn corrected_durations_are_nearer_to_untraced_ones(python: Python) {
    let mut target = Target::start(python, "durations_of_callers.py", &["--rounds", "2"]);
    let untraced = target.work();
    let truth = |function: &str| {
        let of = |known: &&Known| known.function == function;
        untraced.iter().find(of).expect("the program tells its time").total_ns
    };
    let folder = scratch();
    let log = folder.path().join("log");
    let tracer = Tracer::attach(&[&target], &["-o", &log.display().to_string()]);
    target.work();
    tracer.report().assert_lossless();
    target.end();

    let (truth_ns, found) = (truth("calls_middling"), shortest(&log, "calls_middling"));
    let left_ns = found.corrected.or(found.at_most).expect("it is corrected");
    let error = |ns: u64| ns.abs_diff(truth_ns);
    assert!(
        2 * error(left_ns) < error(found.measured),
        "{left_ns} ns of {} ns is not much nearer to {truth_ns} ns",
        found.measured
    );

    let (truth_ns, found) = (truth("calls_small"), shortest(&log, "calls_small"));
    let at_most_ns = found.at_most.expect("calls that do nothing are all probes");
    assert_eq!(found.corrected, None);
    assert!(
        (truth_ns..found.measured / 2).contains(&at_most_ns),
        "{at_most_ns} ns of {} ns, {truth_ns} ns",
        found.measured
    );
}
