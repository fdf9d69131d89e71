//! Test programs under names that no other process on the machine has, and that anyone can read.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{program, scratch};

/// A folder with copies of a program and of what it imports. It is gone with its value.
#[derive(Debug)]
pub struct Copies(TempDir);

impl Copies {
    /// Copies a program.
    pub fn of(name: &str) -> Self {
        let folder = scratch();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("open it to all");
        for name in [name, "protocol.py", "truth.py"] {
            fs::copy(program(name), folder.path().join(name)).expect("copy a program");
        }
        Self(folder)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// The path of a copy.
    pub fn program(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
