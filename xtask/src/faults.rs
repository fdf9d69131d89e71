//! What happens to pytracer is repeated many times, and everything must be as before each time: the tests of
//! `tests/tests/faults_of_tracer.rs`, which are run a few times only by `cargo xtask test`.

use anyhow::Result;
use clap::Args;

use crate::{
    build,
    command::{cargo, run},
    privilege, setup,
};

/// Tells the tests how often.
const TIMES: &str = "PYTRACER_FAULTS";

#[derive(Args)]
pub(crate) struct Options {
    /// How often each fault is repeated in each mode of tracing
    #[arg(long, default_value_t = 100)]
    times: u32,
    /// Only the tests whose name holds this
    filter: Option<String>,
}

/// Runs them; a test that fails is an error.
pub(crate) fn inject(options: &Options) -> Result<()> {
    setup::bench_of_log()?;
    build::release()?;
    let mut tests = cargo();
    tests.args(["test", "--package", "tests", "--test", "faults_of_tracer"]);
    tests.env(TIMES, options.times.to_string());
    if let Some(runner) = privilege::runner()? {
        tests.env(privilege::RUNNER, runner);
    }
    run(tests.args(["--", "--test-threads=1"]).args(&options.filter))
}
