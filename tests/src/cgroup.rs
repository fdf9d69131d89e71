//! Control groups of our own.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{kernel, wait};

/// A new group in the unified hierarchy; it is gone with its value, once its processes are.
#[derive(Debug)]
pub struct Cgroup {
    folder: PathBuf,
    path: String,
}

impl Cgroup {
    /// Makes a group below the root, and those above it.
    pub fn new(path: &str) -> Self {
        kernel::need_privilege();
        let folder = mount_point().join(path.trim_start_matches('/'));
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("create {}: {error}", folder.display()));
        Self { folder, path: path.to_owned() }
    }

    /// Its path, as `/proc/PID/cgroup` has it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Moves a process into it.
    pub fn add(&self, pid: u32) {
        fs::write(self.folder.join("cgroup.procs"), pid.to_string()).expect("move a process into the group");
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A group with processes can't go. They end after those who wait for them were told.
        let gone = || match fs::remove_dir(&self.folder) {
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
            Ok(()) => true,
        };
        if std::thread::panicking() {
            gone();
        } else {
            wait::until("the group is empty", gone);
        }
        let above = Path::new(&self.path).ancestors().skip(1).filter(|path| path.parent().is_some());
        for path in above {
            // Another test may use it.
            let _ = fs::remove_dir(mount_point().join(path.strip_prefix("/").unwrap_or(path)));
        }
    }
}

/// A new group of the memory controller, of either version. It is gone with its value, once its processes are.
#[derive(Debug)]
pub struct MemoryGroup {
    folder: PathBuf,
    unified: bool,
}

impl MemoryGroup {
    /// Makes a group without a limit.
    pub fn new(name: &str) -> Self {
        kernel::need_privilege();
        let (root, unified) = match controller_mount("memory") {
            Some(root) => (root, false),
            None => (mount_point(), true),
        };
        if unified {
            fs::write(root.join("cgroup.subtree_control"), "+memory").expect("have the memory controller");
        }
        let folder = root.join(name);
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("create {}: {error}", folder.display()));
        Self { folder, unified }
    }

    /// A command that becomes a program in the group; arguments are those of the program.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"echo $$ > "$0" && exec "$@""#]).arg(self.folder.join("cgroup.procs"));
        shell.arg(program);
        shell
    }

    /// Lets it have no more than it has now, and so many bytes.
    pub fn limit_to_more(&self, bytes: u64) {
        let usage = if self.unified { "memory.current" } else { "memory.usage_in_bytes" };
        let used = fs::read_to_string(self.folder.join(usage)).expect("read what is used");
        let used: u64 = used.trim().parse().expect("a number of bytes");
        self.set_limit(&(used + bytes).to_string());
    }

    /// Lets it have as much as there is.
    pub fn lift_limit(&self) {
        self.set_limit(if self.unified { "max" } else { "-1" });
    }

    fn set_limit(&self, limit: &str) {
        let file = if self.unified { "memory.max" } else { "memory.limit_in_bytes" };
        fs::write(self.folder.join(file), limit).expect("set the limit");
    }

    /// How many processes the kernel has killed because memory ran out.
    pub fn kills(&self) -> u64 {
        let file = if self.unified { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(self.folder.join(file)).expect("read what was killed");
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.parse().ok()).expect("it counts what was killed")
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // The processes that were started by `command` end with their own values; a group that still has some stays.
        let gone = || fs::remove_dir(&self.folder).is_ok();
        if std::thread::panicking() {
            gone();
        } else {
            wait::until("the group is empty", gone);
        }
    }
}

/// Where a controller of the first version is mounted.
fn controller_mount(name: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("read the mounts");
    let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mount = mounts.find(|fields| {
        fields.get(2) == Some(&"cgroup")
            && fields.get(3).is_some_and(|options| options.split(',').any(|o| o == name))
    })?;
    Some(mount[1].into())
}

fn mount_point() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("read the mounts");
    let mount = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mut mount = mount.filter(|fields| fields.get(2) == Some(&"cgroup2"));
    mount.next().expect("a unified hierarchy is mounted")[1].into()
}
