//! Exports that show time, of the recording `portrait`: what is read back from them is what the report says, and of a
//! small part of it they are what they were.

mod chrome;
mod firefox;
mod speedscope;

use std::collections::BTreeMap;

use serde_json::Value;
use tracer::analysis::{Source, scope::Scope};
use tracer::export::{Format, Options};
use tracer::filter::FunctionFilter;
use tracer::report::Report;

use super::exports::{assert_golden, recordings};

/// Functions by name, file and line: calls with resumptions and those found open, self time in nanoseconds.
type Sums = BTreeMap<String, (u64, u64)>;

fn portrait(scope: Scope) -> Source {
    Source::open(&recordings().join("portrait"), scope).unwrap()
}

fn export(format: Format, scope: Scope) -> Vec<u8> {
    let mut out = Vec::new();
    format.write(&mut portrait(scope), Options::default(), &mut out).unwrap();
    out
}

fn json(format: Format, scope: Scope) -> Value {
    serde_json::from_slice(&export(format, scope)).unwrap()
}

fn report(scope: Scope) -> Report {
    portrait(scope).summary(|_, _| {}).report
}

/// Parts of the recording, each of which cuts in another way.
fn parts() -> [Scope; 4] {
    let of_time = |time_ns| Scope { time_ns, ..Scope::default() };
    let functions = FunctionFilter::new(&["fib".into(), "work".into(), "_run*".into()], &[]).unwrap();
    [
        Scope::default(),
        of_time(120_000_000..150_000_000),
        Scope { functions, ..Scope::default() },
        Scope { tids: vec![20_481], ..Scope::default() },
    ]
}

/// What the golden files are of: steps of coroutines, a name that would do harm, a call cut at both ends, memory.
fn small_part() -> Scope {
    let names = ["main", "fetch", "sleep", "gather", "*script*"].map(str::to_owned);
    let functions = FunctionFilter::new(&names, &[]).unwrap();
    Scope { time_ns: 176_400_000..178_000_000, functions, ..Scope::default() }
}

/// A function with its place, as some formats name it.
fn label(name: &str, file: &str, line: u64) -> String {
    format!("{name} ({file}:{line})")
}

fn reported(report: &Report) -> Sums {
    let functions = report.functions.iter().filter(|row| row.activations > 0);
    let sums = functions.map(|row| {
        let label = label(&row.function, &row.file, u64::from(row.line));
        (label, (row.activations, row.self_wall_ns))
    });
    sums.collect()
}
