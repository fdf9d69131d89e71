//! The tests of the kernel side in a virtual machine. All of them would take hours there: emulation is ten to twenty
//! times slower. So those are run that see what differs between kernels, of one interpreter.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::initramfs::quoted;
use crate::command::{capture, cargo, print};

/// Files of tests, and which tests of each.
const SELECTED: [(&str, &str); 9] = [
    ("counts", "cpython_3_11_debian::"),
    ("aggregate", "cpython_3_11_debian::"),
    ("memory", "cpython_3_11_debian::"),
    // Not what compares shares of time: an emulated machine is late with its timers.
    ("sampling", "cpython_3_11_debian::no_probe_is_in_place"),
    ("children", "cpython_3_11_debian::forked"),
    ("silent", "cpython_3_11_debian::"),
    ("robustness", "cpython_3_11_debian::"),
    ("errors", ""),
    ("output", "doctor"),
];

/// A test of these that takes minutes there.
const LEFT_OUT: &str = "killed_while_letting_go";

/// By how much tests wait longer there.
const PATIENCE: u32 = 10;

/// The file of tests that run under every kernel.
pub(crate) const OF_EVERY_KERNEL: &str = "every_kernel";

/// Which tests.
#[derive(Clone, Copy)]
pub(crate) enum Selection<'a> {
    /// Those that see what differs between kernels.
    Usual,
    /// All whose names hold this.
    Named(&'a str),
    /// What has to work on every kernel: less than a minute.
    OfEveryKernel,
}

/// The words of a command that runs tests.
pub(crate) fn command(selection: Selection<'_>) -> Result<Vec<String>> {
    let run = built(selection)?.into_iter().map(|(name, binary)| {
        let usual = SELECTED.iter().find(|(file, _)| *file == name).map_or("", |(_, tests)| tests);
        let words = match selection {
            Selection::Usual => format!("--skip {LEFT_OUT} {}", quoted(usual)),
            Selection::Named(filter) => quoted(filter),
            Selection::OfEveryKernel => String::new(),
        };
        let binary = quoted(&binary.display().to_string());
        format!("echo 'tests of {name}'\n{binary} --test-threads=1 {words} || status=1\n")
    });
    let script = format!("status=0\n{}exit $status\n", run.collect::<String>());
    Ok(["env", &format!("PYTRACER_TEST_PATIENCE={PATIENCE}"), "sh", "-c", &script].map(str::to_owned).into())
}

/// Builds the tests; names and binaries.
fn built(selection: Selection<'_>) -> Result<Vec<(String, PathBuf)>> {
    #[derive(Deserialize)]
    struct Message {
        target: Option<Target>,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
        kind: Vec<String>,
    }
    let mut build = cargo();
    build.args(["test", "--no-run", "--quiet", "--message-format=json", "--package", "tests"]);
    match selection {
        Selection::Usual => build.args(SELECTED.iter().flat_map(|(file, _)| ["--test", file])),
        Selection::Named(_) => build.args(["--test", "*"]),
        Selection::OfEveryKernel => build.args(["--test", OF_EVERY_KERNEL]),
    };
    print(&build);
    let mut tests = Vec::new();
    for line in capture(&mut build)?.lines() {
        let message: Message = serde_json::from_str(line).context("read what cargo says")?;
        if let (Some(target), Some(binary)) = (message.target, message.executable)
            && target.kind.iter().any(|kind| kind == "test")
        {
            tests.push((target.name, binary));
        }
    }
    tests.sort();
    Ok(tests)
}
