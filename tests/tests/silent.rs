//! Threads that call nothing while they are traced: the report says where they stand.

use serde_json::Value;
use tests::{Python, Target, Tracer, kernel, log, on_all_pythons, report::Report, scratch};

on_all_pythons!(
    a_silent_thread_is_where_it_stands,
    its_callers_are_right,
    globs_hold_for_it_too,
    a_silent_process_has_its_memory,
);

/// Silent threads' functions, outermost first in each thread.
const STACKS: [&[&str]; 3] =
    [&["outer", "middle", "inner"], &["opening", "opened", "Opened.__init__"], &["stepping", "steps"]];

fn record(python: Python, arguments: &[&str]) -> Report {
    Tracer::work_of(Target::start(python, "silent.py", &[]), arguments).1
}

fn a_silent_thread_is_where_it_stands(python: Python) {
    let report = record(python, &[]);
    assert_eq!(report.calls("work"), 1000);
    // The main thread was open all the time too.
    let window = report.function("run").cum_wall_ns;
    for stack in STACKS {
        for (depth, name) in stack.iter().enumerate() {
            let row = report.function(name);
            assert_eq!((row.calls, row.resumes, row.cum_wall_ns), (0, 0, window), "{row:?}");
            let innermost = depth == stack.len() - 1;
            assert_eq!(row.self_wall_ns, if innermost { window } else { 0 }, "{row:?}");
            assert!(row.cum_cpu_ns < window / 2, "it stands still: {row:?}");
        }
    }
    assert!(window <= report.window.duration_ns);
    let own: Vec<_> =
        report.functions.iter().filter(|row| row.line <= 1 && row.file == row.function).collect();
    assert!(own.is_empty(), "the interpreter's own frames are no functions: {own:?}");
    let frames = |name| report.function(name).cum_wall_ns / window;
    assert_eq!(frames("Thread.run"), 3, "of three threads");
    assert_eq!(kernel::without_chance(&report.account.notes), kernel::usual_notes());
}

fn its_callers_are_right(python: Python) {
    let folder = scratch();
    let path = folder.path().join("log");
    let report = record(python, &["-o", &path.display().to_string()]);
    let rows = log::duckdb(
        &path,
        "select f.function, caller.function, c.began, c.ended from 'LOG/calls/*.parquet' c \
         join 'LOG/functions/*.parquet' f using (function_id) \
         left join 'LOG/functions/*.parquet' caller on caller.function_id = c.caller_id \
         where c.began = 2 order by c.tid, c.depth",
    );
    for stack in STACKS {
        let mut caller = "Thread.run";
        for name in stack {
            let expected: [Value; 4] = [(*name).into(), caller.into(), 2.into(), 2.into()];
            assert!(rows.iter().any(|row| *row == expected), "{expected:?} in {rows:?}");
            caller = name;
        }
    }
    assert_eq!(report.account.open_at_attach as usize, rows.len());
}

fn globs_hold_for_it_too(python: Python) {
    let mut target = Target::start(python, "silent.py", &["--size", "1"]);
    let tracer = Tracer::attach(&[&target], &["--function", "workload", "--function", "middle"]);
    target.work();
    let report = tracer.report();
    target.end();
    let names: Vec<_> = report.functions.iter().filter(|row| row.line > 0).map(|row| &row.function).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let middle = report.function("middle");
    assert_eq!((middle.calls, middle.self_wall_ns), (0, middle.cum_wall_ns));
    assert_eq!(report.calls("workload"), 1);
}

fn a_silent_process_has_its_memory(python: Python) {
    let target = Target::start(python, "silent.py", &[]);
    let report = Tracer::attach(&[&target], &[]).report();
    target.end();
    assert_eq!(report.account.probe_hits, 0);
    let process = report.process(report.processes[0].pid);
    assert_eq!(process.rss_start_bytes > 1 << 20, kernel::counts_memory(), "{process:?}");
    assert_eq!(
        (process.rss_end_bytes, process.rss_peak_bytes),
        (process.rss_start_bytes, process.rss_start_bytes)
    );
    assert_eq!(report.function("inner").self_wall_ns, report.function("run").cum_wall_ns);
}
