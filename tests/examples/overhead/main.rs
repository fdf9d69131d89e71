//! What tracing costs a program that does nothing but call: `cargo xtask bench` runs this as root.
//!
//! One process per interpreter, many rounds: in each, the same loop runs untraced, with empty programs at the sites of
//! pytracer's plan, under pytracer, and under a bpftrace script that adds up the same. The machine's noise hits all of
//! them alike, and only ratios within a round are looked at. Last, one long run at full speed: what is lost, and how
//! much of a processor pytracer itself takes.
//!
//! Usage: `overhead [--rounds N] [--calls N] [--seconds N]`

mod bpftrace;
mod endurance;
mod mode;
mod statistics;

use std::process::ExitCode;

use mode::{Mode, Subject};
use statistics::{median, ratio};
use tests::Python;

struct Options {
    rounds: usize,
    calls: u64,
    seconds: u64,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("usage: overhead [--rounds N] [--calls N] [--seconds N]");
        return ExitCode::from(2);
    };
    for python in Python::REPRESENTATIVE {
        costs(python, &options);
    }
    println!("At full speed, {} s with the default ring buffer:\n", options.seconds);
    println!("| CPython | calls | lost | pytracer's processor time | events/s |");
    println!("|---|---|---|---|---|");
    for python in Python::REPRESENTATIVE {
        println!("{}", endurance::run(python, options.seconds));
    }
    ExitCode::SUCCESS
}

fn options() -> Option<Options> {
    let mut options = Options { rounds: 7, calls: 300_000, seconds: 30 };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next()?.parse().ok()?;
        match name.as_str() {
            "--rounds" => options.rounds = usize::try_from(value).ok()?,
            "--calls" => options.calls = value,
            "--seconds" => options.seconds = value,
            _ => return None,
        }
    }
    Some(options)
}

/// Prints the costs per call under one interpreter.
fn costs(python: Python, options: &Options) {
    let mut subject = Subject::start(python, options.rounds, options.calls);
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        eprintln!("CPython {}, round {} of {}", python.version(), round + 1, options.rounds);
        let mut costs = [0.0; Mode::ALL.len()];
        // Each round begins with another mode: what one leaves behind does not always hit the same next one.
        for turn in 0..Mode::ALL.len() {
            let mode = (turn + round) % Mode::ALL.len();
            costs[mode] = subject.call_ns(Mode::ALL[mode]);
        }
        rounds.push(costs);
    }
    subject.end();
    let [untraced, empty] = [Mode::Untraced as usize, Mode::Empty as usize];
    println!("CPython {}, {} calls a round, {} rounds:\n", python.version(), options.calls, options.rounds);
    println!("| | ns per call | added | of the empty programs | of the empty programs, least and most |");
    println!("|---|---|---|---|---|");
    for mode in Mode::ALL {
        let of = |column: usize| {
            rounds.iter().map(move |round| round[column] - round[untraced]).collect::<Vec<_>>()
        };
        let ratios = ratio(&of(mode as usize), &of(empty));
        let total = median(&rounds.iter().map(|round| round[mode as usize]).collect::<Vec<_>>());
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (added, ratio) = (median(&of(mode as usize)), median(&ratios));
        println!("| {} | {total:.0} | {added:.0} | {ratio:.2} | {least:.2} - {most:.2} |", mode.name());
    }
    println!();
}
