//! The command line: what the user typed, made into what the program needs.

pub mod doctor;
pub mod ps;
pub mod record;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What `pytracer` was asked to do.
#[derive(Debug, Parser)]
#[command(
    name = "pytracer",
    version,
    about = "Trace running CPython processes from outside: exact calls, time and memory per function",
    after_help = "Examples:
  pytracer ps                                   Python processes, and how each can be traced
  pytracer record -p 4242 --duration 10s        attach to a running process, then print the report
  pytracer record -p 4242 -o rec                keep the event log as well
  pytracer record -o rec -- python3 app.py      trace a command from its first function
  pytracer report rec --sort rss                the report of a recording, by memory
  pytracer doctor                               what this machine lacks, and how to mend it

Exit status: 0 done; 1 it could not be done, or not fully; 2 wrong usage; 3 events were lost (--fail-on-loss).
`record -- COMMAND` exits with the command's own status."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Say more; twice: also what the kernel programs log
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Trace processes and report where their time and memory go
    Record(record::Arguments),
}

/// Runs the program. Errors are one line on standard error.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let level = match arguments.verbose {
        0 => log::LevelFilter::Warn,
        1 => log::LevelFilter::Info,
        _ => log::LevelFilter::Debug,
    };
    env_logger::Builder::new().filter_level(level).parse_default_env().init();
    let result = match arguments.command {
        Command::Record(arguments) => arguments.run(),
    };
    match result {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pytracer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whoever read our output has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}
