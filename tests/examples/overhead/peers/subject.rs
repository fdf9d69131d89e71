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
    size: &'static str,
}

pub(super) const PROGRAMS: [Program; 3] = [
    Program { name: "calls", size: "30000" },
    Program { name: "web", size: "300" },
    Program { name: "richards", size: "1" },
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
    /// Of what the program has told after each work.
    fn of(known: &[Known]) -> Self {
        let total_ns: u64 = known.iter().map(|work| work.total_ns).sum();
        let last = known.last().cloned().unwrap_or_default();
        Self {
            seconds: total_ns as f64 / 1e9 / known.len() as f64,
            peak_bytes: last.rss_end_bytes as f64,
            calls: (last.all_calls > 0).then_some(last.calls),
            events: last.events as f64,
            ..Self::default()
        }
    }
}

impl Subject {
    pub(super) fn new(program: Program) -> Self {
        let mut subject = Self { program, function: String::new(), calls: 0, all_calls: 0 };
        let counted = subject.inside("count", 1, &mut peer("python"));
        let (known, _) = counted.unwrap_or_else(|reason| panic!("{} does not run: {reason}", program.name));
        let known = known.into_iter().next().unwrap_or_default();
        (subject.function, subject.calls, subject.all_calls) = (known.function, known.calls, known.all_calls);
        subject
    }

    /// Runs it in one of the ways.
    pub(super) fn run(&self, &Way { how, works, .. }: &Way) -> Result<Run, String> {
        match how {
            How::Inside(tool) => {
                let (known, log_bytes) = self.inside(tool, works, &mut peer("python"))?;
                Ok(Run { log_bytes, ..Run::of(&known) })
            }
            How::Scalene => {
                let folder = scratch();
                let mut scalene = peer("scalene");
                scalene.args(["run", "--outfile"]).arg(folder.path().join("profile.json"));
                let (known, _) = self.inside("nothing", works, &mut scalene)?;
                Ok(Run { log_bytes: size(folder.path()) as f64, ..Run::of(&known) })
            }
            How::Pytracer(options) => self.under_pytracer(options, works, false),
            How::PytracerWithLog(options) => self.under_pytracer(options, works, true),
            How::PySpy => self.under_py_spy(works),
            How::Bpftrace => Ok(self.under_bpftrace(works)),
        }
    }

    /// To its end at once, as arguments of a command. Returns what it knows, and the size of what the tool wrote.
    fn inside(&self, tool: &str, works: u32, command: &mut Command) -> Result<(Vec<Known>, f64), String> {
        let folder = scratch();
        self.arguments(command, tool, folder.path(), works).arg("--at-once");
        let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let known = stdout.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("known ")?).ok());
        let known: Vec<Known> = known.collect();
        if known.len() < works as usize {
            return Err(String::from_utf8_lossy(&output.stderr)
                .lines()
                .last()
                .unwrap_or_default()
                .to_owned());
        }
        Ok((known, size(folder.path()) as f64))
    }

    fn arguments<'a>(
        &self,
        command: &'a mut Command,
        tool: &str,
        folder: &Path,
        works: u32,
    ) -> &'a mut Command {
        let Program { name, size } = self.program;
        command.env("PYTHONPATH", real_programs()).arg(program("compared.py")).args([name, tool]);
        command.arg(folder).arg(&self.function).args(["--", "--size", size, "--rounds", &works.to_string()])
    }

    /// Started, and waiting for whatever attaches.
    fn target(&self, works: u32) -> Target {
        let mut python = peer("python");
        Target::spawn(self.arguments(&mut python, "nothing", Path::new("/"), works))
    }

    fn under_pytracer(&self, options: &[&str], works: u32, with_log: bool) -> Result<Run, String> {
        let mut target = self.target(works);
        let folder = scratch();
        let log = folder.path().join("log");
        let path = log.display().to_string();
        let mut arguments = options.to_vec();
        if with_log {
            arguments.extend(["-o", &path]);
        }
        let tracer = Tracer::attach(&[&target], &arguments);
        let known = work(&mut target, works);
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
            ..Run::of(&known)
        })
    }

    /// Is a row of pytracer's report of the function that is counted?
    fn is_of_function(&self, row: &Value) -> bool {
        let text = |key: &str| row[key].as_str().unwrap_or_default();
        let name = text("function").rsplit('.').next().unwrap_or_default();
        let file = Path::new(text("file")).file_name().unwrap_or_default().display();
        format!("{name}@{file}:{}", row["line"]) == self.function
    }

    fn under_bpftrace(&self, works: u32) -> Run {
        let plan = python::plan(&Python::DEBIAN_3_11.image());
        let plan = plan.unwrap_or_else(|error| panic!("plan CPython: {error}"));
        let mut target = self.target(works);
        let bpftrace = Bpftrace::attach(&plan, target.pid());
        let known = work(&mut target, works);
        let tool_peak_bytes = peak_bytes(bpftrace.pid());
        let calls = bpftrace.end();
        target.end();
        Run { tool_peak_bytes, calls: Some(calls), ..Run::of(&known) }
    }

    fn under_py_spy(&self, works: u32) -> Result<Run, String> {
        let mut target = self.target(works);
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
        let known = work(&mut target, works);
        let tool_peak_bytes = peak_bytes(py_spy.id());
        signal(py_spy.id(), Signal::INT);
        let status = py_spy.wait().map_err(|error| error.to_string())?;
        target.end();
        if !status.success() {
            return Err(format!("it ended with {status}"));
        }
        Ok(Run { tool_peak_bytes, log_bytes: size(folder.path()) as f64, ..Run::of(&known) })
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

/// Lets it work so often, and returns what it tells of each.
fn work(target: &mut Target, works: u32) -> Vec<Known> {
    (0..works).map(|_| target.work()).last().unwrap_or_default()
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
