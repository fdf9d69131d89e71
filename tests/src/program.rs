//! A test program, running under an interpreter. `tests/programs/protocol.py` has its side of the talk.

use std::{
    io::Write as _,
    process::{Child, ChildStdin, Command, Stdio},
    thread,
};

use rustix::process::Signal;
use serde::Deserialize;

use crate::{lines::Lines, namespaces, python::Python, signal, wait};

/// Something a program knows about itself. Which fields there are depends on the program.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Known {
    /// The function that it is about, by qualified name.
    pub function: String,
    /// The process that it is about; 0: the program's own.
    pub pid: u32,
    /// How often it was called.
    pub calls: u64,
    /// How often it was resumed.
    pub resumes: u64,
    /// How often all functions were called.
    pub all_calls: u64,
    /// Events that a log holds.
    pub events: u64,
    /// Its time on the wall's clock: from within, and around the calls.
    pub wall_ns: [u64; 2],
    /// Its time on a processor: from within, and around the calls.
    pub cpu_ns: [u64; 2],
    /// How long the steps of all its instances took: from within, and around them.
    pub ran_ns: [u64; 2],
    /// How long all its instances were under way, from their first step to their last.
    pub whole_ns: [u64; 2],
    /// How long the longest of them was.
    pub longest_ns: [u64; 2],
    /// By how much it changed the resident memory.
    pub rss_bytes: i64,
    /// The resident memory of the process at the start of the workload.
    pub rss_start_bytes: i64,
    /// The resident memory of the process at its end.
    pub rss_end_bytes: i64,
    /// The stack that a call runs on, outermost function first.
    pub stack: Vec<String>,
    /// How long all calls took.
    pub total_ns: u64,
    /// How long the same work took without the calls.
    pub empty_ns: u64,
}

/// How a line begins that tells a fact.
const FACT: &str = "known ";

/// A program that has started and waits to be told to work.
#[derive(Debug)]
pub struct Target {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines,
    pid: u32,
}

impl Target {
    /// Starts a program and waits until it is ready.
    pub fn start(python: Python, program: &str, arguments: &[&str]) -> Self {
        let mut command = python.command();
        command.arg(crate::program(program)).args(arguments);
        Self::spawn(&mut command)
    }

    /// Starts a program by a command that becomes its interpreter, and waits until it is ready.
    pub fn spawn(command: &mut Command) -> Self {
        let (mut target, ready) = Self::ready(command);
        target.pid = target.child.id();
        assert_eq!(ready, target.pid, "the PID of the command is that of the interpreter");
        target
    }

    /// The same by a command that starts the interpreter in a PID namespace of its own.
    pub fn spawn_inside(command: &mut Command) -> Self {
        let (mut target, ready) = Self::ready(command);
        target.pid = namespaces::youngest(target.child.id());
        let pids = namespaces::pids(target.pid);
        assert!(pids.len() > 1 && pids.last() == Some(&ready), "{ready} is not the innermost of {pids:?}");
        target
    }

    /// Starts a command and waits until the program is ready. Returns the PID by which it sees itself.
    fn ready(command: &mut Command) -> (Self, u32) {
        let mut child = command
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().expect("it is a pipe"));
        let mut target = Self { child, stdin, stdout: Lines::of(stdout), pid: 0 };
        let ready = target.stdout.until("ready", |line| line.starts_with("ready "));
        (target, ready["ready ".len()..].parse().expect("a PID"))
    }

    /// Its PID.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets it work, and returns at once.
    pub fn go(&mut self) {
        let stdin = self.stdin.as_mut().expect("it has not been ended");
        stdin.write_all(b"go\n").expect("talk to the program");
    }

    /// Waits until it has told so many facts, and returns them.
    pub fn tells(&mut self, facts: usize) -> Vec<Known> {
        while self.known().len() < facts {
            self.stdout.until("fact", |line| line.starts_with(FACT));
        }
        self.known()
    }

    /// Waits until it has done its work, and returns what it knows about it.
    pub fn done(&mut self) -> Vec<Known> {
        self.stdout.until("done", |line| line == "done");
        self.known()
    }

    /// Lets it work, and waits for the end of that.
    pub fn work(&mut self) -> Vec<Known> {
        self.go();
        self.done()
    }

    /// What it has told up to now.
    pub fn known(&mut self) -> Vec<Known> {
        let facts = self.stdout.so_far().iter().filter_map(|line| line.strip_prefix(FACT));
        facts.map(|fact| serde_json::from_str(fact).expect("a fact is JSON")).collect()
    }

    /// Is it alive, and not a zombie?
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().expect("look after the program").is_none()
    }

    /// Ends its input, upon which it ends well.
    pub fn end(mut self) {
        drop(self.stdin.take());
        self.ends_well();
    }

    /// Asks it to end by SIGTERM, upon which it ends well.
    pub fn terminate(mut self) {
        signal(self.pid, Signal::TERM);
        self.ends_well();
    }

    fn ends_well(&mut self) {
        let status =
            wait::until_some("the program ends", || self.child.try_wait().expect("wait for the program"));
        assert!(status.success(), "the program ended with {status}");
    }

    /// Says what it and its children wait for.
    fn show(&self) {
        let pid = self.child.id().to_string();
        let shown = Command::new("ps")
            .args(["-o", "pid,ppid,stat,time,wchan:24,args", "-p", &pid, "--ppid", &pid])
            .output();
        if let Ok(shown) = shown {
            eprintln!("the program and its children:\n{}", String::from_utf8_lossy(&shown.stdout));
        }
    }

    /// Kills it at once.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill the program");
        self.child.wait().expect("wait for the program");
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if thread::panicking() {
            self.show();
        }
        // It may have ended already: then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::{Python, Target};

    #[test]
    fn a_program_works_when_told_to() {
        let mut target = Target::start(Python::DEBIAN_3_11, "busy.py", &["--size", "10"]);
        assert!(target.lives());
        let known = target.work();
        assert_eq!((known[0].function.as_str(), known[0].calls), ("callee", 10));
        target.end();
    }
}
