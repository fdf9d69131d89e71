//! Who a process is, by what `/proc` says of it: what selectors are held against, and what `pytracer ps` shows.

use std::{fs, io, path::Path};

use super::{
    cgroup::{self, Container},
    containers,
    image::is_python_name,
    script::{Script, script},
};

/// Command lines are cut here, in bytes.
const MAX_COMMAND: usize = 4096;

/// A process, apart from its interpreter. All strings are its own choice: escape where shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Process id, as pytracer sees it.
    pub pid: u32,
    /// Its ids in the PID namespaces below pytracer's, the last as it sees itself; empty: it is in pytracer's own.
    pub inner_pids: Vec<u32>,
    /// Name as the kernel has it, at most 15 bytes.
    pub name: String,
    /// Path of the program; empty where that may not be seen.
    pub program: String,
    /// Command line.
    pub arguments: Vec<String>,
    /// What its interpreter runs.
    pub script: Option<Script>,
    /// Real user id, as pytracer's user namespace has it.
    pub real_uid: u32,
    /// Effective user id.
    pub effective_uid: u32,
    /// Control groups, that of the unified hierarchy first.
    pub cgroups: Vec<String>,
    /// The containers that it is in, the innermost last.
    pub containers: Vec<Container>,
}

impl Identity {
    /// Looks at a process.
    ///
    /// # Errors
    /// If it is gone, or may not be looked at.
    pub fn of(pid: u32) -> io::Result<Self> {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}"));
        let status = Status::read(&format!("/proc/{pid}/status"))?;
        let name = String::from_utf8_lossy(&read("comm")?).trim_end_matches('\n').to_owned();
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        let program = program.to_string_lossy().into_owned();
        let arguments = arguments(pid);
        let runs_python = [Some(&program), arguments.first()]
            .into_iter()
            .flatten()
            .any(|path| is_python_name(Path::new(path)));
        let cgroups = cgroup::paths(&String::from_utf8_lossy(&read("cgroup").unwrap_or_default()));
        Ok(Self {
            pid,
            inner_pids: status.inner_pids(),
            name,
            program,
            script: runs_python.then(|| script(&arguments)).flatten(),
            arguments,
            real_uid: status.real_uid,
            effective_uid: status.effective_uid,
            containers: containers(&cgroups),
            cgroups,
        })
    }

    /// Command line, arguments separated by spaces.
    pub fn command(&self) -> String {
        self.arguments.join(" ")
    }

    /// The control group that says most: the first that is not the root of its hierarchy.
    pub fn cgroup(&self) -> Option<&str> {
        self.cgroups.iter().map(String::as_str).find(|path| *path != "/")
    }

    /// The systemd unit.
    pub fn unit(&self) -> Option<&str> {
        self.cgroups.iter().find_map(|path| cgroup::unit(path))
    }
}

/// By the first hierarchy that knows of any.
fn containers(cgroups: &[String]) -> Vec<Container> {
    let found = cgroups.iter().map(|path| cgroup::containers(path)).find(|found| !found.is_empty());
    let mut found = found.unwrap_or_default();
    for container in &mut found {
        container.name = containers::name(container);
    }
    found
}

/// Command line of a process, arguments separated by spaces; empty: none, or it may not be seen. Escape where shown.
pub fn command(pid: u32) -> String {
    arguments(pid).join(" ")
}

/// The ids of a process in the PID namespaces below ours, the last as it sees itself; empty: it is in ours, or gone.
pub fn inner_pids(pid: u32) -> Vec<u32> {
    Status::read(&format!("/proc/{pid}/status")).map(|status| status.inner_pids()).unwrap_or_default()
}

/// The id of a thread as it sees itself, which in a PID namespace below ours is another one than here; `None`: it is gone.
pub fn own_tid(pid: u32, tid: u32) -> Option<u32> {
    Status::read(&format!("/proc/{pid}/task/{tid}/status")).ok()?.pids.last().copied()
}

/// Command line of a process, argument by argument; empty: none, or it may not be seen.
pub(super) fn arguments(pid: u32) -> Vec<String> {
    let mut bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    bytes.truncate(MAX_COMMAND);
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|&b| b == 0).map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
}

/// The lines of `/proc/PID/status` that are used here.
#[derive(Default)]
struct Status {
    real_uid: u32,
    effective_uid: u32,
    /// In each PID namespace from that of `/proc` on inwards.
    pids: Vec<u32>,
}

impl Status {
    fn read(path: &str) -> io::Result<Self> {
        Ok(Self::parse(&String::from_utf8_lossy(&fs::read(path)?)))
    }

    fn parse(text: &str) -> Self {
        let numbers = |key: &str| -> Vec<u32> {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap_or_default().split_ascii_whitespace().filter_map(|n| n.parse().ok()).collect()
        };
        let uids = numbers("Uid:");
        let uid = |at: usize| uids.get(at).copied().unwrap_or_default();
        Self { real_uid: uid(0), effective_uid: uid(1), pids: numbers("NSpid:") }
    }

    fn inner_pids(&self) -> Vec<u32> {
        self.pids.get(1..).unwrap_or_default().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_process() {
        let own = Identity::of(std::process::id()).expect("ourselves");
        assert_eq!(own.pid, std::process::id());
        assert_eq!(own.program, std::env::current_exe().expect("a path").to_string_lossy());
        assert_eq!(own.arguments, std::env::args().collect::<Vec<_>>());
        // SAFETY: no arguments.
        assert_eq!(own.effective_uid, unsafe { libc::geteuid() });
        assert!(own.script.is_none() && !own.cgroups.is_empty());
        assert!(Identity::of(u32::MAX).is_err());
    }

    #[test]
    fn ids_of_nested_namespaces() {
        let status = Status::parse("Name:\tx\nUid:\t1000\t0\t0\t0\nNSpid:\t4711\t12\t1\n");
        assert_eq!((status.real_uid, status.effective_uid), (1000, 0));
        assert_eq!(status.inner_pids(), [12, 1]);
        assert!(Status::parse("").inner_pids().is_empty());
    }
}
