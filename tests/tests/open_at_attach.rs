//! Calls that were open at attach: their rows say so, live and from the log, and no others do.

use std::{path::Path, time::Duration};

use tests::{Python, Target, Tracer, on_all_pythons, on_pythons, report::Report, scratch, tracer};

on_all_pythons!(their_rows_are_marked, the_log_has_the_marks, the_callers_of_a_generator);

on_pythons!([the_callers_of_a_generator] cpython_3_12_shared: SHARED_3_12,);

/// Calls in the program's own rows: those of the window, and those open at attach.
const ROWS: [(&str, u64, u64); 8] = [
    ("<module>", 0, 1),
    ("descend", 7, 4),
    ("step", 0, 1),
    ("steps", 0, 1),
    ("run", 0, 1),
    ("wait", 0, 1),
    ("workload", 1, 0),
    ("later", 1, 0),
];

fn assert_marked(report: &Report) {
    for (name, calls, open) in ROWS {
        let row = report.function(name);
        assert_eq!((row.calls, row.resumes, row.open_at_attach), (calls, 0, open), "{row:?}");
    }
    let all: u64 = report.functions.iter().map(|row| row.open_at_attach).sum();
    assert_eq!(all, report.account.open_at_attach);
    assert_eq!(all, ROWS.iter().map(|(_, _, open)| open).sum::<u64>(), "of no other function");
}

fn their_rows_are_marked(python: Python) {
    let (_, report) = Tracer::work_of(Target::start(python, "middle.py", &[]), &[]);
    assert_marked(&report);
}

fn the_log_has_the_marks(python: Python) {
    for kind in ["calls", "events"] {
        let folder = scratch();
        let log = folder.path().join("log");
        let target = Target::start(python, "middle.py", &[]);
        let options = ["-o", &log.display().to_string(), "--log", kind];
        let (_, live) = Tracer::work_of(target, &options);
        assert_marked(&live);
        let later: Report = serde_json::from_str(&report(&log, &["--json"])).expect("a report is JSON");
        assert_eq!(later, live, "{kind}");

        let table = report(&log, &[]);
        let marked: Vec<_> = table.lines().filter(|line| line.contains(" open  ")).collect();
        assert_eq!(marked.len(), 6, "{table}");
        let row = marked.iter().find(|line| line.starts_with("descend")).expect("a row of it is marked");
        assert!(row.contains("  7 +4 open  "), "{row}");
    }
}

/// Also where the first event is a suspension, from which on the interpreter has no caller of the frame (3.12+).
fn the_callers_of_a_generator(python: Python) {
    for mode in ["kernel", "stream"] {
        let mut target = Target::start(python, "endless_generator.py", &[]);
        target.go();
        for time in 1..=3 {
            let tracer = Tracer::attach(&[&target], &["--aggregate", mode]);
            std::thread::sleep(Duration::from_millis(50));
            let report = tracer.interrupt().any_report();
            for name in ["workload", "loop"] {
                let row = report.function(name);
                assert_eq!((row.calls, row.open_at_attach), (0, 1), "{name}, {mode}, time {time}");
            }
            assert!(report.function("steps").resumes > 0);
        }
        target.kill();
    }
}

fn report(log: &Path, options: &[&str]) -> String {
    let output = tracer::run([&["report", &log.display().to_string()], options].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
