//! bpf-linker, compiled into the target folder.

use std::fs;

use anyhow::{Context as _, Result};

use super::apt;
use crate::{
    command::{cargo, run, step},
    toolchain::LINKER_LLVM,
    workspace,
};

const VERSION: &str = "0.13.0";

pub(super) fn ensure() -> Result<()> {
    if is_installed() {
        return Ok(());
    }
    let llvm = format!("/usr/lib/llvm-{LINKER_LLVM}");
    if !fs::exists(format!("{llvm}/bin/llvm-config")).unwrap_or(false) || !apt::on_path("c++") {
        let (dev, polly) = (format!("llvm-{LINKER_LLVM}-dev"), format!("libpolly-{LINKER_LLVM}-dev"));
        let packages = [&*dev, &*polly, "zlib1g-dev", "libzstd-dev", "g++"];
        apt::install(&packages, "bpf-linker is compiled against LLVM")?;
    }
    step("compiling bpf-linker (once, about a minute)");
    let products = workspace::target("tools/build");
    let mut install = cargo();
    install
        .env("CARGO_TARGET_DIR", &products)
        .env("LLVM_PREFIX", &llvm)
        .env(format!("LLVM_SYS_{LINKER_LLVM}1_PREFIX"), &llvm)
        .args(["install", "bpf-linker", "--version", VERSION, "--locked", "--quiet", "--force"])
        .args(["--no-default-features", "--features"])
        .arg(format!("llvm-{LINKER_LLVM},llvm-link-static"))
        .arg("--root")
        .arg(workspace::target("tools"));
    run(&mut install).context("compile bpf-linker")?;
    fs::remove_dir_all(&products).with_context(|| format!("remove {}", products.display()))
}

/// Cargo keeps a list of what it installed, by version.
fn is_installed() -> bool {
    let list = fs::read_to_string(workspace::target("tools/.crates.toml")).unwrap_or_default();
    list.contains(&format!("bpf-linker {VERSION} ")) && workspace::target("tools/bin/bpf-linker").exists()
}
