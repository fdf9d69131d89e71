//! Control groups of our own.

use std::{
    fs,
    path::{Path, PathBuf},
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

fn mount_point() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("read the mounts");
    let mount = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mut mount = mount.filter(|fields| fields.get(2) == Some(&"cgroup2"));
    mount.next().expect("a unified hierarchy is mounted")[1].into()
}
