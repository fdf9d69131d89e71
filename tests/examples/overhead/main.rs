//! What tracing costs a program that does nothing but call, or go on with a generator: `cargo xtask bench` runs this as root.
//!
//! One process per interpreter, many rounds: in each, the same loop runs untraced, with empty programs at the sites of
//! pytracer's plan, under pytracer, and under a bpftrace script that adds up the same. The machine's noise hits all of
//! them alike, and only ratios within a round are looked at. Last, one long run at full speed: what is lost, and how
//! much of a processor pytracer itself takes.
//!
//! Usage: `overhead [--rounds N] [--calls N] [--seconds N | --builds]`; with `--builds` every build of the table is
//! measured, but for bpftrace and the long run, and printed as JSON. `overhead --logs [--rounds N] [--lines N]`: what
//! the event log costs instead, by what is kept in it. `overhead --peers [--rounds N]`: other tools beside pytracer.

mod bpftrace;
mod builds;
mod endurance;
mod logs;
mod mode;
mod peers;
mod rounds;

use std::process::ExitCode;

use mode::{Mode, Work};
use rounds::Rounds;
use tests::{Python, statistics::median};

/// The interpreters whose costs are looked at closely.
const MEASURED: [Python; 4] = [Python::DEBIAN_3_11, Python::SHARED_3_12, Python::SID_3_14, Python::SID_3_15];

struct Options {
    rounds: usize,
    calls: u64,
    seconds: u64,
    lines: u64,
    builds: bool,
    logs: bool,
    peers: bool,
}

const USAGE: &str = "usage: overhead [--rounds N] [--calls N] [--seconds N | --builds], overhead --logs [--rounds N] [--lines N], or overhead --peers [--rounds N]";

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if options.builds {
        builds::print(options.rounds, options.calls);
        return ExitCode::SUCCESS;
    }
    if options.logs {
        logs::print(Python::DEBIAN_3_11, options.rounds, options.lines);
        return ExitCode::SUCCESS;
    }
    if options.peers {
        peers::print(options.rounds);
        return ExitCode::SUCCESS;
    }
    for python in MEASURED {
        if let Err(why) = python.locate() {
            println!("CPython {} is not measured: {why}\n", python.version());
            continue;
        }
        costs(python, Work::Calls, &Mode::ALL, &options);
        costs(python, Work::Steps, &Mode::OF_STEPS, &options);
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
    let mut options = Options {
        rounds: 7,
        calls: 300_000,
        seconds: 30,
        lines: 20_000,
        builds: false,
        logs: false,
        peers: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next()?.parse().ok();
        match name.as_str() {
            "--rounds" => options.rounds = usize::try_from(value()?).ok()?,
            "--calls" => options.calls = value()?,
            "--seconds" => options.seconds = value()?,
            "--lines" => options.lines = value()?,
            "--logs" => options.logs = true,
            "--peers" => options.peers = true,
            "--builds" => options.builds = true,
            _ => return None,
        }
    }
    Some(options)
}

/// Prints the costs of a call or step under one interpreter.
fn costs(python: Python, work: Work, modes: &[Mode], options: &Options) {
    let rounds = Rounds::run(python, work, modes, options.rounds, options.calls);
    let (version, each) = (python.version(), work.name());
    println!("CPython {version}, {} times a {each} in each of {} rounds:\n", options.calls, options.rounds);
    println!(
        "| | ns per {each} | added | of empty programs (uprobe-multi) | least and most | of empty programs (perf events) |"
    );
    println!("|---|---|---|---|---|---|");
    for &mode in modes {
        let ratios = rounds.ratios(mode, Mode::Empty);
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (total, added, ratio) = (rounds.total(mode), rounds.added(mode), median(&ratios));
        let of_perf = median(&rounds.ratios(mode, Mode::EmptyPerf));
        println!(
            "| {} | {total:.0} | {added:.0} | {ratio:.2} | {least:.2} - {most:.2} | {of_perf:.2} |",
            mode.name()
        );
    }
    println!();
}
