//! Exports, opened by the tools that they are for.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use tests::{
    Browser, Python, Target, Tracer, log, on_all_pythons, packages, portrait, pstats, report::Report,
    scratch, tracer, workspace,
};

on_all_pythons!(
    cprofile_counts_calls,
    cprofile_counts_exceptions,
    cprofile_counts_callbacks,
    cprofile_counts_coroutines,
);

/// An export, in a folder that is gone with it.
struct Exported {
    file: PathBuf,
    _folder: TempDir,
}

impl Exported {
    /// Of a recording.
    fn of(recording: &Path, format: &str, arguments: &[&str]) -> Self {
        let folder = scratch();
        let file = folder.path().join("export");
        let mut all = vec!["export".to_owned(), recording.display().to_string()];
        all.extend(["--format".to_owned(), format.to_owned(), "-o".to_owned(), file.display().to_string()]);
        all.extend(arguments.iter().map(ToString::to_string));
        let output = tracer::run(&all);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { file, _folder: folder }
    }

    /// Of the recording that lies with the sources.
    fn of_portrait(format: &str, arguments: &[&str]) -> Self {
        Self::of(&portrait(), format, arguments)
    }

    fn path(&self) -> String {
        self.file.display().to_string()
    }
}

fn report() -> Report {
    let output = tracer::run(["report", &portrait().display().to_string(), "--json"]);
    serde_json::from_slice(&output.stdout).expect("a report is JSON")
}

/// The sum of a number of all rows of the report.
fn total(value: fn(&tests::report::Function) -> i64) -> i64 {
    report().functions.iter().map(value).sum()
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).expect("it fits")
}

/// A program is traced, and an equal run of it is profiled: every function has as many calls, and as many of each caller.
fn compare_with_cprofile(python: Python, program: &str) {
    let folder = scratch();
    let recording = folder.path().join("recording");
    let target = Target::start(python, program, &[]);
    Tracer::work_of(target, &["-o", &recording.display().to_string()]);
    let ours = pstats::read(&Exported::of(&recording, "pstats", &[]).file);
    pstats::assert_same_counts(&pstats::of(python, program), &ours);
}

fn cprofile_counts_calls(python: Python) {
    compare_with_cprofile(python, "calls.py");
}

fn cprofile_counts_exceptions(python: Python) {
    compare_with_cprofile(python, "exceptions.py");
}

fn cprofile_counts_callbacks(python: Python) {
    compare_with_cprofile(python, "callbacks.py");
}

fn cprofile_counts_coroutines(python: Python) {
    compare_with_cprofile(python, "coroutines.py");
}

/// From 3.12 on, a program under cProfile is another one: the interpreter resumes generators to close them that it just
/// drops otherwise. 3.15 also loses callers then.
#[test]
fn cprofile_counts_generators() {
    compare_with_cprofile(Python::DEBIAN_3_11, "generators.py");
}

