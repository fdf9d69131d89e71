//! Samples, against what a program knows of its own time and memory.

use std::{fs, path::Path};

use serde::Deserialize;
use tests::{Python, Target, Tracer, on_every_exact_build, program::Known, scratch, tracer};

on_every_exact_build!(shares_are_those_of_the_clock, no_probe_is_in_place);

const MIB: i64 = 1 << 20;

/// Chance puts a share of some thousand samples off by 2 points at most; the program's own clock is read around each
/// call, and a busy machine disturbs both.
const SLACK: f64 = 0.06;

/// A report of samples: what only probes count is null.
#[derive(Debug, Deserialize)]
struct Report {
    functions: Vec<Function>,
    account: Account,
}

#[derive(Clone, Debug, Deserialize)]
struct Function {
    #[serde(rename = "function")]
    name: String,
    calls: Option<u64>,
    resumes: Option<u64>,
    page_faults: Option<u64>,
    ends: Option<u64>,
    self_wall_ns: u64,
    cum_wall_ns: u64,
    self_cpu_ns: u64,
    cum_cpu_ns: u64,
    self_rss_bytes: i64,
    cum_rss_bytes: i64,
    samples: u64,
    self_python_ns: u64,
    self_native_ns: u64,
    self_system_ns: u64,
    cpu_share: f64,
    cpu_share_low: f64,
    cpu_share_high: f64,
}

#[derive(Debug, Deserialize)]
struct Account {
    lost: u64,
    sampling: Sampling,
}

#[derive(Debug, Deserialize)]
struct Sampling {
    rate_hz: u32,
    samples: u64,
    off_cpu_samples: u64,
    unknown_thread: u64,
    unreadable: u64,
    off_cpu_unread: u64,
    taken: u64,
    cost_ns: u64,
}

impl Report {
    fn of(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_else(|error| panic!("no report ({error}) in {json:?}"))
    }

    fn function(&self, name: &str) -> &Function {
        let mut rows = self.functions.iter().filter(|row| row.name == name);
        rows.next().unwrap_or_else(|| panic!("no row for {name} in {:?}", self.functions))
    }
}

fn shares_are_those_of_the_clock(python: Python) {
    let mut target = Target::start(python, "shares.py", &[]);
    let tracer = Tracer::attach(&[&target], &["--source", "sample", "--rate", "997"]);
    let known = target.work();
    let outcome = tracer.interrupt();
    target.end();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    let report = Report::of(&outcome.stdout);
    assert_eq!(report.account.lost, 0);
    account(&report.account.sampling);
    counts_are_absent(&report);
    times(&report, &known);
    split(&report);
    memory(&report);
}

/// Almost all stacks could be read.
fn account(sampling: &Sampling) {
    assert_eq!(sampling.rate_hz, 997);
    assert!(sampling.samples > 1000 && sampling.off_cpu_samples > 100, "{sampling:?}");
    assert!(sampling.taken >= sampling.samples && sampling.cost_ns > sampling.taken, "{sampling:?}");
    let unread = sampling.unknown_thread + sampling.unreadable;
    assert!(unread <= sampling.samples / 20, "{sampling:?}");
    assert!(sampling.off_cpu_unread <= sampling.off_cpu_samples / 4, "{sampling:?}");
}

fn counts_are_absent(report: &Report) {
    for row in &report.functions {
        assert_eq!((row.calls, row.resumes, row.page_faults, row.ends), (None, None, None, None), "{row:?}");
        let is_share = row.cpu_share_low <= row.cpu_share && row.cpu_share <= row.cpu_share_high;
        assert!(is_share && row.self_wall_ns <= row.cum_wall_ns, "{row:?}");
        assert_eq!(row.self_cpu_ns, row.self_python_ns + row.self_native_ns + row.self_system_ns, "{row:?}");
    }
    let shares: f64 = report.functions.iter().map(|row| row.cpu_share).sum();
    assert!((shares - 1.0).abs() < 1e-6, "{shares}");
    let samples: u64 = report.functions.iter().map(|row| row.samples).sum();
    assert_eq!(samples, report.account.sampling.samples);
}

