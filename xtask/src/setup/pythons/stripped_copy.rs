//! A build whose program and library are copies of another build's, without the table of symbols.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};
use pythons::Python;

use crate::{
    command::{capture, run, step},
    setup::work::Work,
};

pub(super) fn ensure(copy: &Python, original: &Python) -> Result<()> {
    let library = original.locate()?.image;
    let made_from = library.display().to_string();
    let is_ready = fs::read_to_string(copy.stamp()).is_ok_and(|stamp| stamp == made_from);
    if is_ready && copy.folder().exists() {
        return Ok(());
    }
    step(&format!("making a stripped copy of {original}"));
    Work::begin(&copy.folder())?.end()?;
    let prefix = library.ancestors().nth(2).context("find the prefix of the library")?;
    for file in [format!("bin/{}", copy.program()), format!("lib/{}", copy.library())] {
        strip(&prefix.join(&file), &copy.folder().join(&file))?;
    }
    fs::write(copy.stamp(), made_from).context("write the stamp of the copy")?;
    let words = copy.locate()?.words;
    capture(Command::new(&words[0]).args(&words[1..]).args(["-c", "import ctypes"])).map(drop)
}

fn strip(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().context("find the folder of the copy")?;
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    run(Command::new("strip").arg("--strip-all").arg("-o").arg(to).arg(from))
}
