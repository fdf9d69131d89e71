//! pprof, which comes with Go: the tests read exports with it. Of Debian's package only that program is kept.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};

use super::{private_apt::PrivateApt, work::Work};
use crate::{
    command::{capture, step},
    workspace,
};

const SUITE: &str = "bookworm";
const PACKAGE: &str = "golang-1.19-go";
const PROGRAM: &str = "usr/lib/go-1.19/pkg/tool/linux_amd64/pprof";

pub(super) fn ensure() -> Result<()> {
    let folder = workspace::target("pprof");
    let program = folder.join("pprof");
    if program.exists() {
        return Ok(());
    }
    step(&format!("fetching pprof of Debian {SUITE}"));
    let work = Work::begin(&folder)?;
    let archive = PrivateApt::new(work.folder("apt"), SUITE)?.download_alone(PACKAGE)?;
    let root = work.folder("root");
    capture(Command::new("dpkg-deb").arg("-x").args([&archive, &root]))?;
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    fs::rename(root.join(PROGRAM), program).context("keep pprof")?;
    work.end()
}
