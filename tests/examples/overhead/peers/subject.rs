//! A program that is run in many ways: `tests/programs/compared.py` under Debian's CPython 3.11, in the environment that
//! has the other tools.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;
use tests::{Python, Target, Tracer, program, program::Known, real_programs, scratch, signal, workspace};
use tracer::python;

use super::ways::{How, Way};
use crate::{bpftrace::Bpftrace, logs::size};

/// A program of `compared.py`.
#[derive(Clone, Copy)]
pub(super) struct Program {
    pub(super) name: &'static str,
    /// How much it does; by the slowest tool that is some seconds to a minute.
    size: u64,
    /// How many times that it does under what adds little: some seconds.
    times: u64,
}

pub(super) const PROGRAMS: [Program; 3] = [
    Program { name: "calls", size: 30_000, times: 4_000 },
    Program { name: "web", size: 300, times: 100 },
    Program { name: "richards", size: 1, times: 60 },
];

/// The same, and what the interpreter counts of it.
pub(super) struct Subject {
    pub(super) program: Program,
    /// The function that is called most often: `name@file:line`.
    pub(super) function: String,
    /// How often.
    pub(super) calls: u64,
    /// How often all functions together are called or resumed.
    pub(super) all_calls: u64,
}

/// One run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run {
    pub(super) seconds: f64,
    /// The most resident memory that the program had.
    pub(super) peak_bytes: f64,
    /// The same of a tool that is a process of its own.
    pub(super) tool_peak_bytes: f64,
    /// Calls of the function, as the tool says.
    pub(super) calls: Option<u64>,
    pub(super) log_bytes: f64,
    /// Events in that.
    pub(super) events: f64,
}

impl Run {
    /// Of what the program tells, which has done so many times as much.
    fn of(known: &Known, times: u64) -> Self {
        Self {
            seconds: known.total_ns as f64 / 1e9 / times as f64,
            peak_bytes: known.rss_end_bytes as f64,
            calls: (known.all_calls > 0).then_some(known.calls),
            events: known.events as f64,
            ..Self::default()
        }
    }
}

impl Subject {
    pub(super) fn new(program: Program) -> Self {
        let mut subject = Self { program, function: String::new(), calls: 0, all_calls: 0 };
        let counted = subject.inside("count", 1, &mut peer("python"));
        let (known, _) = counted.unwrap_or_else(|reason| panic!("{} does not run: {reason}", program.name));
        (subject.function, subject.calls, subject.all_calls) = (known.function, known.calls, known.all_calls);
        subject
    }

    /// Runs it in one of the ways.
    pub(super) fn run(&self, &Way { how, light, .. }: &Way) -> Result<Run, String> {
        let times = if light { self.program.times } else { 1 };
        match how {
            How::Inside(tool) => {
                let (known, log_bytes) = self.inside(tool, times, &mut peer("python"))?;
                Ok(Run { log_bytes, ..Run::of(&known, times) })
            }
            How::Scalene => {
                let folder = scratch();
                let mut scalene = peer("scalene");
                scalene.args(["run", "--outfile"]).arg(folder.path().join("profile.json"));
                let (known, _) = self.inside("nothing", times, &mut scalene)?;
                Ok(Run { log_bytes: size(folder.path()) as f64, ..Run::of(&known, times) })
            }
            How::Pytracer(options) => self.under_pytracer(options, times, false),
            How::PytracerWithLog(options) => self.under_pytracer(options, times, true),
            How::PySpy => self.under_py_spy(times),
            How::Bpftrace => Ok(self.under_bpftrace(times)),
        }
    }

    /// To its end at once, as arguments of a command. Returns what it knows, and the size of what the tool wrote.
    fn inside(&self, tool: &str, times: u64, command: &mut Command) -> Result<(Known, f64), String> {
        let folder = scratch();
        self.arguments(command, tool, folder.path(), times).arg("--at-once");
        let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let known = stdout.lines().find_map(|line| serde_json::from_str(line.strip_prefix("known ")?).ok());
        let said = || String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned();
        Ok((known.ok_or_else(said)?, size(folder.path()) as f64))
    }

