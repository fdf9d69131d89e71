//! rustfmt and clippy, for a cargo that came without them, and for the toolchain of the kernel programs.

use std::path::Path;

use anyhow::{Result, anyhow};

use super::apt;
use crate::{
    command::{cargo, succeeds},
    toolchain::{self, DISTRIBUTION},
    workspace,
};

pub(super) fn ensure() -> Result<()> {
    for (tool, package) in [("fmt", "rustfmt-web"), ("clippy", "rust-web-clippy")] {
        if !succeeds(cargo().args([tool, "--version"])) {
            apt::install(&[package], &format!("cargo {tool} is missing"))?;
        }
    }
    let kernel = toolchain::choose().map_err(|why| anyhow!(why))?;
    if kernel.root == Path::new(DISTRIBUTION) && kernel.clippy(workspace::root()).is_none() {
        apt::install(&["rust-web-clippy"], "clippy for the kernel programs is missing")?;
    }
    Ok(())
}
