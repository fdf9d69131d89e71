//! Programs that we did not write, which the tests trace: benchmarks of pyperformance, and a web application of Flask
//! under gunicorn, with wrk to ask it.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use super::{apt, python_packages};
use crate::{
    command::{run, step},
    workspace,
};

/// With what they need at run time. Every interpreter has them from one folder: all are pure Python but for a part of
/// `MarkupSafe`, which does without where that can't be loaded.
const PACKAGES: [&str; 10] = [
    "pyperformance==1.14.0",
    "pyperf==2.10.0",
    "gunicorn==27.0.1",
    "Flask==3.1.3",
    "blinker==1.9.0",
    "click==8.5.1",
    "itsdangerous==2.2.0",
    "Jinja2==3.1.6",
    "MarkupSafe==3.0.4",
    "Werkzeug==3.1.9",
];

fn folder() -> PathBuf {
    workspace::target("real-programs")
}

pub(super) fn ensure() -> Result<()> {
    apt::ensure_program("wrk", "wrk")?;
    let stamp = workspace::target("real-programs.ready");
    let wanted = PACKAGES.join(" ");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && folder().exists() {
        return Ok(());
    }
    step("installing programs to trace");
    if folder().exists() {
        // pip would leave what is there.
        fs::remove_dir_all(folder()).context("remove the programs of an earlier version")?;
    }
    let mut pip = Command::new(python_packages::interpreter());
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--target"]);
    run(pip.arg(folder()).args(PACKAGES))?;
    fs::write(&stamp, wanted).context("write the stamp of the programs")
}
