//! The tools that `cargo xtask bench --peers` runs beside pytracer, from PyPI, in an environment of their own.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{apt, python_packages};
use crate::workspace;

const PACKAGES: [&str; 6] = [
    "yappi==1.7.6",
    "pymemtrace==0.6.3",
    "memray==1.20.0",
    "scalene==2.4.0",
    "py-spy==0.4.3",
    "viztracer==1.1.1",
];

/// One of these compiles against them.
const HEADERS: &str = "/usr/include/python3.11/Python.h";

/// pymemtrace has no wheel for Linux, and asks for every warning of the compiler as an error: what it says last counts.
const COMPILER: &str = "#!/bin/sh\nexec cc \"$@\" -Wno-error\n";

pub(super) fn ensure() -> Result<()> {
    if !Path::new(HEADERS).exists() {
        apt::install(&["python3.11-dev"], "headers of CPython 3.11 are missing")?;
    }
    let compiler = compiler()?;
    python_packages::environment("peers", &PACKAGES, "the tools to compare with", |pip| {
        pip.env("CC", compiler);
    })
}

fn compiler() -> Result<PathBuf> {
    let path = workspace::target("tools/cc-without-werror");
    let folder = workspace::target("tools");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    fs::write(&path, COMPILER).with_context(|| format!("write {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("make {} a program", path.display()))?;
    Ok(path)
}
