//! What tracing costs: the program is `tests/examples/overhead`, built as the user and run as root. What writing the event
//! log takes by itself is told by `tracer/examples/log_writer.rs`.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::{
    build,
    command::{cargo, run},
    privilege, setup, workspace,
};

#[derive(Args)]
pub(crate) struct Options {
    /// Rounds per interpreter; each runs the loop in every way once. With --budget: turns per program
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Calls per run of the loop
    #[arg(long, default_value_t = 300_000)]
    calls: u32,
    /// Length of the run at full speed, and of each turn with --budget
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Measure the event log instead: time and size, by what is kept in it
    #[arg(long, conflicts_with_all = ["calls", "seconds"])]
    log: bool,
    /// With --log: lines of text that the program reads, 40 calls each
    #[arg(long, default_value_t = 20_000, requires = "log")]
    lines: u32,
    /// Measure other tools beside pytracer instead: time, memory, counts, size of logs
    #[arg(long, conflicts_with_all = ["calls", "seconds", "log"])]
    peers: bool,
    /// Measure whether a budget of 5 % is kept instead, and how near is what it tells
    #[arg(long, conflicts_with_all = ["calls", "log", "peers"])]
    budget: bool,
}

/// Measures and prints the tables.
pub(crate) fn measure(options: &Options) -> Result<()> {
    if options.log {
        setup::bench_of_log()?;
    } else if options.peers {
        setup::bench_of_peers()?;
    } else if options.budget {
        setup::bench_of_budget()?;
    } else {
        setup::bench()?;
    }
    build::release()?;
    if options.budget {
        return example("budget", &[("--turns", options.rounds), ("--seconds", options.seconds)], &[]);
    }
    let rounds = ("--rounds", options.rounds);
    if options.log {
        run(cargo().args(["build", "--release", "--package", "tracer", "--example", "log_writer"]))?;
        run(&mut Command::new(workspace::target("release/examples/log_writer")))?;
        example("overhead", &[rounds, ("--lines", options.lines)], &["--logs"])
    } else if options.peers {
        example("overhead", &[rounds], &["--peers"])
    } else {
        example("overhead", &[rounds, ("--calls", options.calls), ("--seconds", options.seconds)], &[])
    }
}

/// Builds an example of the tests and runs it as root.
fn example(name: &str, numbers: &[(&str, u32)], flags: &[&str]) -> Result<()> {
    run(cargo().args(["build", "--release", "--package", "tests", "--example", name]))?;
    let mut command = privilege::root(workspace::target(&format!("release/examples/{name}")))?;
    command.args(flags);
    for (name, value) in numbers {
        command.arg(name).arg(value.to_string());
    }
    run(&mut command)
}
