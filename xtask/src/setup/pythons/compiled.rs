//! A build that is compiled from a source package of Debian, as CPython's own makefile does it: not Debian's build.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};
use pythons::Python;

use crate::{
    command::{capture, step, succeeds},
    setup::{apt, private_apt::PrivateApt, work::Work},
};

/// What CPython needs to compile the modules that the tests use.
const PACKAGES: [&str; 5] = ["gcc", "make", "libc6-dev", "libffi-dev", "zlib1g-dev"];

pub(super) fn ensure(python: &Python, suite: &'static str, package: &str, options: &[&str]) -> Result<()> {
    if python.locate().is_ok() {
        return Ok(());
    }
    if !succeeds(Command::new("dpkg-query").arg("--show").args(PACKAGES)) {
        apt::install(&PACKAGES, "CPython is compiled with them")?;
    }
    let work = Work::begin(&python.folder())?;
    step(&format!("fetching the sources of {package} of Debian {suite}"));
    let archive = PrivateApt::new(work.folder("apt"), suite)?.download_source(package)?;
    step(&format!("compiling {python} (once, some minutes)"));
    let sources = work.folder("sources");
    fs::create_dir_all(&sources).with_context(|| format!("create {}", sources.display()))?;
    let tar = ["--extract", "--strip-components=1", "--directory"];
    quietly(Command::new("tar").args(tar).arg(&sources).arg("--file").arg(&archive))?;
    let prefix = format!("--prefix={}", python.folder().display());
    let configure = [&*prefix, "--without-ensurepip", "--disable-test-modules"];
    // As by default, but without debug information, which takes a fifth of the time.
    let optimised = "-DNDEBUG -fwrapv -O3 -Wall";
    let mut run = Command::new("./configure");
    quietly(run.current_dir(&sources).args(configure).args(options).env("OPT", optimised))?;
    let jobs = format!("-j{}", std::thread::available_parallelism().map_or(1, usize::from));
    quietly(Command::new("make").current_dir(&sources).arg(jobs))?;
    // Half of what would be installed, and compiled three times, are CPython's own tests.
    let tests = sources.join("Lib/test");
    fs::remove_dir_all(&tests).with_context(|| format!("remove {}", tests.display()))?;
    quietly(Command::new("make").current_dir(&sources).arg("altinstall"))?;
    work.end()?;
    fs::write(python.stamp(), package).context("write the stamp of the build")?;
    let words = python.locate()?.words;
    capture(Command::new(&words[0]).args(&words[1..]).args(["-c", "import asyncio, ctypes"])).map(drop)
}

/// Shows the command, and what it says only if it fails.
fn quietly(command: &mut Command) -> Result<()> {
    crate::command::print(command);
    capture(command).map(drop)
}
