//! `--source`: the same counts, wherever the events come from.

use tests::{Python, Target, Tracer, on_pythons, report::Report, tracer, truth};

on_pythons!([as_usdt_as_eval]
    cpython_3_15_sid: SID_3_15,
);
on_pythons!([usdt_counts_too]
    cpython_3_9_bullseye: BULLSEYE_3_9,
);
on_pythons!([eval_alone_counts_too]
    cpython_3_11_debian: DEBIAN_3_11,
);
on_pythons!([suspensions_are_seen_at_once]
    cpython_3_13_shared: SHARED_3_13,
    cpython_3_13_sid: SID_3_13,
    cpython_3_13_nogil: NOGIL_3_13,
);
on_pythons!([usdt_is_refused]
    cpython_3_14_sid: SID_3_14,
);

const PROGRAMS: [&str; 7] = [
    "calls.py",
    "generators.py",
    "coroutines.py",
    "exceptions.py",
    "threads.py",
    "callbacks.py",
    "thrown_at_birth.py",
];

fn trace(python: Python, program: &str, source: &str) -> Report {
    Tracer::work_of(Target::start(python, program, &[]), &["--source", source]).1
}

/// Compares with the interpreter's own count of another run.
fn assert_true(python: Python, program: &str, report: &Report) {
    truth::assert_equal(&truth::of(python, program, &[]), &truth::counted(report));
}

fn as_usdt_as_eval(python: Python) {
    for program in PROGRAMS {
        let [usdt, eval] = ["usdt", "eval"].map(|source| {
            let report = trace(python, program, source);
            assert_eq!(report.processes[0].source.as_deref(), Some(source));
            report
        });
        truth::assert_equal(&truth::counted(&eval), &truth::counted(&usdt));
        assert_true(python, program, &usdt);
    }
}

/// What enters a generator that has not run yet is the one thing that this source can't tell.
fn usdt_counts_too(python: Python) {
    for program in ["calls.py", "exceptions.py", "threads.py", "callbacks.py"] {
        let report = trace(python, program, "usdt");
        assert_eq!(report.processes[0].source.as_deref(), Some("usdt"));
        assert_true(python, program, &report);
    }
}

/// Without the option they come out at the thread's next event, and their times are upper bounds.
fn suspensions_are_seen_at_once(python: Python) {
    for program in PROGRAMS {
        let (_, report) = Tracer::work_of(Target::start(python, program, &[]), &["--exact-yield"]);
        assert_eq!(report.account.late_ends, 0, "{program}: {:?}", report.account);
        assert_true(python, program, &report);
    }
    let (_, report) = Tracer::work_of(Target::start(python, "generators.py", &[]), &[]);
    assert!(report.account.late_ends > 0, "{:?}", report.account);
}

/// Without the probe point no place tells that an exception has left a frame.
fn eval_alone_counts_too(python: Python) {
    for program in PROGRAMS {
        let report = trace(python, program, "eval");
        assert_eq!(report.processes[0].source.as_deref(), Some("eval"));
        assert_true(python, program, &report);
    }
    let target = Target::start(python, "calls.py", &[]);
    let pid = target.pid().to_string();
    let output = tracer::run(["record", "-p", &pid, "--source", "usdt", "--duration", "1s"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("function__entry is not passed"), "{said}");
}

fn usdt_is_refused(python: Python) {
    let target = Target::start(python, "calls.py", &[]);
    let pid = target.pid().to_string();
    let output = tracer::run(["record", "-p", &pid, "--source", "usdt", "--duration", "1s"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("no USDT probes for functions"), "{said}");
    assert!(said.contains("leave --source out"), "{said}");
}
