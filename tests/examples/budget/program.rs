//! A program that does the same again and again, in turns left alone and traced.

use std::{
    fmt,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::Value;
use tests::{
    Python,
    program::Known,
    real_programs,
    statistics::{interquartile_mean, interval_of_median, median},
    tracer,
};

use crate::Options;

/// What the start of a recording takes, and its end: pieces of that time are left out.
const SETTLE: Duration = Duration::from_millis(1500);

/// A running program.
pub(crate) struct Program {
    child: Child,
    told: Receiver<Known>,
}

/// What turns came to.
pub(crate) struct Turns {
    /// What each traced turn has cost, as a share of the time of those before and after it.
    pub(crate) costs: Vec<f64>,
    /// The same of turns that were not traced: what the machine does by itself.
    pub(crate) noise: Vec<f64>,
    /// The report of each.
    pub(crate) reports: Vec<Value>,
}

impl Program {
    /// Starts one of the functions of `units.py`.
    pub(crate) fn start(python: Python, name: &str) -> Self {
        let mut command = python.command();
        command.env("PYTHONPATH", real_programs()).arg(tests::program("units.py")).args([name, "--"]);
        Self::spawn(&mut command)
    }

    /// Starts a program that waits for a word, and then tells of itself all the time.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start the program");
        let mut lines = BufReader::new(child.stdout.take().expect("its output is a pipe")).lines();
        lines.next().expect("it says that it is ready").expect("read what it says");
        writeln!(child.stdin.as_mut().expect("its input is a pipe"), "go").expect("tell it to go");
        let (tell, told) = channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let known = line.strip_prefix("known ").map(serde_json::from_str);
                let Some(known) = known else { continue };
                if tell.send(known.expect("what it knows is JSON")).is_err() {
                    return;
                }
            }
        });
        Self { child, told }
    }

    /// Its PID.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has told since the last call.
    pub(crate) fn told(&self) -> Vec<Known> {
        self.told.try_iter().collect()
    }

    /// Turns with and without a tracer.
    pub(crate) fn turns(&self, options: &Options) -> Turns {
        // Nanoseconds of the processor's time for a piece of work, each time that it told.
        let pieces_ns = || {
            self.told();
            thread::sleep(Duration::from_secs(options.seconds));
            let told = self.told().into_iter().map(|known| known.cpu_ns[0] as f64 / known.calls as f64);
            told.collect()
        };
        Turns::take(options, &["-p".to_owned(), self.pid().to_string()], pieces_ns)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().expect("end the program");
        self.child.wait().expect("wait for the program");
    }
}

/// The report of a recording of one process.
pub(crate) fn record(pid: u32, length: Duration, arguments: &[&str]) -> Value {
    let target = ["-p".to_owned(), pid.to_string()];
    recorded(length, &[&target[..], &arguments.iter().map(ToString::to_string).collect::<Vec<_>>()].concat())
}

/// The report of a recording.
fn recorded(length: Duration, arguments: &[String]) -> Value {
    let length = format!("{}ms", length.as_millis());
    let fixed = ["record", "--json", "--duration", &length];
    let output = tracer::run(fixed.into_iter().chain(arguments.iter().map(String::as_str)));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a report is JSON")
}

impl Turns {
    /// Lets a program alone and traces it by turns. `measure` takes a turn's seconds and says what pieces of work took then.
    pub(crate) fn take(options: &Options, targets: &[String], measure: impl Fn() -> Vec<f64>) -> Self {
        let turn = || {
            thread::sleep(SETTLE);
            interquartile_mean(&measure())
        };
        let budget = ["--max-overhead".to_owned(), format!("{}%", options.share)];
        let arguments = [targets, &budget].concat();
        let length = Duration::from_secs(options.seconds) + 2 * SETTLE;
        let (mut alone, mut traced, mut reports) = (vec![turn()], Vec::new(), Vec::new());
        for _ in 0..options.turns {
            let arguments = arguments.clone();
            let recording = thread::spawn(move || recorded(length, &arguments));
            traced.push(turn());
            reports.push(recording.join().expect("the recording ends"));
            alone.push(turn());
        }
        let more = |took: f64, before: f64, after: f64| took / f64::midpoint(before, after) - 1.0;
        let costs = traced.iter().zip(alone.windows(2)).map(|(&took, alone)| more(took, alone[0], alone[1]));
        let noise = alone.windows(3).map(|alone| more(alone[1], alone[0], alone[2]));
        Self { costs: costs.collect(), noise: noise.collect(), reports }
    }

    /// The median of a number of the account on windows, in percent.
    fn windowing(&self, key: &str) -> f64 {
        let value = |report: &Value| report["account"]["windowing"][key].as_f64();
        100.0 * median(&self.reports.iter().filter_map(value).collect::<Vec<_>>())
    }
}

impl fmt::Display for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cost, noise) = (percent(&self.costs), percent(&self.noise));
        let (believed, observed) = (self.windowing("believed_overhead"), self.windowing("observed"));
        write!(f, "{cost} | {noise} | {believed:.1} % | {observed:.1} %")
    }
}

/// The median of some shares, and the interval that holds it.
fn percent(shares: &[f64]) -> String {
    let percent: Vec<f64> = shares.iter().map(|share| 100.0 * share).collect();
    let (least, most) = interval_of_median(&percent);
    format!("{:.1} % ({least:.1} to {most:.1})", median(&percent))
}
