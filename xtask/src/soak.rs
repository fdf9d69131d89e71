//! A long recording of a restless program: the program is `tests/examples/soak.rs`, built as the user and run as root.

use anyhow::Result;
use clap::Args;

use crate::{
    build,
    command::{cargo, run},
    privilege, setup, workspace,
};

#[derive(Args)]
pub(crate) struct Options {
    /// How long in all
    #[arg(long, default_value = "30")]
    minutes: String,
}

/// Runs it; that pytracer grew is an error.
pub(crate) fn soak(options: &Options) -> Result<()> {
    setup::demo()?;
    build::release()?;
    run(cargo().args(["build", "--release", "--package", "tests", "--example", "soak"]))?;
    let mut soak = privilege::root(workspace::target("release/examples/soak"))?;
    run(soak.args(["--minutes", &options.minutes]))
}
