//! rustfmt and clippy, for a cargo that came without them.

use anyhow::Result;

use super::apt;
use crate::command::{cargo, succeeds};

pub(super) fn ensure() -> Result<()> {
    for (tool, package) in [("fmt", "rustfmt-web"), ("clippy", "rust-web-clippy")] {
        if !succeeds(cargo().args([tool, "--version"])) {
            apt::install(&[package], &format!("cargo {tool} is missing"))?;
        }
    }
    Ok(())
}
