//! Is a budget kept, and what is told within it? `cargo xtask bench --budget` runs this as root.
//!
//! Each program runs all the time and tells what its pieces of work take of the processor's time. In turns it is left alone
//! and traced with `--max-overhead`: the ratio is what tracing has cost. What the report says is compared with samples
//! that are taken many times as often, and with a trace of all calls.
//!
//! Usage: `budget [--share PERCENT] [--seconds N] [--turns N] [--windows N] [--only PROGRAM|service|stalls]`

mod accuracy;
mod program;
mod service;
mod stalls;

use std::process::ExitCode;

use accuracy::Accuracy;
use program::Program;
use tests::Python;

/// What is measured, and how long.
pub(crate) struct Options {
    /// The budget in percent.
    share: f64,
    /// Length of a turn.
    seconds: u64,
    /// Turns traced, each between two that are not.
    turns: usize,
    /// Windows opened on four busy threads.
    windows: u64,
    /// One program alone, or `service`, or `stalls`.
    only: Option<String>,
}

const USAGE: &str =
    "usage: budget [--share PERCENT] [--seconds N] [--turns N] [--windows N] [--only PROGRAM|service|stalls]";

/// Programs, from one that does nothing but call on.
const PROGRAMS: [&str; 9] =
    ["calls", "deltablue", "richards", "raytrace", "hexiom", "go", "phases", "pyflate", "web"];

/// The other parts.
const SERVICE: &str = "service";
const STALLS: &str = "stalls";

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let python = Python::DEBIAN_3_11;
    println!(
        "CPython {}, a budget of {} %, {} turns of {} s:\n",
        python.version(),
        options.share,
        options.turns,
        options.seconds
    );
    println!(
        "| program | cost | the same without a tracer | believed | observed | time, largest error (all) | calls, largest error (all) | time in a report of all calls | samples of before and after it |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let is_asked_for = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    for name in PROGRAMS.into_iter().filter(|name| is_asked_for(name)) {
        let program = Program::start(python, name);
        let turns = program.turns(&options);
        let accuracy = Accuracy::of(&program, &turns);
        println!("| {name} | {turns} | {accuracy} |");
    }
    if is_asked_for(SERVICE) {
        println!("| Flask under gunicorn and wrk | {} | | | | |", service::turns(python, &options));
    }
    if is_asked_for(STALLS) {
        println!("\n{}", stalls::of_clock(python, &options));
        println!("{}", stalls::of_threads(python, &options));
    }
    ExitCode::SUCCESS
}

fn options() -> Option<Options> {
    let mut options = Options { share: 5.0, seconds: 10, turns: 6, windows: 10_000, only: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next();
        match name.as_str() {
            "--share" => options.share = value()?.parse().ok()?,
            "--seconds" => options.seconds = value()?.parse().ok()?,
            "--turns" => options.turns = value()?.parse().ok()?,
            "--windows" => options.windows = value()?.parse().ok()?,
            "--only" => options.only = Some(value()?),
            _ => return None,
        }
    }
    Some(options)
}
