//! Becoming root for the commands that need it.

use std::{ffi::OsStr, process::Command};

use anyhow::{Result, bail};

/// By this variable cargo is told what to run tests through.
pub(crate) const RUNNER: &str = "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER";

/// Is this process root's?
pub(crate) fn is_root() -> bool {
    // The owner of the process's own folder is its effective user.
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|folder| folder.uid() == 0)
}

/// The command as root: as it is, or through sudo.
pub(crate) fn root(program: impl AsRef<OsStr>) -> Result<Command> {
    if is_root() {
        return Ok(Command::new(program));
    }
    let mut command = Command::new(sudo()?);
    command.arg(program);
    Ok(command)
}

/// The words that run a command as root with the environment kept; none for root.
pub(crate) fn runner() -> Result<Option<String>> {
    if is_root() { Ok(None) } else { Ok(Some(format!("{} -E", sudo()?))) }
}

fn sudo() -> Result<&'static str> {
    if Command::new("sudo").arg("--version").output().is_err() {
        bail!("root is needed and there is no sudo: run the same command as root");
    }
    Ok("sudo")
}
