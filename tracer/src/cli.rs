//! The command line: what the user typed, made into what the program needs.

mod diff;
pub mod doctor;
pub mod export;
mod output;
mod part;
pub mod ps;
pub mod record;
pub mod report;
mod select;
mod values;
mod view;

use std::{io::stdout, process::ExitCode};

use clap::{Parser, Subcommand};
use log::LevelFilter;

use crate::{
    privileges::{self, Need},
    text::one_line,
};

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
  pytracer diff before after                    what changed between two recordings
  pytracer report rec --view tree               what called what; --view latency, leaks, tasks, and others
  pytracer export rec -f collapsed -o out.txt   the recording in a format of another tool
  pytracer doctor                               what this machine lacks, and how to mend it

Exit status: 0 done; 1 it could not be done, or not fully; 2 wrong usage; 3 events were lost (--fail-on-loss);
4 the recording was ended early (--stop-at-cost, --stop-at-rate, --stop-at-loss).
`record -- COMMAND` exits with the command's own status."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Say more, also what the kernel programs note; twice: also the libraries
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the Python processes of this machine, and how each can be traced
    Ps(ps::Arguments),
    /// Trace processes and report where their time and memory go
    Record(Box<record::Arguments>),
    /// Show the report of a recording
    Report(report::Arguments),
    /// Compare two recordings, function by function
    Diff(diff::Arguments),
    /// Write a recording in a format of another tool
    Export(export::Arguments),
    /// Check what this machine needs for tracing, and say how to mend what it lacks
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    /// Does it do nothing but to read what was recorded, and to write files?
    fn reads_recordings(&self) -> bool {
        matches!(self, Self::Report(_) | Self::Diff(_) | Self::Export(_))
    }
}

/// Runs the program. Errors are one line on standard error.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging(arguments.verbose);
    if arguments.command.reads_recordings() {
        privileges::keep_only(Need::Files);
    }
    let result = match arguments.command {
        Command::Ps(arguments) => arguments.run(&mut stdout()).map(|()| ExitCode::SUCCESS),
        Command::Record(arguments) => arguments.run(),
        Command::Report(arguments) => arguments.run(),
        Command::Diff(arguments) => arguments.run(),
        Command::Export(arguments) => arguments.run(),
        Command::Doctor { json } => doctor::run(json, &mut stdout())
            .map(|passed| if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
    };
    match result {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pytracer: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// Warnings always; with `-v` what we and the kernel programs note, with `-vv` what the libraries note too.
fn start_logging(verbose: u8) {
    let mut builder = env_logger::Builder::new();
    builder.filter_level(if verbose > 1 { LevelFilter::Debug } else { LevelFilter::Warn });
    if verbose == 1 {
        builder.filter_module("tracer", LevelFilter::Debug).filter_module("tracer_ebpf", LevelFilter::Debug);
    }
    builder.parse_default_env().init();
}

/// Whoever read our output has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    // Errors of the JSON library hold those of the output, and don't tell of them as their cause.
    let kind = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref::<serde_json::Error>() {
        Some(error) => error.io_error_kind(),
        None => cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind),
    };
    error.chain().filter_map(kind).any(|kind| kind == std::io::ErrorKind::BrokenPipe)
}
