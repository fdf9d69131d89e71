//! One run, added up twice: by the kernel side, which the live report is of, and from events, which the event log holds.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    program::{Known, Target},
    report::Report,
    scratch,
    tracer::{self, Tracer},
};

/// What a run came to.
#[derive(Debug)]
pub struct Both {
    /// What the program knows of it.
    pub known: Vec<Known>,
    /// The live report: what the kernel side added up.
    pub added_up: Report,
    /// The report of the event log.
    pub logged: Report,
}

impl Both {
    /// Traces one whole work of a program. Nothing may be lost, and both reports must have the same numbers: all fields of
    /// all rows, and the memory of the processes.
    ///
    /// # Panics
    ///
    /// When they differ, with a line for each difference.
    pub fn of(mut target: Target, arguments: &[&str]) -> Self {
        let folder = scratch();
        let log = folder.path().join("log").display().to_string();
        let tracer =
            Tracer::attach(&[&target], &[&["--aggregate", "kernel", "-o", &log], arguments].concat());
        let known = target.work();
        let outcome = tracer.interrupt();
        target.end();
        let output = tracer::run(["report", &log, "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let logged = String::from_utf8(output.stdout).expect("JSON is UTF-8");
        assert_same(&outcome.stdout, &logged);
        let both = Self {
            known,
            added_up: outcome.report(),
            logged: serde_json::from_str(&logged).expect("a report"),
        };
        both.added_up.assert_lossless();
        both
    }

    /// Both reports.
    pub fn reports(&self) -> [&Report; 2] {
        [&self.added_up, &self.logged]
    }
}

fn assert_same(added_up: &str, logged: &str) {
    let parse = |text| serde_json::from_str::<Value>(text).expect("a report is JSON");
    let (mut added_up, mut logged) = (parse(added_up), parse(logged));
    if misses_unwinds(&added_up) {
        // The log tells memory by the function that was on top as far as was known then; live sums give what comes after
        // the exception to the caller.
        for report in [&mut added_up, &mut logged] {
            for row in report["functions"].as_array_mut().expect("there are functions") {
                row["self_rss_bytes"].take();
            }
        }
    }
    let (rows, other_rows) = (rows(&added_up), rows(&logged));
    let keys: std::collections::BTreeSet<_> = rows.keys().chain(other_rows.keys()).collect();
    let differences: Vec<String> = keys
        .into_iter()
        .filter(|key| rows.get(*key) != other_rows.get(*key))
        .map(|key| format!("added up {:?}\n  logged {:?}", rows.get(key), other_rows.get(key)))
        .collect();
    assert!(!rows.is_empty(), "nothing was added up");
    assert!(
        differences.is_empty(),
        "{} of {} rows differ:\n{}",
        differences.len(),
        rows.len(),
        differences.join("\n")
    );
    assert_eq!(added_up["processes"], logged["processes"]);
    for count in ["repaired", "late_ends", "open_at_attach", "open_at_detach", "duplicates", "unmatched_ends"]
    {
        assert_eq!(added_up["account"][count], logged["account"][count], "{count}");
    }
}

/// Does the source not see that an exception leaves a frame? It sees all else on 3.11.
fn misses_unwinds(report: &Value) -> bool {
    let version = report["processes"][0]["version"].as_str().expect("it is known");
    version.starts_with("3.11.") && report["account"]["late_ends"] != 0
}

/// Rows by process, name, file and line.
fn rows(report: &Value) -> BTreeMap<String, &Value> {
    let rows = report["functions"].as_array().expect("there are functions");
    let key = |row: &Value| format!("{} {} {} {}", row["process"], row["function"], row["file"], row["line"]);
    rows.iter().map(|row| (key(row), row)).collect()
}
