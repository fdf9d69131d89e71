//! Finds what is missing and installs it, into the target folder where that is possible.
//!
//! Each part looks first and is quick when there is nothing to do, so that every task calls it.

mod apt;
mod bpf_toolchain;
mod bpftrace;
mod coverage;
mod debian_root;
mod linker;
mod lints;
mod peers;
mod pprof;
mod private_apt;
mod python_3_11;
mod python_packages;
mod pythons;
mod real_programs;
mod trace_viewers;
mod vm;
mod work;

use anyhow::Result;

/// What a build needs.
pub(crate) fn build() -> Result<()> {
    bpf_toolchain::ensure()?;
    linker::ensure()
}

/// What a demonstration needs beyond a build.
pub(crate) fn demo() -> Result<()> {
    build()?;
    python_3_11::ensure()
}

/// What the tests need, and with them everything.
pub(crate) fn all() -> Result<()> {
    demo()?;
    lints::ensure()?;
    pythons::ensure();
    python_packages::ensure()?;
    trace_viewers::ensure()?;
    coverage::ensure()?;
    real_programs::ensure()?;
    pprof::ensure()?;
    apt::ensure_program("bpftool", "bpftool")?;
    apt::ensure_program("strace", "strace")?;
    apt::ensure_program("callgrind_annotate", "valgrind")?;
    apt::ensure_program("chromium-headless-shell", "chromium-headless-shell")
}

/// What the measurements need.
pub(crate) fn bench() -> Result<()> {
    bench_of_log()?;
    bpftrace::ensure()
}

/// The same without what the traces are compared with.
pub(crate) fn bench_of_log() -> Result<()> {
    demo()?;
    pythons::ensure_representative()
}

/// The same with programs that were not written for it.
pub(crate) fn bench_of_budget() -> Result<()> {
    bench_of_log()?;
    real_programs::ensure()
}

/// The same with all tools that pytracer is compared with, and the programs for it.
pub(crate) fn bench_of_peers() -> Result<()> {
    bench()?;
    python_packages::ensure()?;
    real_programs::ensure()?;
    peers::ensure()
}

pub(crate) use python_3_11::INTERPRETER as PYTHON_3_11;
pub(crate) use vm::{Parts as VmParts, ensure as vm};