/// CPU time by function is what the program's clock said, and so is time asleep.
fn times(report: &Report, known: &[Known]) {
    let (whole, parts): (Vec<_>, Vec<_>) = known.iter().partition(|fact| fact.function == "workload");
    let sampled: u64 = report.functions.iter().map(|row| row.self_cpu_ns).sum();
    let all = whole[0].cpu_ns[0];
    assert!(sampled.abs_diff(all) <= all / 8, "on CPU for {all}, sampled {sampled}");
    for fact in parts {
        let row = report.function(&fact.function);
        let (seen, truth) = (row.cum_cpu_ns as f64 / sampled as f64, fact.cpu_ns[0] as f64 / all as f64);
        assert!((seen - truth).abs() <= SLACK, "{seen:.3}, in truth {truth:.3}: {row:?}");
    }
    let asleep = known.iter().find(|fact| fact.function == "sleeps").expect("it slept");
    let (seen, truth) = (report.function("sleeps").self_wall_ns as f64, asleep.wall_ns[0] as f64);
    assert!((seen - truth).abs() <= 0.3 * truth, "asleep for {truth}, seen {seen}");
    // A thread that does nothing but wait for the end.
    let (waited, truth) = (report.function("waits").cum_wall_ns, whole[0].wall_ns[0]);
    assert!(waited.abs_diff(truth) <= truth / 8, "waited for {truth}, seen {waited}");
    let deepest = report.function("descends");
    assert!(deepest.self_wall_ns < deepest.cum_wall_ns / 2, "its work is in what it calls: {deepest:?}");
}

/// Where the time of a function was spent.
fn split(report: &Report) {
    let most = |name: &str, part: fn(&Function) -> u64| {
        let row = report.function(name);
        assert!(part(row) * 10 >= row.self_cpu_ns * 7, "{row:?}");
    };
    most("adds", |row| row.self_python_ns);
    most("multiplies", |row| row.self_python_ns);
    most("checks", |row| row.self_native_ns);
    most("reads", |row| row.self_system_ns);
}

/// Memory is charged at each change, not sampled.
fn memory(report: &Report) {
    let row = report.function("takes_4_mib");
    let off = |bytes: i64| (bytes - 40 * MIB).abs();
    assert!(off(row.self_rss_bytes) <= MIB / 4 && off(row.cum_rss_bytes) <= MIB / 4, "{row:?}");
    let outer = report.function("workload");
    assert!(outer.cum_rss_bytes >= 39 * MIB && outer.self_rss_bytes.abs() < 2 * MIB, "{outer:?}");
}

/// With timers of one period all samples would be of one of the two.
#[test]
fn no_program_keeps_step_with_the_timers() {
    let mut target = Target::start(Python::DEBIAN_3_11, "in_step.py", &[]);
    let tracer = Tracer::attach(&[&target], &["--source", "sample", "--rate", "199"]);
    target.work();
    let outcome = tracer.interrupt();
    target.end();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    let report = Report::of(&outcome.stdout);
    let [first, second] = ["first", "second"].map(|name| report.function(name).samples as f64);
    let share = first / (first + second);
    // Half, and what chance does to some thousand samples, which come in stretches.
    assert!((0.4..=0.6).contains(&share), "{first} and {second} samples");
}

/// A uprobe makes the kernel copy a page of the program's code for the process; sampling leaves all code as the file has
/// it, and the copies of a traced process show that this would be seen.
fn no_probe_is_in_place(python: Python) {
    let target = Target::start(python, "busy.py", &["--size", "10"]);
    assert_eq!(copied_code(target.pid()), 0);
    let tracer = Tracer::attach(&[&target], &["--source", "sample"]);
    assert_eq!(copied_code(target.pid()), 0);
    tracer.interrupt();
    let tracer = Tracer::attach(&[&target], &[]);
    assert!(copied_code(target.pid()) > 0);
    tracer.interrupt();
    target.end();
}

