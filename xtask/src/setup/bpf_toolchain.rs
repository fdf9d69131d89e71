//! A Rust toolchain that can compile for BPF: rustup's where it can fetch the library sources, else Debian's.

use std::{ffi::OsStr, process::Command};

use anyhow::{Result, anyhow, bail};

use super::apt;
use crate::{
    command::{run, step},
    toolchain::{self, RUSTUP_NAMES, Unusable},
};

/// Debian's compiler with the library sources; they live beside a rustup in the home directory.
const PACKAGES: [&str; 3] = ["cargo-web", "rustc-web", "rust-web-src"];

/// How long rustup may try: where it has no network, it retries for minutes.
const RUSTUP_SECONDS: &str = "120";

pub(super) fn ensure() -> Result<()> {
    let asked_for = std::env::var_os(toolchain::OVERRIDE).is_some_and(|name| !name.is_empty());
    match toolchain::choose() {
        Ok(_) => return Ok(()),
        Err(why) if asked_for => bail!(why),
        Err(_) => {}
    }
    add_sources_to_rustup();
    if toolchain::choose().is_ok() {
        return Ok(());
    }
    apt::install(&PACKAGES, "no Rust toolchain here has what compiling for BPF needs")?;
    toolchain::choose().map(drop).map_err(|why| anyhow!(why))
}

fn add_sources_to_rustup() {
    for name in RUSTUP_NAMES {
        if !matches!(toolchain::named(OsStr::new(name)), Err(Unusable::NoSources)) {
            continue;
        }
        step(&format!("adding the library sources to rustup's {name}"));
        let mut rustup = Command::new("timeout");
        rustup.args([RUSTUP_SECONDS, "rustup", "component", "add", "rust-src", "--toolchain", name]);
        match run(&mut rustup) {
            Ok(()) => return,
            Err(error) => step(&format!("rustup could not: {error:#}")),
        }
    }
}
