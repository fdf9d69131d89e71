//! Which steps belong to the same generator or coroutine, in the event log.

use std::path::Path;

use serde_json::Value;
use tests::{Python, Target, Tracer, log, on_every_exact_build, scratch};

on_every_exact_build!(generators, coroutines);

/// Each way to use `count_to` up, and one to leave it, was gone a hundred times.
fn generators(python: Python) {
    let folder = recorded(python, "generators.py");
    // One that is left in the middle is not thrown into any more.
    let left = if matches!(python.version(), "3.13" | "3.14" | "3.15") { 1 } else { 2 };
    assert_eq!(steps(folder.path(), "count_to"), [(left, 100), (4, 100), (5, 100), (6, 100), (11, 100)]);
    assert_eq!(steps(folder.path(), "silent"), [(501, 1)]);
    hold_together(folder.path());
}

/// Twenty tasks took turns, each waiting twenty times.
fn coroutines(python: Python) {
    let folder = recorded(python, "coroutines.py");
    assert_eq!(steps(folder.path(), "worker"), [(21, 20)]);
    assert_eq!(steps(folder.path(), "between"), [(3, 200)]);
    hold_together(folder.path());
}

fn recorded(python: Python, program: &str) -> tempfile::TempDir {
    let folder = scratch();
    let mut target = Target::start(python, program, &[]);
    let tracer = Tracer::attach(&[&target], &["-o", &folder.path().display().to_string()]);
    target.work();
    tracer.report();
    target.end();
    folder
}

/// How many generators of a function took how many steps.
fn steps(log: &Path, function: &str) -> Vec<(u64, u64)> {
    let rows = log::duckdb(
        log,
        &format!(
            "select steps, count(*) from (
               select instance, count(*) steps from 'LOG/calls/*.parquet' join 'LOG/functions/*.parquet'
               using (function_id) where function = '{function}' group by instance
             ) group by steps order by steps"
        ),
    );
    let number = |value: &Value| value.as_u64().expect("a count");
    rows.iter().map(|row| (number(&row[0]), number(&row[1]))).collect()
}

/// The steps of one are of one function, and only the first is a call; other functions have none.
fn hold_together(log: &Path) {
    let wrong = log::duckdb(
        log,
        "select instance, count(distinct function_id), count(*) filter (began = 0), arg_min(began, end_ns)
         from 'LOG/calls/*.parquet' where instance <> 0 group by instance
         having count(distinct function_id) > 1 or count(*) filter (began = 0) > 1
             or (count(*) filter (began = 0) = 1 and arg_min(began, end_ns) <> 0)",
    );
    assert!(wrong.is_empty(), "{wrong:?}");
    let mixed = log::duckdb(
        log,
        "select function, count(*) from 'LOG/calls/*.parquet' join 'LOG/functions/*.parquet' using (function_id)
         where (instance <> 0) <> ((code_flags & 928) <> 0) group by function",
    );
    assert!(mixed.is_empty(), "{mixed:?}");
}