/// Kilobytes of executable mappings of files that are the process's own copies.
fn copied_code(pid: u32) -> u64 {
    let smaps = fs::read_to_string(format!("/proc/{pid}/smaps")).expect("read its mappings");
    let mut of_code = false;
    let mut copied = 0;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if !first.ends_with(':') {
            of_code = second == "r-xp";
        } else if of_code && first == "Anonymous:" {
            copied += second.parse::<u64>().expect("a number of kilobytes");
        }
    }
    copied
}

/// A recording that was kept says the same as the report that it ended with, and the same by other views.
#[test]
fn a_log_of_samples_gives_the_report_again() {
    let folder = scratch();
    let log = folder.path().join("rec");
    let mut target = Target::start(Python::DEBIAN_3_11, "shares.py", &["--size", "1000"]);
    let tracer = Tracer::attach(&[&target], &["--source", "sample", "-o", log.to_str().expect("a path")]);
    target.work();
    let outcome = tracer.interrupt();
    target.end();
    let mut live = rows(&outcome.stdout);
    let mut again = rows(&report(&log, &["--json"]));
    live.sort();
    again.sort();
    assert_eq!(live, again);
    let tree = report(&log, &["--view", "tree", "--of", "cpu", "--all-frames"]);
    assert!(tree.contains("checks") && tree.contains("adds_in_thread"), "{tree}");
    let by_file = report(&log, &["--by", "file"]);
    assert!(by_file.contains("cpu share"), "{by_file}");
    for view in ["latency", "slowest", "growth", "tasks"] {
        let output = tracer::run(["report", log.to_str().expect("a path"), "--view", view]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("--source sample"), "{view}: {said}");
    }
}

/// The rows of a report, without shares, which are quotients.
fn rows(json: &str) -> Vec<(String, [u64; 7], [i64; 2])> {
    let report = Report::of(json);
    let rows = report.functions.into_iter().map(|row| {
        let times = [row.self_wall_ns, row.cum_wall_ns, row.self_cpu_ns, row.cum_cpu_ns];
        let parts = [row.samples, row.self_native_ns, row.self_system_ns];
        let all = [times[0], times[1], times[2], times[3], parts[0], parts[1], parts[2]];
        (row.name, all, [row.self_rss_bytes, row.cum_rss_bytes])
    });
    rows.collect()
}

