//! The release build.

use std::path::PathBuf;

use anyhow::Result;

use crate::{
    command::{cargo, run},
    setup, workspace,
};

/// Builds pytracer and returns the path of the binary.
pub(crate) fn release() -> Result<PathBuf> {
    setup::build()?;
    run(cargo().args(["build", "--release", "--package", "tracer"]))?;
    Ok(binary())
}

/// Where the binary is once it is built.
pub(crate) fn binary() -> PathBuf {
    workspace::target("release/pytracer")
}
