//! Running other programs: each is printed before it runs.

use std::{
    ffi::OsStr,
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::workspace;

/// The cargo that runs this task, with its products in the workspace's own target folder: other tasks look there.
pub(crate) fn cargo() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace::root()).env("CARGO_TARGET_DIR", workspace::target(""));
    command
}

/// Says what a step does.
pub(crate) fn step(text: &str) {
    eprintln!("==> {text}");
}

/// Prints the command and runs it; an unsuccessful end is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    print(command);
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("start {}", name(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", name(command));
    }
    Ok(())
}

/// Runs the command with its output kept; an unsuccessful end is an error that holds what it said.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {}", name(command), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Does the program start and end well? It is not shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    output(command).is_ok_and(|output| output.status.success())
}

/// Prints the command as a line for a shell, paths of the workspace relative to it.
pub(crate) fn print(command: &Command) {
    let root = format!("{}/", workspace::root().display());
    let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
    let words: Vec<String> =
        [name(command)].into_iter().chain(words).map(|word| word.replace(&root, "")).collect();
    eprintln!("$ {}", words.join(" "));
}

fn output(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().with_context(|| format!("start {}", name(command)))
}

/// The program as a user knows it: the cargo that runs this task has a long path of rustup's.
fn name(command: &Command) -> String {
    let program = command.get_program();
    if program == cargo().get_program() { "cargo".into() } else { OsStr::display(program).to_string() }
}
