//! Packages of Debian sid, unpacked into a folder that can be made the root of a process.
//!
//! They need sid's C library, so they get a root of their own and nothing of them is installed. apt itself chooses,
//! fetches and checks the packages, with a state of its own in which nothing is installed, from the mirror that
//! this machine already uses.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, anyhow};

use crate::{
    command::{capture, step},
    privilege, workspace,
};

const SUITE: &str = "sid";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A root folder with one package and all it depends on.
pub(super) struct Root {
    /// The folder, under the target folder.
    pub(super) folder: &'static str,
    /// The package.
    pub(super) package: &'static str,
    /// A command that works once the root is complete and prints the version, last on its first line.
    pub(super) proof: &'static [&'static str],
}

impl Root {
    /// Makes the folder, unless it is there.
    pub(super) fn ensure(&self) -> Result<()> {
        let (root, stamp) =
            (workspace::target(self.folder), workspace::target(&format!("{}.ready", self.folder)));
        if stamp.exists() && root.exists() {
            return Ok(());
        }
        step(&format!("fetching {} of Debian {SUITE} into target/{}", self.package, self.folder));
        let work = workspace::target(&format!("{}.work", self.folder));
        for old in [&root, &work] {
            if old.exists() {
                fs::remove_dir_all(old).with_context(|| format!("remove {}", old.display()))?;
            }
        }
        let archives = Apt::new(work.clone())?.download(self.package)?;
        unpack(&archives, &root)?;
        fs::remove_dir_all(&work).with_context(|| format!("remove {}", work.display()))?;
        let proof = capture(privilege::root("chroot")?.arg(&root).args(self.proof))?;
        let version = proof.lines().next().and_then(|line| line.split(' ').next_back()).unwrap_or_default();
        step(&format!("{} {version} is ready", self.package));
        fs::write(&stamp, version).context("write the stamp of the root")
    }
}

/// apt with folders of its own.
struct Apt {
    work: PathBuf,
    mirror: String,
}

impl Apt {
    fn new(work: PathBuf) -> Result<Self> {
        let mirror = mirror()?;
        for folder in ["lists/partial", "cache/archives/partial", "etc"] {
            fs::create_dir_all(work.join(folder)).with_context(|| format!("create {folder}"))?;
        }
        fs::write(work.join("etc/status"), "").context("write an empty package list")?;
        fs::write(
            work.join("etc/sources.list"),
            format!("deb [signed-by={KEYRING}] {mirror} {SUITE} main\n"),
        )
        .context("write the sources")?;
        Ok(Self { work, mirror })
    }

    /// Fetches the package with all it depends on.
    fn download(&self, package: &str) -> Result<Vec<PathBuf>> {
        self.run(&["update"])?;
        self.run(&["install", "--download-only", "--yes", "--no-install-recommends", package])?;
        let folder = fs::read_dir(self.work.join("cache/archives")).context("list the packages")?;
        let mut archives: Vec<PathBuf> = folder.filter_map(|entry| Some(entry.ok()?.path())).collect();
        archives.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
        archives.sort();
        Ok(archives)
    }

    /// The mirror is the machine's own business: it is not shown, not even in errors.
    fn run(&self, arguments: &[&str]) -> Result<()> {
        let option = |name: &str, path: &str| format!("{name}={}", self.work.join(path).display());
        let mut apt = Command::new("apt-get");
        apt.arg("-qq");
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
        eprintln!("$ apt-get (with a state of its own) {}", arguments.join(" "));
        capture(apt.args(arguments)).map(drop).map_err(|error| {
            let host = self.mirror.split('/').nth(2).unwrap_or(&self.mirror);
            let told = format!("{error:#}").replace(&self.mirror, "the mirror/").replace(host, "the mirror");
            anyhow!("{told}").context(format!("get packages of Debian {SUITE}"))
        })
    }
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

/// Unpacks the archives over the links that a merged `/usr` has.
fn unpack(archives: &[PathBuf], root: &Path) -> Result<()> {
    for folder in ["bin", "lib", "lib64", "sbin"] {
        fs::create_dir_all(root.join("usr").join(folder)).with_context(|| format!("create usr/{folder}"))?;
        symlink(Path::new("usr").join(folder), root.join(folder))
            .with_context(|| format!("link {folder}"))?;
    }
    eprintln!("$ dpkg-deb --extract ({} packages)", archives.len());
    for archive in archives {
        capture(Command::new("dpkg-deb").arg("--extract").arg(archive).arg(root))?;
    }
    Ok(())
}
