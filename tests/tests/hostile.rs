//! Programs that mean harm: names that would be commands where they are shown, and an interpreter that changes its own
//! structures. What is shown is text, work is bounded, and other numbers stay true.
//!
//! Also where an interpreter has the probe points of dtrace: it would itself read the names if anybody listened there, and
//! fail at some of them.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tests::{Python, Target, Tracer, copies::Copies, on_pythons, packages, scratch, tracer};

on_pythons!([structures_that_change_under_our_feet]
    cpython_3_11_debian: DEBIAN_3_11,
    cpython_3_14_sid: SID_3_14,
);

/// More than any recording of these programs takes.
const MUCH_MEMORY: u64 = 512 << 20;

/// Rings of frames are there when pytracer attaches, and when it looks at silent threads at the end.
fn structures_that_change_under_our_feet(python: Python) {
    for mode in [&["--aggregate", "kernel"][..], &["--aggregate", "stream"], &["--source", "sample"]] {
        let mut target = Target::start(python, "forged.py", &[]);
        target.go();
        target.tells(1);
        let tracer = Tracer::attach(&[&target], mode);
        target.go();
        let known = target.tells(2);
        let outcome = tracer.interrupt();
        assert!(outcome.status.success(), "{mode:?}: {}", outcome.stderr);
        let report: Value = serde_json::from_str(&outcome.stdout).expect("a report is JSON");
        let peak = report["account"]["own"]["peak_rss_bytes"].as_u64().expect("it tells what it took");
        assert!(peak < MUCH_MEMORY, "{mode:?}: {peak} bytes");
        if mode[0] == "--aggregate" {
            let report = outcome.report();
            report.assert_lossless();
            assert_eq!(report.calls("witness"), known[1].calls, "{mode:?}");
            for file in ["forged file", "forged"] {
                assert!(report.functions.iter().any(|row| row.file.contains(file)), "{mode:?}: {file}");
            }
        }
        assert!(target.lives());
        target.go();
        target.done();
        target.end();
    }
}

/// No terminal is told anything, no page runs anything, no line is split.
#[test]
fn names_are_text_wherever_they_are_shown() {
    let copies = Copies::of("hostile_names.py");
    fs::copy(tests::program("renamed.py"), copies.program("renamed.py")).expect("copy a module");
    let script = copies.program("\x1b[31mred\u{202e}.py");
    fs::rename(copies.program("hostile_names.py"), &script).expect("rename the program");
    let mut target = Target::spawn(Python::DEBIAN_3_11.command().arg(&script));
    let folder = scratch();
    let log = folder.path().join("log");
    let path = log.display().to_string();
    let pid = target.pid().to_string();
    let mut tracer = Tracer::record(&["-p", &pid, "--untraced", "0s", "-v", "--limit", "0", "-o", &path]);
    tracer.attached();
    target.work();
    assert_text(&run(&["ps", "--name", "*red*"]), "ps");
    assert_text(&run(&["ps", "--explain", &pid]), "ps --explain");
    let outcome = tracer.interrupt();
    target.end();
    assert!(outcome.stdout.contains("\\x1b[2J"), "names are shown: {}", outcome.stdout);
    assert_shown(&outcome.stdout, "the report");
    assert_shown(&outcome.stderr, "notes");
    for view in ["tree", "callers", "latency", "slowest", "growth", "tasks", "leaks", "memory"] {
        assert_text(&run(&["report", &path, "--view", view]), view);
    }
    for by in ["file", "module", "thread", "process"] {
        assert_text(&run(&["report", &path, "--by", by, "--limit", "0"]), by);
    }
    assert_text(&run(&["diff", &path, &path, "--limit", "0"]), "diff");
    let html = text(&run(&["report", &path, "--html", "-"]));
    assert_markup(&html, "html");
    exports(&path);
}

/// Files are made of text, each in the way of its format.
fn exports(log: &str) {
    let export = |format: &str| run(&["export", log, "-f", format, "-o", "-"]);
    for format in ["collapsed", "callgrind", "text"] {
        assert_text(&export(format), format);
    }
    for line in text(&export("collapsed")).lines() {
        assert!(line.rsplit_once(' ').is_some_and(|(_, weight)| weight.parse::<u64>().is_ok()), "{line}");
    }
    assert_markup(&text(&export("svg")), "svg");
    for format in ["speedscope", "chrome"] {
        let _: Value = serde_json::from_slice(&export(format).stdout).expect("it is JSON");
    }
    for line in text(&export("ndjson")).lines() {
        let _: Value = serde_json::from_str(line).expect("each line is JSON");
    }
    let folder = scratch();
    let csv = folder.path().join("rows.csv");
    assert!(run(&["export", log, "-f", "csv", "-o", &csv.display().to_string()]).status.success());
    assert_cells(&csv);
}

/// Each row has as many cells, and no cell is a formula.
fn assert_cells(csv: &Path) {
    let code = "import csv, json, sys\n\
                print(json.dumps(list(csv.reader(open(sys.argv[1], newline='')))))";
    let rows: Vec<Vec<String>> = packages::json(code, &[&csv.display().to_string()]);
    let widths: BTreeSet<_> = rows.iter().map(Vec::len).collect();
    assert_eq!(widths.len(), 1, "{widths:?}");
    assert!(rows.iter().flatten().any(|cell| cell.contains("HYPERLINK")), "the names are there");
    let formulas = rows.iter().flatten().filter(|cell| cell.starts_with(['=', '@', '+']));
    assert_eq!(formulas.collect::<Vec<_>>(), [""; 0]);
}

fn run(arguments: &[&str]) -> Output {
    let output = Command::new(tracer::binary()).args(arguments).output().expect("run pytracer");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("it is UTF-8")
}

fn assert_text(output: &Output, what: &str) {
    assert_shown(&text(output), what);
    assert_shown(&String::from_utf8_lossy(&output.stderr), what);
}

/// Nothing but text and ends of lines: neither controls nor what reorders or hides text.
fn assert_shown(text: &str, what: &str) {
    let reorders = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let wrong = |line: &&str| line.chars().any(|c| c.is_control() || reorders(c));
    let wrong: Vec<_> = text.split('\n').filter(wrong).collect();
    assert!(wrong.is_empty(), "{what}: {wrong:?}");
}

/// What is a name is no element.
fn assert_markup(text: &str, what: &str) {
    for part in ["<script>alert", "<svg onload", "\u{1b}", "\u{9b}", "\0"] {
        assert!(!text.contains(part), "{what} has {part:?}");
    }
    assert!(text.contains("alert(1)"), "{what} has the name");
}
