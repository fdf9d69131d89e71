//! Packages of any suite of Debian, unpacked into a folder that can be made the root of a process.
//!
//! They need their suite's C library, so they get a root of their own and nothing of them is installed.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{private_apt::PrivateApt, work::Work};
use crate::{
    command::{capture, step},
    privilege,
};

/// A root folder with one package and all it depends on.
pub(super) struct Root {
    /// The folder.
    pub(super) folder: PathBuf,
    /// The file that says that it is complete.
    pub(super) stamp: PathBuf,
    /// The suite of Debian.
    pub(super) suite: &'static str,
    /// The package.
    pub(super) package: &'static str,
    /// A command that works once the root is complete and prints the version, last on its first line.
    pub(super) proof: Vec<String>,
}

impl Root {
    /// Makes the folder, unless it is there.
    pub(super) fn ensure(&self) -> Result<()> {
        if self.stamp.exists() && self.folder.exists() {
            return Ok(());
        }
        step(&format!("fetching {} of Debian {}", self.package, self.suite));
        let work = Work::begin(&self.folder)?;
        let archives = PrivateApt::new(work.folder("apt"), self.suite)?.download(self.package)?;
        unpack(&archives, &self.folder)?;
        work.end()?;
        let proof = capture(privilege::root("chroot")?.arg(&self.folder).args(&self.proof))?;
        let version = proof.lines().next().and_then(|line| line.split(' ').next_back()).unwrap_or_default();
        step(&format!("{} {version} is ready", self.package));
        fs::write(&self.stamp, version).context("write the stamp of the root")
    }
}

/// Unpacks the archives. Those of a suite with a merged `/usr` have nothing outside of it, and need the links into it.
fn unpack(archives: &[PathBuf], root: &Path) -> Result<()> {
    fs::create_dir_all(root).with_context(|| format!("create {}", root.display()))?;
    eprintln!("$ dpkg-deb --extract ({} packages)", archives.len());
    for archive in archives {
        capture(Command::new("dpkg-deb").arg("--extract").arg(archive).arg(root))?;
    }
    for folder in ["bin", "lib", "lib64", "sbin"] {
        if !root.join(folder).exists() {
            symlink(Path::new("usr").join(folder), root.join(folder))
                .with_context(|| format!("link {folder}"))?;
        }
    }
    Ok(())
}
