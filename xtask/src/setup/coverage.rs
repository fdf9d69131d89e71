//! The package coverage for each interpreter of the tests, which switch it on in what they trace.

use std::process::Command;

use anyhow::Result;
use pythons::{Python, Trait};

use super::python_packages;
use crate::command::{run, step};

pub(super) fn ensure() -> Result<()> {
    let present = Python::ALL.into_iter().filter(|python| python.locate().is_ok());
    present.filter(|python| !python.packages().join("coverage").exists()).try_for_each(install)
}

/// One pip serves all: it takes the newest release that has a wheel for that interpreter.
fn install(python: Python) -> Result<()> {
    step(&format!("installing coverage for {python}"));
    let abi = python.has(Trait::FreeThreaded).then(|| format!("cp{}t", python.version().replace('.', "")));
    let mut pip = Command::new(python_packages::interpreter());
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"])
        .args(["--python-version", python.version()])
        .args(abi.iter().flat_map(|abi| ["--abi", abi]))
        .arg("--target")
        .arg(python.packages())
        .arg("coverage");
    run(&mut pip)
}
