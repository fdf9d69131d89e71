//! Compiles the kernel programs and leaves the object in `OUT_DIR/tracer-ebpf`, where the loader embeds it from.
//!
//! `PYTRACER_SKIP_BPF=1` leaves an empty object instead, for lints and documentation on a machine without the BPF
//! toolchain.

#[path = "build/toolchain.rs"]
#[expect(dead_code, reason = "a part is for xtask only")]
mod toolchain;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, anyhow, bail};
use toolchain::Toolchain;

const PACKAGE: &str = "tracer-ebpf";
const SKIP: &str = "PYTRACER_SKIP_BPF";

fn main() -> Result<()> {
    // Asked at run time: the sources may have been moved since this script was compiled.
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").context("read CARGO_MANIFEST_DIR")?);
    let workspace = package.parent().context("find the workspace")?;
    let out = PathBuf::from(env::var_os("OUT_DIR").context("read OUT_DIR")?);
    watch(workspace);
    let object = out.join(PACKAGE);
    if env::var_os(SKIP).is_some_and(|skip| skip == "1") {
        return fs::write(&object, []).context("write an empty object");
    }
    let toolchain = toolchain::choose().map_err(|why| anyhow!("{why}: run `cargo xtask setup`"))?;
    let built = build(&toolchain, workspace, &out.join("bpf"))?;
    fs::copy(&built, &object).with_context(|| format!("copy {}", built.display()))?;
    Ok(())
}

/// Tells cargo what the object is made from.
fn watch(workspace: &Path) {
    for path in [PACKAGE, "tracer-common", "Cargo.toml", "Cargo.lock", "tracer/build.rs", "tracer/build"] {
        println!("cargo:rerun-if-changed={}", workspace.join(path).display());
    }
    println!("cargo:rerun-if-changed={}", workspace.join(toolchain::LINKER_DIR).join("bpf-linker").display());
    for variable in [SKIP, toolchain::OVERRIDE] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
}

/// Runs the toolchain's cargo and returns the path of the object.
fn build(toolchain: &Toolchain, workspace: &Path, target_dir: &Path) -> Result<PathBuf> {
    const TARGET: &str = "bpfel-unknown-none";
    let mut cargo = toolchain.cargo(workspace);
    cargo
        .env("CARGO_ENCODED_RUSTFLAGS", toolchain::rustflags(toolchain, workspace))
        .current_dir(workspace)
        .args(["build", "--quiet", "--release", "-Zbuild-std=core", "--package", PACKAGE, "--target", TARGET])
        .arg("--target-dir")
        .arg(target_dir);
    run(&mut cargo).with_context(|| format!("compile {PACKAGE} with the toolchain {}", toolchain.name))?;
    Ok(target_dir.join(TARGET).join("release").join(PACKAGE))
}

/// Runs cargo; what it says (warnings, or why it failed) becomes warnings of this build.
fn run(cargo: &mut Command) -> Result<()> {
    let output = cargo.stdin(Stdio::null()).output().context("start cargo")?;
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        println!("cargo:warning={line}");
    }
    if !output.status.success() {
        bail!("cargo ended with {}; if bpf-linker is missing, run `cargo xtask setup`", output.status);
    }
    Ok(())
}
