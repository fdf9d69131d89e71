//! Packages of PyPI that tests hold pytracer against: `cargo xtask setup` installs them in an environment of their own.

use std::process::{Command, Stdio};

use serde::de::DeserializeOwned;

use crate::workspace;

/// The interpreter that has them.
pub fn python() -> Command {
    program("python")
}

/// Runs code of Python with arguments, and returns what it prints, which is JSON.
pub fn json<T: DeserializeOwned>(code: &str, arguments: &[&str]) -> T {
    let printed = output(python().args(["-c", code]).args(arguments));
    serde_json::from_str(&printed).expect("it prints JSON")
}

/// A program that one of them brings.
pub fn program(name: &str) -> Command {
    let program = workspace().join("target/venv/bin").join(name);
    assert!(program.exists(), "{} is missing: run `cargo xtask setup`", program.display());
    Command::new(program)
}

/// Runs a command that must end well, and returns what it prints.
pub fn output(command: &mut Command) -> String {
    let output = command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints text")
}
