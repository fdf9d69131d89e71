//! Namespaces of their own, and the ids that processes have in them.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use crate::{kernel, wait};

/// A PID and a mount namespace with a `/proc` of their own; when the value goes, so does all that runs there.
#[derive(Debug)]
pub struct Namespaces {
    holder: Child,
    first: u32,
}

impl Namespaces {
    /// Makes them.
    pub fn new() -> Self {
        kernel::need_privilege();
        let mut holder =
            unshare(&[]).args(["sleep", "infinity"]).stdin(Stdio::null()).spawn().expect("start unshare");
        let first = wait::until_some("the first process of the namespace runs", || {
            assert!(holder.try_wait().expect("look after unshare").is_none(), "unshare ended");
            let first = youngest(holder.id());
            fs::read_to_string(format!("/proc/{first}/comm"))
                .is_ok_and(|name| name == "sleep\n")
                .then_some(first)
        });
        Self { holder, first }
    }

    /// A command, to be completed, that runs in them.
    pub fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.first.to_string(), "--pid", "--mount", "--"]);
        command
    }
}

impl Default for Namespaces {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // The first process of a PID namespace takes all others with it.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A command, to be completed, that runs in new PID and mount namespaces, and in others as the options say.
pub fn unshare(options: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--fork", "--kill-child", "--pid", "--mount-proc"]).args(options).arg("--");
    command
}

/// The ids of a process in each PID namespace that it is in, the outermost first.
pub fn pids(pid: u32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("read the status");
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).expect("the ids in namespaces");
    line.split_ascii_whitespace().map(|pid| pid.parse().expect("a PID")).collect()
}

/// The last of a line of only children.
pub fn youngest(pid: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    match children.split_ascii_whitespace().next().and_then(|child| child.parse().ok()) {
        Some(child) => youngest(child),
        None => pid,
    }
}
