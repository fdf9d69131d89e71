//! Format and lints, of both sides.

use anyhow::{Result, anyhow};

use crate::{
    command::{cargo, run, step},
    toolchain, workspace,
};

pub(crate) fn format() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))
}

/// Everything that runs in userspace.
pub(crate) fn userspace() -> Result<()> {
    let clippy = ["clippy", "--quiet", "--workspace", "--exclude", "tracer-ebpf", "--all-targets"];
    run(cargo().args(clippy).args(["--", "-D", "warnings"]))
}

/// The kernel programs, with the clippy of the toolchain that compiles them.
pub(crate) fn kernel() -> Result<()> {
    let toolchain = toolchain::choose().map_err(|why| anyhow!(why))?;
    let root = workspace::root();
    let Some(mut clippy) = toolchain.clippy(root) else {
        step(&format!("no lints of the kernel programs: the toolchain {} has no clippy", toolchain.name));
        return Ok(());
    };
    clippy
        .env("CARGO_ENCODED_RUSTFLAGS", toolchain::rustflags(&toolchain, root))
        .env("CARGO_TARGET_DIR", workspace::target("bpf-clippy"))
        .current_dir(root)
        .args(["--quiet", "--release", "-Zbuild-std=core", "--target", "bpfel-unknown-none"])
        .args(["--package", "tracer-ebpf", "--", "-D", "warnings"]);
    run(&mut clippy)
}
