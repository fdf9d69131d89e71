//! What `tests/examples/overhead` says of each build: the plan, and the cost of a call, all in one run.

use std::{collections::BTreeMap, process::Stdio};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::{
    command::{capture, cargo, print, run},
    privilege, workspace,
};

/// Rounds of the measurement. The ratios of a round are stable to some hundredths.
const ROUNDS: &str = "5";

/// Calls of each run of the loop.
const CALLS: &str = "100000";

/// A build.
#[derive(Debug, Deserialize)]
pub(super) struct Build {
    pub(super) name: String,
    /// Why there is no plan.
    pub(super) refusal: Option<String>,
    pub(super) plan: Option<Plan>,
    pub(super) cost: Option<Cost>,
}

/// How it is traced.
#[derive(Debug, Deserialize)]
pub(super) struct Plan {
    pub(super) version: String,
    pub(super) source: String,
    pub(super) sites: usize,
    pub(super) exact: bool,
    /// A sentence each.
    pub(super) limits: Vec<String>,
}

/// What that adds to a call.
#[derive(Debug, Deserialize)]
pub(super) struct Cost {
    /// Nanoseconds.
    pub(super) added_ns: f64,
    /// As a ratio to what empty programs at the same places add.
    pub(super) of_empty: f64,
}

/// Measures every build that is on this machine; by name.
pub(super) fn all() -> Result<BTreeMap<String, Build>> {
    run(cargo().args(["build", "--release", "--package", "tests", "--example", "overhead"]))?;
    let mut overhead = privilege::root(workspace::target("release/examples/overhead"))?;
    overhead.args(["--builds", "--rounds", ROUNDS, "--calls", CALLS]);
    print(&overhead);
    let lines = capture(overhead.stderr(Stdio::inherit()))?;
    let builds = lines.lines().map(|line| serde_json::from_str(line).context("read what was measured"));
    builds.map(|build: Result<Build>| build.map(|build| (build.name.clone(), build))).collect()
}
