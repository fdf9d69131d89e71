//! A long recording of a program that never stays the same: does pytracer grow? `cargo xtask soak` runs this as root.
//!
//! Usage: `soak [--minutes N]`: half of it adding up in the kernel, half with an event log that is kept within a size.

use std::{
    fs,
    process::ExitCode,
    time::{Duration, Instant},
};

use tests::{Python, Target, Tracer, report::Report, scratch};

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Share of a run after which all that is needed is there.
const WARM: f64 = 0.3;
/// What the report needs to keep of each process that has ended, besides its rows.
const BYTES_OF_A_PROCESS: u64 = 2 << 10;
/// What it needs to keep of each row.
const BYTES_OF_A_ROW: u64 = 400;
/// What comes and goes with buffers.
const BYTES_OF_BUFFERS: u64 = 16 << 20;
/// Descriptors of processes that happen to run at the moment.
const DESCRIPTORS: u64 = 24;

/// What pytracer has at some moment.
#[derive(Clone, Copy)]
struct Sample {
    seconds: u64,
    rss_kib: u64,
    descriptors: u64,
    threads: u64,
    /// That the program has started so far.
    processes: u64,
}

impl Sample {
    fn of(tracer: &Tracer, target: &mut Target, begin: Instant) -> Self {
        let pid = tracer.pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("pytracer runs");
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line of the status");
            line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
        };
        Self {
            seconds: begin.elapsed().as_secs(),
            rss_kib: number("VmRSS:"),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).expect("pytracer runs").count() as u64,
            threads: number("Threads:"),
            processes: target.known().last().map_or(0, |fact| fact.calls),
        }
    }

    fn print(self) {
        let Self { seconds, rss_kib, descriptors, threads, processes } = self;
        println!("| {seconds} | {:.1} | {descriptors} | {threads} | {processes} |", rss_kib as f64 / 1024.0);
    }

    /// Why it is too much, compared with what there was when all that is needed was there. `needed`: what a report needs that
    /// has so many processes.
    fn too_much(self, before: Self, needed: impl Fn(u64) -> u64) -> Option<String> {
        let kept = needed(self.processes) - needed(before.processes);
        let rss_kib = before.rss_kib + (BYTES_OF_BUFFERS + kept) / 1024;
        if self.rss_kib > rss_kib {
            let Self { seconds, rss_kib: taken, .. } = self;
            return Some(format!(
                "{taken} KiB of memory after {seconds} s, where {rss_kib} were to be enough"
            ));
        }
        let descriptors = before.descriptors + DESCRIPTORS;
        (self.descriptors > descriptors)
            .then(|| format!("{} descriptors, where {descriptors} were to be enough", self.descriptors))
    }
}

/// What a report needs that has so many processes besides the first: those that began first have the lowest numbers.
fn needed(report: &Report, processes: u64) -> u64 {
    let has = |process: Option<usize>| process.is_some_and(|process| process as u64 <= processes);
    let rows = report.functions.iter().filter(|row| has(row.process)).count() as u64;
    BYTES_OF_A_PROCESS * processes + BYTES_OF_A_ROW * rows
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let minutes = match &arguments[..] {
        [] => 30.0,
        [option, minutes] if option == "--minutes" => minutes.parse().unwrap_or(0.0),
        _ => 0.0,
    };
    if minutes <= 0.0 {
        eprintln!("usage: soak [--minutes N]");
        return ExitCode::from(2);
    }
    let length = Duration::from_secs_f64(minutes * 30.0);
    let folder = scratch();
    let log = folder.path().join("log").display().to_string();
    let runs = [
        run("added up in the kernel", length, &["--aggregate", "kernel"]),
        run("streamed, with a log", length, &["-o", &log, "--max-size", "64M"]),
    ];
    let mut failed = false;
    for why in runs.into_iter().flatten() {
        eprintln!("error: {why}");
        failed = true;
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Records for so long, and prints what pytracer has meanwhile. Returns what was too much.
fn run(name: &str, length: Duration, arguments: &[&str]) -> Option<String> {
    println!(
        "\n{name}:\n\n| s | RSS MiB | descriptors | threads | processes so far |\n|---|---|---|---|---|"
    );
    let mut target = Target::start(Python::DEBIAN_3_11, "restless.py", &[]);
    let tracer = Tracer::attach(&[&target], arguments);
    let begin = Instant::now();
    target.go();
    let (mut samples, mut warm): (Vec<Sample>, _) = (Vec::new(), None);
    while begin.elapsed() < length {
        std::thread::sleep(LOOK.min(length.saturating_sub(begin.elapsed())));
        let sample = Sample::of(&tracer, &mut target, begin);
        sample.print();
        if begin.elapsed() >= length.mul_f64(WARM) {
            warm.get_or_insert(sample);
        }
        samples.push(sample);
    }
    let report = tracer.interrupt().any_report();
    println!(
        "\n{} events, {} lost, {} processes, {} rows",
        report.account.events,
        report.account.lost,
        report.processes.len(),
        report.functions.len()
    );
    target.kill();
    let warm = warm?;
    let mut later = samples.iter().filter(|sample| sample.seconds > warm.seconds);
    let wrong = later.find_map(|sample| sample.too_much(warm, |processes| needed(&report, processes)));
    wrong.map(|wrong| format!("{name}: {wrong}"))
}
