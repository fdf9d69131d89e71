//! Packages of any suite of Debian, fetched and not installed.
//!
//! apt itself chooses, fetches and checks them, with a state of its own in which nothing is installed, from the mirror
//! that this machine already uses.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, anyhow};

use crate::command::capture;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// apt with folders of its own.
pub(super) struct PrivateApt {
    work: PathBuf,
    suite: &'static str,
    mirror: String,
}

impl PrivateApt {
    /// For a suite, with all that it keeps in a folder that does not exist yet. It can fetch packages then.
    pub(super) fn new(work: PathBuf, suite: &'static str) -> Result<Self> {
        let mirror = mirror()?;
        for folder in ["lists/partial", "cache/archives/partial", "etc", "source"] {
            fs::create_dir_all(work.join(folder)).with_context(|| format!("create {folder}"))?;
        }
        fs::write(work.join("etc/status"), "").context("write an empty package list")?;
        let line = |kind| format!("{kind} [signed-by={KEYRING}] {mirror} {suite} main\n");
        fs::write(work.join("etc/sources.list"), line("deb") + &line("deb-src"))
            .context("write the sources")?;
        let apt = Self { work, suite, mirror };
        apt.run(&["update"])?;
        Ok(apt)
    }

    /// Fetches a package with all it depends on.
    pub(super) fn download(&self, package: &str) -> Result<Vec<PathBuf>> {
        self.run(&["install", "--download-only", "--yes", "--no-install-recommends", package])?;
        archives(&self.work.join("cache/archives"))
    }

    /// Fetches a package without what it depends on.
    pub(super) fn download_alone(&self, package: &str) -> Result<PathBuf> {
        self.run(&["download", package])?;
        let found = archives(&self.work.join("source"))?.into_iter().next();
        found.with_context(|| format!("find the package {package}"))
    }

    /// Fetches a package and all it depends on whose names begin so, without what else it depends on.
    pub(super) fn download_family(&self, package: &str, prefix: &str) -> Result<Vec<PathBuf>> {
        const ONLY_NEEDED: [&str; 7] = [
            "--recurse",
            "--no-recommends",
            "--no-suggests",
            "--no-conflicts",
            "--no-breaks",
            "--no-replaces",
            "--no-enhances",
        ];
        let tree = self.say("apt-cache", &[&["depends"], &ONLY_NEEDED[..], &[package]].concat())?;
        // What stands at the beginning of a line is a package, below it what it depends on.
        let family: Vec<&str> = tree.lines().filter(|line| line.starts_with(prefix)).collect();
        self.run(&[&["download"], &family[..]].concat())?;
        archives(&self.work.join("source"))
    }

    /// Fetches a source package and returns the archive of the sources as they are released, without Debian's changes.
    pub(super) fn download_source(&self, package: &str) -> Result<PathBuf> {
        self.run(&["source", "--download-only", package])?;
        let mut files = files(&self.work.join("source"))?.into_iter();
        // Beside it lies a signature, named like it.
        let is_archive = |path: &PathBuf| {
            path.to_string_lossy().contains(".orig.tar.") && path.extension().is_none_or(|kind| kind != "asc")
        };
        files.find(is_archive).with_context(|| format!("find the sources of {package}"))
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        self.say("apt-get", arguments).map(drop)
    }

    /// Runs one of apt's programs and returns what it says. The mirror is the machine's own business: it is not shown,
    /// not even in errors.
    fn say(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let option = |name: &str, path: &str| format!("{name}={}", self.work.join(path).display());
        let mut apt = Command::new(program);
        apt.arg("-qq").current_dir(self.work.join("source"));
        for setting in [
            option("Dir::State", ""),
            option("Dir::State::lists", "lists"),
            option("Dir::State::status", "etc/status"),
            option("Dir::Cache", "cache"),
            option("Dir::Etc::sourcelist", "etc/sources.list"),
            "Dir::Etc::sourceparts=/dev/null".into(),
            "Dir::Etc::preferences=/dev/null".into(),
            "Dir::Etc::preferencesparts=/dev/null".into(),
            "APT::Sandbox::User=".into(),
            "Acquire::Languages=none".into(),
            "Acquire::Retries=3".into(),
        ] {
            apt.arg("-o").arg(setting);
        }
        eprintln!("$ {program} (with a state of its own) {}", arguments.join(" "));
        capture(apt.args(arguments)).map_err(|error| {
            let host = self.mirror.split('/').nth(2).unwrap_or(&self.mirror);
            let told = format!("{error:#}").replace(&self.mirror, "the mirror/").replace(host, "the mirror");
            anyhow!("{told}").context(format!("get packages of Debian {}", self.suite))
        })
    }
}

fn archives(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut archives = files(folder)?;
    archives.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    archives.sort();
    Ok(archives)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
}

/// The archive that this machine's apt reads Debian from, by apt's own account.
fn mirror() -> Result<String> {
    let format = "$(REPO_URI) $(CODENAME) $(LABEL)";
    let targets =
        capture(Command::new("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]))?;
    let from = |wanted: fn(&str) -> bool| {
        targets.lines().find(|line| wanted(line)).and_then(|line| line.split(' ').next()).map(str::to_owned)
    };
    // The label is known once the lists are there; before, the archive for security is told by its name.
    from(|line| line.ends_with(" Debian"))
        .or_else(|| from(|line| line.contains("/debian/ ")))
        .context("find the Debian mirror in apt's sources: run `apt-get update`")
}
