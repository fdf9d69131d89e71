//! The distribution's packages.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{
    command::{run, step, succeeds},
    privilege,
};

/// Installs packages, after saying so and why.
pub(super) fn install(packages: &[&str], why: &str) -> Result<()> {
    let list = packages.join(" ");
    if !succeeds(Command::new("apt-get").arg("--version")) {
        bail!("{why}; there is no apt here: install what these packages of Debian hold: {list}");
    }
    step(&format!("{why}; installing with apt: {list}"));
    run(apt_get()?.args(["update", "-qq"]))?;
    run(apt_get()?.args(["install", "--yes", "-qq", "--no-install-recommends"]).args(packages))
        .with_context(|| format!("install {list}"))
}

/// Installs the package unless the program is there.
pub(super) fn ensure_program(program: &str, package: &str) -> Result<()> {
    if on_path(program) {
        return Ok(());
    }
    install(&[package], &format!("{program} is missing"))
}

/// Is there such a program, also where only root looks?
pub(super) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).any(|file| file.is_file())
}

fn apt_get() -> Result<Command> {
    let mut command = privilege::root("env")?;
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    Ok(command)
}
