//! Coroutines and tasks.

use tracer::analysis::scope::Scope;
use tracer::views::{By, View, ViewOptions};

use super::{json, list, number, options, report};

#[test]
fn coroutines_are_told_from_their_steps() {
    let report = report(Scope::default());
    let view = json(&options(View::Tasks));
    let coroutines = list(&view, "coroutines");
    for row in coroutines {
        let name = row["function"].as_str().unwrap();
        let of_report = report.functions.iter().find(|function| function.function == name).unwrap();
        assert_eq!(number(row, "calls") as u64, of_report.calls, "{name}");
        assert_eq!(number(row, "resumes") as u64, of_report.resumes, "{name}");
        assert_eq!(number(row, "ran_ns") as u64, of_report.cum_wall_ns, "{name} calls itself never");
        assert_eq!(number(row, "cut"), 0);
    }
    let fetch = coroutines.iter().find(|row| row["function"] == "fetch").unwrap();
    assert_eq!((number(fetch, "instances"), number(fetch, "resumes")), (3, 3));
    // It sleeps for 10, 20 and 30 ms, never less.
    assert!(number(fetch, "waited_ns") >= 60_000_000 && number(fetch, "longest_ns") >= 30_000_000);
    assert!(!coroutines.iter().any(|row| row["function"] == "countdown"), "that is a generator");
}

#[test]
fn tasks_of_one_coroutine_are_rows_of_their_own() {
    let view = json(&ViewOptions { by: By::Task, ..options(View::Table) });
    let groups = list(&view, "groups");
    let fetches: Vec<_> = groups.iter().filter(|row| row["task"]["function"] == "fetch").collect();
    assert_eq!(fetches.len(), 3);
    for row in fetches {
        let task = &row["task"];
        assert_eq!((number(task, "steps"), task["cut"].as_bool()), (2, Some(false)));
        assert_eq!(task["ran_ns"], row["cum_wall_ns"]);
        assert!(number(task, "waited_ns") >= 10_000_000);
        assert!(number(task, "start_unix_ns") >= number(&view["window"], "start_unix_ns"));
    }
}
