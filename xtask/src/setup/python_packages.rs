//! Tools in Python with which the tests read event logs and exports, and the profilers that they compare them with: in
//! an environment of their own.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use super::{apt, python_3_11};
use crate::{
    command::{run, step, succeeds},
    workspace,
};

const PACKAGES: [&str; 8] =
    ["pandas", "pyarrow", "duckdb", "snakeviz", "gprof2dot", "memory_profiler", "py-spy", "viztracer==1.1.1"];

/// The interpreter that has them.
pub(crate) fn interpreter() -> PathBuf {
    workspace::target("venv/bin/python")
}

pub(super) fn ensure() -> Result<()> {
    environment("venv", &PACKAGES, "what the tests need of PyPI", |_| {})
}

/// An environment of its own in the target folder, with these packages. `prepare` has a last word on how they are
/// installed.
pub(super) fn environment(
    name: &str,
    packages: &[&str],
    what: &str,
    prepare: impl FnOnce(&mut Command),
) -> Result<()> {
    let folder = workspace::target(name);
    let (stamp, interpreter) = (folder.join("ready"), folder.join("bin/python"));
    let wanted = packages.join(" ");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && interpreter.exists() {
        return Ok(());
    }
    if !succeeds(Command::new(python_3_11::INTERPRETER).args(["-c", "import ensurepip, venv"])) {
        apt::install(&["python3.11-venv"], "Python's venv is missing")?;
    }
    step(&format!("installing {what}"));
    run(Command::new(python_3_11::INTERPRETER).args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = Command::new(interpreter);
    pip.args(["-m", "pip", "install", "--quiet"]).args(packages);
    prepare(&mut pip);
    run(&mut pip)?;
    fs::write(&stamp, wanted).context("write the stamp of the environment")
}
