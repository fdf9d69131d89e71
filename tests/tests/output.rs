//! What pytracer prints: the keys of its JSON, its table, and its advice.

use serde_json::Value;
use tests::{Python, Target, Tracer, tracer};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn record(arguments: &[&str]) -> String {
    let mut target = Target::start(Python::DEBIAN_3_11, "calls.py", &[]);
    let tracer = Tracer::attach(&[&target], arguments);
    target.work();
    let outcome = tracer.interrupt();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    target.end();
    outcome.stdout
}

/// There may be more keys, never fewer.
#[test]
fn the_keys_are_the_contract() {
    let report: Value = serde_json::from_str(&record(&[])).expect("it is JSON");
    assert_eq!(report["schema"], 1);
    let contract: [(&Value, &[&str]); 5] = [
        (&report, &["schema", "window", "processes", "functions", "account"]),
        (&report["window"], &["start_unix_ns", "duration_ns"]),
        (
            &report["processes"][0],
            &["pid", "version", "source", "rss_start_bytes", "rss_end_bytes", "rss_peak_bytes"],
        ),
        (
            &report["functions"][0],
            &[
                "pid",
                "function",
                "file",
                "line",
                "calls",
                "resumes",
                "self_wall_ns",
                "cum_wall_ns",
                "self_cpu_ns",
                "cum_cpu_ns",
                "self_rss_bytes",
                "cum_rss_bytes",
                "page_faults",
            ],
        ),
        (
            &report["account"],
            &[
                "events",
                "lost",
                "repaired",
                "open_at_attach",
                "open_at_detach",
                "probe_hits",
                "probe_cost_ns",
            ],
        ),
    ];
    for (object, expected) in contract {
        let there = keys(object);
        assert!(expected.iter().all(|key| there.contains(key)), "{there:?} lacks some of {expected:?}");
    }
}

/// `--sort` and `--limit` are for the table: JSON holds every function.
#[test]
fn a_limit_does_not_shorten_the_json() {
    let length = |text: &str| -> usize {
        let report: Value = serde_json::from_str(text).expect("it is JSON");
        report["functions"].as_array().expect("a list").len()
    };
    assert!(length(&record(&["--limit", "1", "--sort", "calls"])) > 20);
}

#[test]
fn the_doctor_finds_this_machine_fit() {
    let output = tracer::run(["doctor"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("type information") && text.contains("privileges"), "{text}");
}

#[test]
fn help_has_examples() {
    let output = tracer::run(["record", "--help"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("pytracer record -p"));
}
