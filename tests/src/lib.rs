//! Shared parts of the end-to-end tests: real interpreters, real kernel programs.
//!
//! A test starts a [`Target`] (one of `tests/programs`, under a [`Python`]), attaches a [`Tracer`] to it, lets it work,
//! and holds the [`report::Report`] against what the interpreter counted ([`truth`]) or the program knows about itself.
//!
//! Everything here panics instead of returning errors: a failed test then shows where. Every wait has a limit, and what
//! was started is killed when its value goes.
#![expect(clippy::missing_panics_doc, reason = "a helper that fails fails the test")]

mod lines;

pub mod both;
pub mod browser;
pub mod cgroup;
pub mod copies;
pub mod docs;
pub mod kernel;
pub mod log;
pub mod namespaces;
pub mod packages;
pub mod program;
pub mod pstats;
pub mod python;
pub mod report;
pub mod statistics;
pub mod tracer;
pub mod truth;
pub mod viewers;
pub mod wait;

pub use both::Both;
pub use browser::Browser;
pub use program::Target;
pub use python::{Python, Trait};
pub use pythons::workspace;
pub use tracer::{Outcome, Tracer};

use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};

/// Sends a signal to a process that the test started.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a PID fits");
    kill_process(pid, signal).expect("send a signal");
}

/// A folder that is gone with its value. It is seen under the same name by every interpreter.
pub fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("pytracer-test-").tempdir_in("/tmp").expect("create a folder in /tmp")
}

/// The folder of the packages of PyPI that are programs we did not write, and of what those need.
pub fn real_programs() -> PathBuf {
    workspace().join("target/real-programs")
}

/// A recording of `tests/programs/portrait.py`, always the same.
pub fn portrait() -> PathBuf {
    workspace().join("tracer/tests/recordings/portrait")
}

/// The path of a test program.
pub fn program(name: &str) -> PathBuf {
    workspace().join("tests/programs").join(name)
}