#[test]
fn pstats_reads_pstats() {
    let export = Exported::of_portrait("pstats", &[]);
    let code = "import io, json, pstats, sys\n\
                stats = pstats.Stats(sys.argv[1], stream=io.StringIO()).sort_stats('tottime')\n\
                stats.print_stats(3).print_callers('touch').print_callees('keep')\n\
                print(json.dumps([stats.total_calls, stats.total_tt, stats.stream.getvalue()]))";
    let (calls, seconds, text): (i64, f64, String) = packages::json(code, &[&export.path()]);
    assert_eq!(calls, total(|row| signed(row.calls + row.resumes)));
    let own_seconds = std::time::Duration::from_nanos(total(|row| signed(row.self_wall_ns)).unsigned_abs());
    assert!((seconds - own_seconds.as_secs_f64()).abs() < 1e-6, "{seconds} {own_seconds:?}");
    for part in ["portrait.py:53(nap)", "portrait.py:37(touch)", "portrait.py:49(give_back)"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
}

#[test]
fn snakeviz_reads_pstats() {
    let export = Exported::of_portrait("pstats", &[]);
    let code = "import json, pstats, sys\n\
                from snakeviz.stats import json_stats, table_rows\n\
                stats = pstats.Stats(sys.argv[1])\n\
                print(json.dumps([table_rows(stats), json_stats(stats)]))";
    let (table, tree): (Vec<Value>, Value) = packages::json(code, &[&export.path()]);
    let functions = report().functions.iter().filter(|row| row.line > 0).count();
    assert_eq!(table.len(), functions);
    let fib = &tree["/srv/app/portrait.py:16(fib)"];
    assert_eq!(fib["stats"][1], report().function("fib").calls, "{fib}");
    assert!(fib["callers"].get("/srv/app/portrait.py:66(work)").is_some(), "{fib}");
    let hostile = table.iter().any(|row| row[6].as_str().is_some_and(|name| name.contains("</script><b>x;")));
    assert!(hostile, "its name is whole");
}

#[test]
fn gprof2dot_reads_pstats_and_callgrind() {
    for format in ["pstats", "callgrind"] {
        let export = Exported::of_portrait(format, &[]);
        let python = workspace().join("target/venv/bin/python");
        let mut command = Command::new(python);
        let dot = packages::output(
            command.args(["-m", "gprof2dot", "-n", "0", "-e", "0", "-f", format]).arg(&export.file),
        );
        assert!(dot.starts_with("digraph"), "{dot}");
        assert!(dot.contains("fib") && dot.contains("touch") && dot.contains("->"), "{dot}");
    }
}

#[test]
fn callgrind_annotate_reads_callgrind() {
    let export = Exported::of_portrait("callgrind", &[]);
    let annotate = |arguments: &[&str]| {
        packages::output(
            Command::new("callgrind_annotate").args(["--threshold=100"]).args(arguments).arg(&export.file),
        )
    };
    // Lines begin with `1,124 (100.0%)` for each column, and end with what they are of.
    let costs = |text: &str, of: &str| -> Vec<i64> {
        let line = text.lines().find(|line| line.contains(of)).unwrap_or_else(|| panic!("no {of} in {text}"));
        let words = line.split(of).next().unwrap_or_default().split_whitespace();
        words.filter_map(|word| word.replace(',', "").parse().ok()).collect()
    };
    let text = annotate(&[]);
    let totals = costs(&text, " PROGRAM TOTALS");
    assert_eq!(totals[0], total(|row| signed(row.self_wall_ns)));
    assert_eq!(totals[1] - totals[2], total(|row| row.self_rss_bytes));
    assert_eq!(totals[3], total(|row| signed(row.calls)));
    assert!(text.contains("account: 6 661 events, 0 lost"), "{text}");
    let inclusive = annotate(&["--inclusive=yes", "--show=wall_ns"]);
    let report = report();
    for name in ["main", "fib", "work", "keep", "Runner.run"] {
        let found = costs(&inclusive, &format!(":{name} ["));
        assert_eq!(found, [signed(report.function(name).cum_wall_ns)], "{name}");
    }
}

#[test]
fn pprof_reads_pprof() {
    let export = Exported::of_portrait("pprof", &[]);
    let program = workspace().join("target/pprof/pprof");
    assert!(program.exists(), "no pprof: run `cargo xtask setup`");
    let pprof =
        |arguments: &[&str]| packages::output(Command::new(&program).args(arguments).arg(&export.file));
    let raw = pprof(&["-raw"]);
    let mut lines = raw.lines().skip_while(|line| *line != "Samples:").skip(1);
    let names = lines.next().expect("a line of headings");
    assert_eq!(
        names,
        "calls/count resumed/count rss_grew/bytes rss_shrank/bytes faults/count cpu/nanoseconds \
         wall/nanoseconds[dflt]"
    );
    let mut sums = [0; 7];
    for values in lines.take_while(|line| *line != "Locations").filter_map(|line| line.split_once(": ")) {
        let values = values.0.split_whitespace().map(str::parse::<i64>);
        sums.iter_mut().zip(values.flatten()).for_each(|(sum, value)| *sum += value);
    }
    let [calls, resumes, grew, shrank, faults, cpu_ns, wall_ns] = sums;
    assert_eq!(calls, total(|row| signed(row.calls)));
    assert_eq!(resumes, total(|row| signed(row.resumes)));
    assert_eq!(grew - shrank, total(|row| row.self_rss_bytes));
    assert_eq!(faults, total(|row| signed(row.page_faults)));
    assert_eq!(cpu_ns, total(|row| signed(row.self_cpu_ns)));
    assert_eq!(wall_ns, total(|row| signed(row.self_wall_ns)));
    let top = pprof(&["-top", "-nodecount=10"]);
    for part in ["Type: wall", " nap\n", " <module>\n", "account: 6 661 events, 0 lost"] {
        assert!(top.contains(part), "no {part:?} in {top}");
    }
    let memory = pprof(&["-top", "-sample_index=rss_grew"]);
    assert!(memory.contains(" touch\n") && memory.contains(" <no python frame>\n"), "{memory}");
}

#[test]
fn a_browser_shows_the_flame_graph() {
    for arguments in [&["--of", "wall"][..], &["--of", "rss-grew", "--icicle"]] {
        let export = Exported::of_portrait("svg", arguments);
        let svg = export.file.with_extension("svg");
        std::fs::rename(&export.file, &svg).expect("rename the file");
        let mut browser = Browser::start();
        browser.open(&svg);
        let titles = browser.value("[...document.querySelectorAll('title')].map(title => title.textContent)");
        let titles: Vec<&str> = titles.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        assert!(
            titles.iter().any(|title| title.starts_with("touch (/srv/app/portrait.py:37)")),
            "{titles:?}"
        );
        assert_eq!(browser.complaints(), [""; 0]);
        assert_eq!(browser.requests(), [format!("file://{}", svg.display())]);
    }
}

#[test]
fn pandas_and_duckdb_read_rows() {
    let readers = [
        ("csv", "pandas.read_csv(sys.argv[1], keep_default_na=False)", "read_csv"),
        ("ndjson", "pandas.read_json(sys.argv[1], lines=True)", "read_json"),
        ("parquet", "pandas.read_parquet(sys.argv[1])", "read_parquet"),
    ];
    for (format, pandas, duckdb) in readers {
        let functions = Exported::of_portrait(format, &[]);
        let code = format!(
            "import json, pandas, sys\n\
             frame = {pandas}\n\
             sums = frame[['calls', 'resumes', 'self_wall_ns', 'self_rss_bytes']].sum()\n\
             print(json.dumps([len(frame), *map(int, sums), sorted(frame.function)]))"
        );
        let (rows, calls, resumes, own_ns, rss_bytes, names): (usize, i64, i64, i64, i64, Vec<String>) =
            packages::json(&code, &[&functions.path()]);
        assert_eq!(rows, report().functions.len());
        let expected = [
            total(|row| signed(row.calls)),
            total(|row| signed(row.resumes)),
            total(|row| signed(row.self_wall_ns)),
            total(|row| row.self_rss_bytes),
        ];
        assert_eq!([calls, resumes, own_ns, rss_bytes], expected, "{format}");
        assert!(names.contains(&"</script><b>x;\u{1b}[31m'\"&\n".to_owned()), "{format}: {names:?}");

        let calls = Exported::of_portrait(format, &["--rows", "calls"]);
        let query = format!(
            "select count(*) filter (began = 'called')::bigint, sum(self_wall_ns)::bigint from {duckdb}('LOG')"
        );
        assert_eq!(
            log::duckdb(&calls.file, &query),
            [[Value::from(expected[0]), expected[2].into()]],
            "{format}"
        );
    }
}

/// Whoever reads may stop, and then nothing is said.
#[test]
fn a_closed_pipe_ends_it_quietly() {
    for format in ["collapsed", "svg", "csv", "parquet", "firefox", "text"] {
        let mut child = Command::new(tracer::binary())
            .args(["export", &portrait().display().to_string(), "--rows", "calls", "-f", format, "-o", "-"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start pytracer");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("wait for pytracer");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{format}: {} {said}", output.status);
    }
}

/// A recording of which events were lost, of a process whose command line would break out of comments and texts.
#[test]
fn what_is_missing_is_said_and_what_is_hostile_stays_text() {
    let folder = scratch();
    let recording = folder.path().join("recording");
    packages::output(Command::new("cp").arg("-r").arg(portrait()).arg(&recording));
    let description = recording.join("recording.json");
    let text = std::fs::read_to_string(&description).expect("read the description");
    let mut json: Value = serde_json::from_str(&text).expect("it is JSON");
    let command = "python3 --><script>alert(1)</script>\n</text>]]>--\u{1b}[31m";
    json["processes"][0]["command"] = command.into();
    json["account"]["lost"] = 1234.into();
    std::fs::write(&description, json.to_string()).expect("write the description");

    let svg = folder.path().join("lost.svg");
    let export = |format: &str, file: &Path| {
        let (recording, file) = (recording.display().to_string(), file.display().to_string());
        let output = tracer::run(["export", &recording, "-f", format, "-o", &file]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.contains("1 234 events were lost"), "{format}: {said}");
    };
    export("svg", &svg);
    let mut browser = Browser::start();
    browser.open(&svg);
    let subtitle = browser.value("document.getElementById('subtitle').textContent");
    let shown = "211 ms, python3 --><script>alert(1)</script>\\x0a</text>]]>--\\x1b[31m, 1 234 events lost";
    assert_eq!(subtitle, shown);
    assert_eq!(browser.complaints(), [""; 0]);

    let callgrind = folder.path().join("lost.callgrind");
    export("callgrind", &callgrind);
    let annotated = packages::output(Command::new("callgrind_annotate").arg(&callgrind));
    assert!(annotated.contains("6 661 events, 1 234 lost"), "{annotated}");
}
