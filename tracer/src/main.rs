//! The command `pytracer`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tracer::cli::run()
}
