//! Tasks of the workspace: `cargo xtask <task>`.

mod build;
mod command;
mod privilege;
mod setup;
#[path = "../../tracer/build/toolchain.rs"]
#[expect(
    dead_code,
    reason = "set-up only asks whether a toolchain is usable; the build script uses the rest"
)]
mod toolchain;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Set up, build, show, test and measure pytracer.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing: bpf-linker, a toolchain for BPF, the Pythons of the tests
    Setup,
    /// Build pytracer with its kernel programs and print the path of the binary
    Build,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Setup => setup::all(),
        Task::Build => build::release().map(|binary| println!("{}", binary.display())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
