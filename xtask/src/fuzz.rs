//! Damaged bytes for all that pytracer reads from others: the tests of `tracer/tests/mutated.rs`, with many more cases
//! than `cargo xtask test` has, compiled for speed. For a fuzzer that finds its own way there is `fuzz/`.

use anyhow::Result;
use clap::Args;

use crate::{
    command::{cargo, run},
    setup,
};

#[derive(Args)]
pub(crate) struct Options {
    /// Cases of each kind
    #[arg(long, default_value_t = 10_000)]
    cases: u32,
    /// Only the tests whose name holds this
    filter: Option<String>,
}

/// Runs them; a test that fails is an error, and says which case it was.
pub(crate) fn run_cases(options: &Options) -> Result<()> {
    setup::bench_of_log()?;
    let mut tests = cargo();
    tests.args(["test", "--release", "--package", "tracer", "--test", "mutated"]);
    tests.env("PYTRACER_MUTATIONS", options.cases.to_string());
    run(tests.arg("--").args(&options.filter))
}
