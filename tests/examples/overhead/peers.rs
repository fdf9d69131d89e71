//! The same programs untraced, under pytracer, and under other tools: time, memory, counts, size of the log.
//!
//! Ways are declared in `ways.rs`; `subject.rs` runs a program in one of them. What a tool does before and after the work
//! (to start, attach, add up, write its last word) is not part of the time.

mod subject;
mod ways;

use std::fs;

use tests::{statistics::median, workspace};

use subject::{Run, Subject};
use ways::{WAYS, Way};

/// Runs of a way, or why there is none.
type Runs = Result<Vec<Run>, String>;

const MIB: f64 = 1024.0 * 1024.0;

/// Prints a table for each program.
pub(crate) fn print(rounds: usize) {
    let packages = fs::read_to_string(workspace().join("target/peers/ready")).unwrap_or_default();
    println!("CPython 3.11.2; {packages}; {rounds} rounds.\n");
    for program in subject::PROGRAMS {
        let subject = Subject::new(program);
        let mut runs: Vec<Runs> = WAYS.iter().map(|_| Ok(Vec::new())).collect();
        for round in 0..rounds {
            // Each round begins with another way.
            for turn in 0..WAYS.len() {
                let at = (turn + round) % WAYS.len();
                eprintln!("{}, round {} of {rounds}: {}", program.name, round + 1, WAYS[at].name);
                if let Ok(known) = &mut runs[at] {
                    match subject.run(&WAYS[at]) {
                        Ok(run) => known.push(run),
                        Err(reason) => runs[at] = Err(reason),
                    }
                }
            }
        }
        table(&subject, &runs);
    }
}

fn table(subject: &Subject, runs: &[Runs]) {
    let Ok(untraced) = &runs[0] else { panic!("{} does not run: {:?}", subject.program.name, runs[0]) };
    println!(
        "`{}`: {} calls of Python functions in {:.3} s, {} of them of `{}`.\n",
        subject.program.name,
        subject.all_calls,
        median_of(untraced, |run| run.seconds),
        subject.calls,
        subject.function.split('@').next().unwrap_or_default(),
    );
    println!(
        "| Way | How it comes in | Time, of untraced | ns added per call | MiB added, program and tool | Counts | Log, MB | Bytes per event |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (way, runs) in WAYS.iter().zip(runs) {
        println!("{}", row(subject, way, runs, untraced));
    }
    println!();
    every_event(subject, runs, untraced);
}

fn row(subject: &Subject, way: &Way, runs: &Runs, untraced: &[Run]) -> String {
    let runs = match runs {
        Ok(runs) => runs,
        Err(reason) => {
            return format!("| {} | {} | did not run: {reason} | | | | | |", way.name, way.how.comes_in());
        }
    };
    let grown = median_of(runs, |run| run.peak_bytes) - median_of(untraced, |run| run.peak_bytes);
    let tool = median_of(runs, |run| run.tool_peak_bytes) / MIB;
    let tool = if tool > 0.0 { format!(" + {tool:.0}") } else { String::new() };
    let (log, events) = (median_of(runs, |run| run.log_bytes), median_of(runs, |run| run.events));
    let per_event = if log > 0.0 && events > 0.0 { format!("{:.1}", log / events) } else { String::new() };
    let log = if log > 0.0 { format!("{:.2}", log / 1e6) } else { String::new() };
    format!(
        "| {} | {} | {:.2} | {:.0} | {:.0}{tool} | {} | {log} | {per_event} |",
        way.name,
        way.how.comes_in(),
        slowdown(runs, untraced),
        added_ns(subject, runs, untraced),
        grown.max(0.0) / MIB,
        counts(subject, runs),
    )
}

/// The interpreter's own count is the measure.
fn counts(subject: &Subject, runs: &[Run]) -> String {
    match runs.iter().map(|run| run.calls).collect::<Option<Vec<_>>>() {
        None => "none".into(),
        Some(counts) => match counts.iter().find(|&&calls| calls != subject.calls) {
            None => "exact".into(),
            Some(calls) => format!("{calls} of {}", subject.calls),
        },
    }
}

/// What a call costs pytracer and pymemtrace when each event is computed and logged.
fn every_event(subject: &Subject, runs: &[Runs], untraced: &[Run]) {
    let added = |name: &str| {
        let at = WAYS.iter().position(|way| way.name == name)?;
        runs[at].as_ref().ok().map(|runs| added_ns(subject, runs, untraced))
    };
    if let (Some(ours), Some(theirs)) = (added(ways::EVERY_EVENT), added(ways::EVERY_EVENT_OF_PYMEMTRACE)) {
        println!(
            "Every event computed and logged: {theirs:.0} ns per call with pymemtrace, {ours:.0} ns with pytracer, {:.1} times less.\n",
            theirs / ours
        );
    }
}

/// By rounds: ratios within one only.
fn slowdown(runs: &[Run], untraced: &[Run]) -> f64 {
    median(
        &runs.iter().zip(untraced).map(|(run, untraced)| run.seconds / untraced.seconds).collect::<Vec<_>>(),
    )
}

fn added_ns(subject: &Subject, runs: &[Run], untraced: &[Run]) -> f64 {
    let added = runs.iter().zip(untraced).map(|(run, untraced)| run.seconds - untraced.seconds);
    median(&added.collect::<Vec<_>>()) * 1e9 / subject.all_calls as f64
}

fn median_of(runs: &[Run], value: fn(&Run) -> f64) -> f64 {
    median(&runs.iter().map(value).collect::<Vec<_>>())
}
