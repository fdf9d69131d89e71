//! Tasks of the workspace: `cargo xtask <task>`.

mod bench;
mod build;
mod command;
mod demo;
mod document;
mod faults;
mod fuzz;
mod kernels;
mod lint;
mod place;
mod privilege;
mod pythons;
mod setup;
mod soak;
mod tally;
mod test;
#[path = "../../tracer/build/toolchain.rs"]
#[expect(dead_code, reason = "a part is for the build script only")]
mod toolchain;
mod vm;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Set up, build, show and test pytracer.
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
    /// Trace a small Python service for a few seconds and print the report
    Demo(demo::Options),
    /// Check format and lints, and run every test
    Test(test::Options),
    /// Test and measure every CPython of the table, and write the tables of docs/supported.md and README.md
    Pythons,
    /// Test on every kernel that there is a virtual machine of, and write the table of docs/supported.md
    Kernels(kernels::Options),
    /// Run a command under another kernel, in a virtual machine
    Vm(vm::Options),
    /// Measure what tracing costs a program, beside empty probes and bpftrace
    Bench(bench::Options),
    /// Kill, stop and starve pytracer while it traces, a hundred times in each way
    Faults(faults::Options),
    /// Feed pytracer ten thousand damaged interpreters, log segments and records of each kind
    Fuzz(fuzz::Options),
    /// Record a restless program for half an hour, and see whether pytracer grows
    Soak(soak::Options),
}

fn main() -> ExitCode {
    match done(Arguments::parse().task) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does a task; its exit status.
fn done(task: Task) -> Result<ExitCode> {
    let well = match task {
        Task::Setup => setup::all().map(|()| true),
        Task::Build => build::release().map(|binary| {
            println!("{}", binary.display());
            true
        }),
        Task::Demo(options) => demo::run(&options).map(|()| true),
        Task::Test(options) => test::run(&options),
        Task::Pythons => pythons::run(),
        Task::Kernels(options) => kernels::run(&options),
        Task::Vm(options) => return vm::run(&options),
        Task::Bench(options) => bench::measure(&options).map(|()| true),
        Task::Faults(options) => faults::inject(&options).map(|()| true),
        Task::Fuzz(options) => fuzz::run_cases(&options).map(|()| true),
        Task::Soak(options) => soak::soak(&options).map(|()| true),
    }?;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Arguments::command().debug_assert();
    }
}