fn report(log: &Path, arguments: &[&str]) -> String {
    let log = log.to_str().expect("a path");
    let output = tracer::run(["report", log].iter().chain(arguments));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A traced report has shares from samples of the time before and after, when no probe was in place; and so has its log.
#[test]
fn a_traced_report_has_shares_from_untraced_time() {
    #[derive(Deserialize)]
    struct Traced {
        functions: Vec<Row>,
        untraced: Untraced,
    }
    #[derive(Debug, Deserialize, PartialEq)]
    struct Row {
        function: String,
        calls: u64,
        untraced_samples: u64,
        untraced_cpu_share: f64,
        untraced_cpu_share_low: f64,
        untraced_cpu_share_high: f64,
    }
    #[derive(Deserialize)]
    struct Untraced {
        before_ns: u64,
        after_ns: u64,
        samples: u64,
    }
    let folder = scratch();
    let log = folder.path().join("rec");
    let mut target = Target::start(Python::DEBIAN_3_11, "shares.py", &["--size", "12000"]);
    target.go();
    let words = format!(
        "--json -p {} --untraced 1500ms --duration 1s -o {}",
        target.pid(),
        log.to_str().expect("a path")
    );
    let outcome = Tracer::record(&words.split(' ').collect::<Vec<_>>()).finish();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    let known = target.done();
    target.end();
    let traced: Traced = serde_json::from_str(&outcome.stdout).expect("a report");
    for ns in [traced.untraced.before_ns, traced.untraced.after_ns] {
        assert!((1_500_000_000..3_000_000_000).contains(&ns), "{ns}");
    }
    let row = |name: &str| traced.functions.iter().find(|row| row.function == name).expect("a row");
    // Of one thread's time: how the threads share the processor is not the same all the time. That thread has some hundred
    // samples, so chance puts a share off by 3 points.
    let names = ["adds", "checks", "reads"];
    let truth = |name: &str| {
        let fact = known.iter().find(|fact| fact.function == name).expect("it knows that");
        fact.cpu_ns[0] as f64
    };
    let (all_seen, all): (u64, f64) =
        (names.map(|name| row(name).untraced_samples).iter().sum(), names.map(truth).iter().sum());
    for name in names {
        let (row, truth) = (row(name), truth(name) / all);
        let seen = row.untraced_samples as f64 / all_seen as f64;
        assert!(row.calls > 0 && (seen - truth).abs() <= 0.15, "{seen}, in truth {truth}: {row:?}");
        let interval = row.untraced_cpu_share_low..=row.untraced_cpu_share_high;
        assert!(interval.contains(&row.untraced_cpu_share), "{row:?}");
    }
    let samples: u64 = traced.functions.iter().map(|row| row.untraced_samples).sum();
    assert!(samples > 100 && samples <= traced.untraced.samples, "{samples} of {}", traced.untraced.samples);
    let again: Traced = serde_json::from_str(&report(&log, &["--json"])).expect("a report");
    for again in &again.functions {
        assert_eq!(row(&again.function).untraced_samples, again.untraced_samples);
    }
    let table = report(&log, &[]);
    assert!(table.contains("untraced cpu share: of "), "{table}");
}

/// What samples can't tell is refused before anything is recorded, with a word on what to do.
#[test]
fn what_samples_can_not_tell_is_refused() {
    for (words, advice) in [
        ("--rate 99", "--source sample"),
        ("--source sample --rate 0", "1..=10000"),
        ("--source sample --view latency", "--view table, tree or callers"),
        ("--source sample --by task", "--view table, tree or callers"),
        ("--source sample --view tree --of calls", "--of wall, cpu"),
        ("--source sample -o rec --log events", "leave them away"),
        ("--source sample -o rec --min-duration 1ms", "leave them away"),
    ] {
        let output = tracer::run(["record", "-p", "1"].into_iter().chain(words.split(' ')));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(advice), "{words}: {said}");
    }
}

/// What a log of samples is exported as, and what it is not.
#[test]
fn exports_hold_what_was_sampled() {
    let folder = scratch();
    let log = folder.path().join("rec");
    let path = log.to_str().expect("a path");
    let mut target = Target::start(Python::DEBIAN_3_11, "shares.py", &["--size", "1000"]);
    let tracer = Tracer::attach(&[&target], &["--source", "sample", "--rate", "997", "-o", path]);
    target.work();
    let cpu_ns: u64 =
        Report::of(&tracer.interrupt().stdout).functions.iter().map(|row| row.self_cpu_ns).sum();
    target.end();
    let export = |format: &str| tracer::run(["export", path, "--format", format, "--of", "cpu", "-o", "-"]);
    let text = |format: &str| {
        let output = export(format);
        assert!(output.status.success(), "{format}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let stacks = text("collapsed");
    let weighed = stacks.lines().filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
    assert_eq!(weighed.sum::<u64>(), cpu_ns);
    assert!(text("svg").contains("adds_in_thread"));
    let callgrind = text("callgrind");
    assert!(callgrind.contains("\nevents: wall_ns rss_grew rss_shrank\n"), "{callgrind}");
    let csv = text("csv");
    let header = csv.lines().next().expect("a header");
    assert!(header.contains("samples") && !header.contains("calls"), "{header}");
    assert!(export("pprof").status.success());
    for format in ["pstats", "chrome", "perfetto", "text"] {
        let output = export(format);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("export as"), "{format}: {said}");
    }
}
