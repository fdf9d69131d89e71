//! CPython 3.11 of Debian 12.

use std::path::Path;

use anyhow::{Result, bail};

use super::apt;

/// The distribution's own, which has the probe points.
pub(crate) const INTERPRETER: &str = "/usr/bin/python3.11";

pub(super) fn ensure() -> Result<()> {
    if !Path::new(INTERPRETER).exists() {
        apt::install(&["python3.11"], "CPython 3.11 is missing")?;
    }
    if !Path::new(INTERPRETER).exists() {
        bail!("there is no {INTERPRETER}: this needs Debian 12");
    }
    Ok(())
}
