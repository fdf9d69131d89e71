//! Every build of the table, briefly: its plan, and what a call costs. A line of JSON each, for `cargo xtask pythons`.

use serde::Serialize;
use tests::{Python, Trait, statistics::median};
use tracer::python::{self, plan::Plan};

use crate::{
    mode::{Mode, Work},
    rounds::Rounds,
};

/// Enough for a ratio that is stable to some hundredths.
const MODES: [Mode; 3] = [Mode::Untraced, Mode::Empty, Mode::Pytracer];

#[derive(Serialize)]
struct Build {
    name: &'static str,
    /// Why there is no plan.
    refusal: Option<String>,
    plan: Option<Planned>,
    /// Not of code that a JIT compiler makes: its calls pass no probe.
    cost: Option<Cost>,
}

#[derive(Serialize)]
struct Planned {
    version: String,
    source: String,
    sites: usize,
    exact: bool,
    limits: Vec<String>,
}

#[derive(Serialize)]
struct Cost {
    /// Nanoseconds that pytracer adds to a call.
    added_ns: f64,
    /// That, as a ratio to what empty programs add.
    of_empty: f64,
}

/// Prints the lines of all builds that are on this machine.
pub(crate) fn print(rounds: usize, calls: u64) {
    for python in Python::ALL.into_iter().filter(|python| python.locate().is_ok()) {
        let build = build(python, rounds, calls);
        println!("{}", serde_json::to_string(&build).expect("a build is JSON"));
    }
}

fn build(python: Python, rounds: usize, calls: u64) -> Build {
    let name = python.name();
    match python::plan(&python.image()) {
        Ok(plan) => {
            let cost = (!python.has(Trait::Jit)).then(|| cost(python, rounds, calls));
            Build { name, refusal: None, plan: Some(planned(&plan)), cost }
        }
        Err(refusal) => Build { name, refusal: Some(refusal.to_string()), plan: None, cost: None },
    }
}

fn planned(plan: &Plan) -> Planned {
    Planned {
        version: plan.version.to_string(),
        source: plan.source.to_string(),
        sites: plan.sites.len(),
        exact: plan.exact,
        limits: plan.limits(),
    }
}

fn cost(python: Python, rounds: usize, calls: u64) -> Cost {
    let rounds = Rounds::run(python, Work::Calls, &MODES, rounds, calls);
    Cost {
        added_ns: rounds.added(Mode::Pytracer),
        of_empty: median(&rounds.ratios(Mode::Pytracer, Mode::Empty)),
    }
}
