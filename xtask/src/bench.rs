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
    /// Rounds per interpreter; each runs the loop in every way once
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Calls per run of the loop
    #[arg(long, default_value_t = 300_000)]
    calls: u32,
    /// Length of the run at full speed
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
}

/// Measures and prints the tables.
pub(crate) fn measure(options: &Options) -> Result<()> {
    if options.log {
        setup::bench_of_log()?;
    } else if options.peers {
        setup::bench_of_peers()?;
    } else {
        setup::bench()?;
    }
    build::release()?;
    run(cargo().args(["build", "--release", "--package", "tests", "--example", "overhead"]))?;
    let mut overhead = privilege::root(workspace::target("release/examples/overhead"))?;
    let sizes: &[(&str, u32)] = if options.log {
        run(cargo().args(["build", "--release", "--package", "tracer", "--example", "log_writer"]))?;
        run(&mut Command::new(workspace::target("release/examples/log_writer")))?;
        overhead.arg("--logs");
        &[("--lines", options.lines)]
    } else if options.peers {
        overhead.arg("--peers");
        &[]
    } else {
        &[("--calls", options.calls), ("--seconds", options.seconds)]
    };
    for (name, value) in [("--rounds", options.rounds)].iter().chain(sizes) {
        overhead.arg(name).arg(value.to_string());
    }
    run(&mut overhead)
}
