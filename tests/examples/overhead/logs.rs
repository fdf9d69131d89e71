//! What the event log costs, and how large it gets, by what is kept in it.
//!
//! The program is `tests/programs/summarise.py`, which reads text and makes HTML of it: real work in many small calls.

use std::{fs, path::Path};

use tests::{Python, Target, Tracer, scratch, statistics::median};

/// What is kept, by the options of `record`; the first is not traced at all.
const WAYS: [(&str, Option<&[&str]>); 8] = [
    ("not traced", None),
    ("no log", Some(&[])),
    ("`--log totals`", Some(&["--log", "totals"])),
    ("`--min-rss 4096`", Some(&["--min-rss", "4096"])),
    ("`--min-rss 4096 --with-previous`", Some(&["--min-rss", "4096", "--with-previous"])),
    ("`--min-duration 1ms`", Some(&["--min-duration", "1ms"])),
    ("`--log calls`", Some(&["--log", "calls"])),
    ("`--log events`", Some(&["--log", "events"])),
];

/// One run of the program.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    seconds: f64,
    log_bytes: u64,
    calls: u64,
    events: u64,
    lost: u64,
}

/// Prints the table of one interpreter.
pub(crate) fn print(python: Python, rounds: usize, lines: u64) {
    let runs: Vec<[Run; WAYS.len()]> = (0..rounds)
        .map(|round| {
            eprintln!("{python}, logs, round {} of {rounds}", round + 1);
            let mut by_way = [Run::default(); WAYS.len()];
            // Each round begins with another way.
            for turn in 0..WAYS.len() {
                let way = (turn + round) % WAYS.len();
                by_way[way] = run(python, lines, WAYS[way].1);
            }
            by_way
        })
        .collect();
    println!("CPython {}, {lines} lines, {rounds} rounds:\n", python.version());
    println!("| Kept | Time | of not traced | Log | Bytes per call | Calls | Events | Lost |");
    println!("|---|---|---|---|---|---|---|---|");
    for (way, (name, _)) in WAYS.iter().enumerate() {
        println!("{}", row(name, &runs, way));
    }
    println!();
}

fn row(name: &str, runs: &[[Run; WAYS.len()]], way: usize) -> String {
    let all =
        |value: fn(&Run) -> f64| median(&runs.iter().map(|round| value(&round[way])).collect::<Vec<_>>());
    let times: Vec<f64> = runs.iter().map(|round| round[way].seconds / round[0].seconds).collect();
    let bytes = all(|run| run.log_bytes as f64);
    let calls = all(|run| run.calls as f64);
    format!(
        "| {name} | {:.2} s | {:.2} | {:.2} MB | {:.2} | {calls:.0} | {:.0} | {:.0} |",
        all(|run| run.seconds),
        median(&times),
        bytes / 1e6,
        if calls > 0.0 { bytes / calls } else { 0.0 },
        all(|run| run.events as f64),
        all(|run| run.lost as f64),
    )
}

/// Lets the program work once, in a process of its own.
fn run(python: Python, lines: u64, options: Option<&[&str]>) -> Run {
    let mut target = Target::start(python, "summarise.py", &["--size", &lines.to_string()]);
    let Some(options) = options else {
        let seconds = work(&mut target);
        target.end();
        return Run { seconds, ..Run::default() };
    };
    let folder = scratch();
    let log = folder.path().join("log");
    let mut arguments = options.to_vec();
    let path = log.display().to_string();
    if !options.is_empty() {
        arguments.extend(["-o", &path]);
    }
    let tracer = Tracer::attach(&[&target], &arguments);
    let seconds = work(&mut target);
    let report = tracer.report();
    target.end();
    Run {
        seconds,
        log_bytes: size(&log),
        calls: report.functions.iter().map(|row| row.calls + row.resumes).sum(),
        events: report.account.events,
        lost: report.account.lost,
    }
}

/// The time that the program says its work took.
fn work(target: &mut Target) -> f64 {
    let known = target.work().pop().expect("the program tells its time");
    known.total_ns as f64 / 1e9
}

/// Bytes of all files of a folder and those in it; 0 if there is none.
pub(crate) fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.map(|entry| {
        let path = entry.expect("read the log's folder").path();
        if path.is_dir() { size(&path) } else { path.metadata().map_or(0, |metadata| metadata.len()) }
    });
    sizes.sum()
}
