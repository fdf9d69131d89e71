//! The ways to run the loop.

use std::path::PathBuf;

use tests::{Python, Target, Tracer};
use tracer::{
    attach::{Kernel, LoadOptions, uprobe},
    python::{self, plan::Plan},
};

use crate::bpftrace::Bpftrace;

/// Runs of the loop in each turn.
const REPEATS: usize = 5;

/// What watches the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing.
    Untraced,
    /// A program that does nothing, at each site of the plan, by a perf event each.
    EmptyPerf,
    /// The same, hooked the way pytracer hooks: the price of being told at all.
    Empty,
    /// pytracer, where the kernel adds calls up.
    Pytracer,
    /// pytracer, where events are sent.
    Stream,
    /// A script of bpftrace at the same sites.
    Bpftrace,
}

impl Mode {
    /// In the order of their numbers.
    pub(crate) const ALL: [Self; 6] =
        [Self::Untraced, Self::EmptyPerf, Self::Empty, Self::Pytracer, Self::Stream, Self::Bpftrace];

    /// Those that know generators: the script does not.
    pub(crate) const OF_STEPS: [Self; 5] =
        [Self::Untraced, Self::EmptyPerf, Self::Empty, Self::Pytracer, Self::Stream];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Untraced => "untraced",
            Self::EmptyPerf => "empty programs, perf events",
            Self::Empty => "empty programs, uprobe-multi",
            Self::Pytracer => "pytracer, the kernel adds up",
            Self::Stream => "pytracer, events are sent",
            Self::Bpftrace => "bpftrace script",
        }
    }
}

/// What the loop does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Calls a function.
    Calls,
    /// Has a generator go on.
    Steps,
}

impl Work {
    /// What it does once.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Calls => "call",
            Self::Steps => "step of a generator",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Calls => "busy.py",
            Self::Steps => "busy_steps.py",
        }
    }
}

/// A process that runs the loop when asked to.
pub(crate) struct Subject {
    target: Target,
    interpreter: PathBuf,
    plan: Plan,
    calls: u64,
}

impl Subject {
    pub(crate) fn start(python: Python, work: Work, rounds: usize, calls: u64) -> Self {
        let turns = (rounds * Mode::ALL.len() * REPEATS).to_string();
        let target =
            Target::start(python, work.program(), &["--rounds", &turns, "--size", &calls.to_string()]);
        let interpreter = python.image();
        let plan = python::plan(&interpreter).unwrap_or_else(|error| panic!("plan CPython: {error}"));
        Self { target, interpreter, plan, calls }
    }

    /// Nanoseconds that a call or step takes, the loop around it not counted.
    pub(crate) fn call_ns(&mut self, mode: Mode) -> f64 {
        match mode {
            Mode::Untraced => self.run(),
            Mode::EmptyPerf | Mode::Empty => self.under_empty_programs(mode),
            Mode::Pytracer | Mode::Stream => {
                let adder = if mode == Mode::Stream { "stream" } else { "kernel" };
                let tracer = Tracer::attach(&[&self.target], &["--aggregate", adder]);
                let cost = self.run();
                tracer.report().assert_lossless();
                cost
            }
            Mode::Bpftrace => {
                let bpftrace = Bpftrace::attach(&self.plan, &self.interpreter, self.target.pid());
                let cost = self.run();
                let (counted, calls) = (bpftrace.end(), self.calls * REPEATS as u64);
                assert!(counted >= calls, "bpftrace counted {counted} of {calls} calls");
                cost
            }
        }
    }

    fn under_empty_programs(&mut self, mode: Mode) -> f64 {
        let options = LoadOptions::default();
        let (mut kernel, _ring) =
            Kernel::load(options).unwrap_or_else(|error| panic!("load programs: {error}"));
        if mode == Mode::EmptyPerf {
            kernel.use_perf_events().unwrap_or_else(|error| panic!("load programs: {error}"));
        }
        let pid = uprobe::Target::Pid(self.target.pid());
        let hooks = kernel.hook_empty(&self.interpreter, &self.plan, pid);
        let hooks = hooks.unwrap_or_else(|error| panic!("hook the interpreter: {error}"));
        let cost = self.run();
        drop(hooks);
        cost
    }

    /// The best of a few: whatever else runs on the machine only ever makes the loop slower.
    fn run(&mut self) -> f64 {
        let runs = (0..REPEATS).map(|_| {
            let known = self.target.work().pop().expect("the loop tells its times");
            let calls = (known.calls + known.resumes) as f64;
            (known.total_ns as f64 / calls, known.empty_ns as f64 / calls)
        });
        let (total, empty) =
            runs.fold((f64::MAX, f64::MAX), |best, run| (f64::min(best.0, run.0), f64::min(best.1, run.1)));
        total - empty
    }

    pub(crate) fn end(self) {
        self.target.end();
    }
}