    fn arguments<'a>(
        &self,
        command: &'a mut Command,
        tool: &str,
        folder: &Path,
        times: u64,
    ) -> &'a mut Command {
        let Program { name, size, .. } = self.program;
        command.env("PYTHONPATH", real_programs()).arg(program("compared.py")).args([name, tool]);
        command.arg(folder).arg(&self.function).args(["--", "--size", &(size * times).to_string()])
    }

    /// Started, and waiting for whatever attaches.
    fn target(&self, times: u64) -> Target {
        let mut python = peer("python");
        Target::spawn(self.arguments(&mut python, "nothing", Path::new("/"), times))
    }

    fn under_pytracer(&self, options: &[&str], times: u64, with_log: bool) -> Result<Run, String> {
        let mut target = self.target(times);
        let folder = scratch();
        let log = folder.path().join("log");
        let path = log.display().to_string();
        let mut arguments = options.to_vec();
        if with_log {
            arguments.extend(["-o", &path]);
        }
        let tracer = Tracer::attach(&[&target], &arguments);
        let known = work(&mut target);
        let tool_peak_bytes = peak_bytes(tracer.pid());
        let outcome = tracer.interrupt();
        target.end();
        // Samples have no counts: not all keys are in every report.
        let report: Value = serde_json::from_str(&outcome.stdout).map_err(|_| outcome.stderr.clone())?;
        let events = |key: &str| report["account"][key].as_u64().unwrap_or(0);
        if !outcome.status.success() || events("lost") > 0 {
            return Err(format!("{}, {} events lost", outcome.status, events("lost")));
        }
        let rows =
            report["functions"].as_array().into_iter().flatten().filter(|row| self.is_of_function(row));
        let calls = rows.flat_map(|row| [&row["calls"], &row["resumes"]]).filter_map(Value::as_u64).sum();
        Ok(Run {
            tool_peak_bytes,
            calls: Some(calls).filter(|&calls| calls > 0),
            log_bytes: size(&log) as f64,
            events: events("events") as f64,
            ..Run::of(&known, times)
        })
    }

    /// Is a row of pytracer's report of the function that is counted?
    fn is_of_function(&self, row: &Value) -> bool {
        let text = |key: &str| row[key].as_str().unwrap_or_default();
        let name = text("function").rsplit('.').next().unwrap_or_default();
        let file = Path::new(text("file")).file_name().unwrap_or_default().display();
        format!("{name}@{file}:{}", row["line"]) == self.function
    }

    fn under_bpftrace(&self, times: u64) -> Run {
        let interpreter = Python::DEBIAN_3_11.image();
        let plan = python::plan(&interpreter);
        let plan = plan.unwrap_or_else(|error| panic!("plan CPython: {error}"));
        let mut target = self.target(times);
        let bpftrace = Bpftrace::attach(&plan, &interpreter, target.pid());
        let known = work(&mut target);
        let tool_peak_bytes = peak_bytes(bpftrace.pid());
        let calls = bpftrace.end();
        target.end();
        Run { tool_peak_bytes, calls: Some(calls), ..Run::of(&known, times) }
    }

    fn under_py_spy(&self, times: u64) -> Result<Run, String> {
        let mut target = self.target(times);
        let folder = scratch();
        let mut py_spy = peer("py-spy");
        py_spy.args(["record", "--format", "raw", "--pid", &target.pid().to_string(), "--output"]);
        py_spy
            .arg(folder.path().join("stacks.txt"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut py_spy = py_spy.spawn().map_err(|error| error.to_string())?;
        wait_for_samples(&mut py_spy)?;
        let known = work(&mut target);
        let tool_peak_bytes = peak_bytes(py_spy.id());
        signal(py_spy.id(), Signal::INT);
        let status = py_spy.wait().map_err(|error| error.to_string())?;
        target.end();
        if !status.success() {
            return Err(format!("it ended with {status}"));
        }
        Ok(Run { tool_peak_bytes, log_bytes: size(folder.path()) as f64, ..Run::of(&known, times) })
    }
}

/// It says that it samples before it has looked at the program: a moment is given it.
fn wait_for_samples(py_spy: &mut Child) -> Result<(), String> {
    std::thread::sleep(Duration::from_secs(1));
    match py_spy.try_wait() {
        Ok(None) => Ok(()),
        Ok(Some(status)) => Err(format!("it ended with {status}")),
        Err(error) => Err(error.to_string()),
    }
}

fn work(target: &mut Target) -> Known {
    target.work().pop().expect("the program tells its time")
}

/// A program of the environment that has the other tools.
fn peer(name: &str) -> Command {
    let path: PathBuf = workspace().join("target/peers/bin").join(name);
    assert!(path.exists(), "{} is missing: run `cargo xtask bench --peers`", path.display());
    Command::new(path)
}

/// The most resident memory that a process has had.
fn peak_bytes(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    peak.unwrap_or(0.0) * 1024.0
}
