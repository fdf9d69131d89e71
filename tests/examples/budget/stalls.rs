//! What putting probes in place and taking them away does to a process.

use std::{thread, time::Duration};

use tests::{Python, Target};

use crate::{
    Options,
    program::{Program, record},
};

/// Seconds for which gaps are collected.
const GAPS_SECONDS: u64 = 5;

/// Gaps of a program that reads the clock all the time, left alone and with windows as fast as they come.
pub(crate) fn of_clock(python: Python, options: &Options) -> String {
    let mut command = python.command();
    command.arg(tests::program("gaps.py")).arg(GAPS_SECONDS.to_string()).arg("--");
    let program = Program::spawn(&mut command);
    let length = Duration::from_secs(GAPS_SECONDS * (options.turns as u64 + 1));
    let gaps = |told: Vec<tests::program::Known>| {
        let longest = told.iter().map(|known| known.longest_ns[0]).max().unwrap_or(0);
        let count: u64 = told.iter().map(|known| known.calls).sum();
        let seconds = (told.len() as u64 * GAPS_SECONDS) as f64;
        (longest as f64 / 1000.0, count as f64 / seconds)
    };
    thread::sleep(length);
    let alone = gaps(program.told());
    let pid = program.pid();
    let recording = thread::spawn(move || record(pid, length, &["--max-overhead", "100%"]));
    thread::sleep(Duration::from_secs(GAPS_SECONDS + 1));
    program.told();
    let report = recording.join().expect("the recording ends");
    let traced = gaps(program.told());
    let windows = &report["account"]["windowing"]["windows"];
    format!(
        "A program that reads the clock all the time, gaps above 20 us: left alone {:.0} a second, the longest {:.0} us; with {windows} windows in {} s {:.0} a second, the longest {:.0} us.",
        alone.1,
        alone.0,
        length.as_secs(),
        traced.1,
        traced.0,
    )
}

/// Windows on four threads with recursion, exceptions and generators, which check what they get.
pub(crate) fn of_threads(python: Python, options: &Options) -> String {
    let mut target = Target::start(python, "busy_threads.py", &["--rounds", "1000000"]);
    target.work();
    let mut windows = 0;
    while windows < options.windows {
        let report = record(target.pid(), Duration::from_secs(20), &["--max-overhead", "100%"]);
        windows += report["account"]["windowing"]["windows"].as_u64().expect("windows were opened");
    }
    let alive: u64 = target.work().iter().map(|known| known.calls).sum();
    target.kill();
    format!("Four busy threads, {windows} windows: {alive} threads run on and found every result right.")
}
