//! CPython 3.15 of Debian sid, unpacked into a folder that can be made the root of a process.
//!
//! It needs sid's C library, so it gets a root of its own and nothing of it is installed. apt itself chooses,
//! fetches and checks the packages, with a state of its own in which nothing is installed, from the mirror that
//! this machine already uses.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    command::{capture, step},
    privilege, workspace,
};

/// The folder, under the target folder.
pub(crate) const ROOT: &str = "pythons/3.15";

const SUITE: &str = "sid";
const PACKAGE: &str = "python3.15";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

pub(super) fn ensure() -> Result<()> {
    let (root, stamp) = (workspace::target(ROOT), workspace::target("pythons/3.15.ready"));
    if stamp.exists() && root.join("usr/bin/python3.15").exists() {
        return Ok(());
    }
    step(&format!("fetching {PACKAGE} of Debian {SUITE} into target/{ROOT}"));
    let work = workspace::target("pythons/work");
    for old in [&root, &work] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("remove {}", old.display()))?;
        }
    }
    let archives = Apt::new(work.clone())?.download()?;
    unpack(&archives, &root)?;
    fs::remove_dir_all(&work).with_context(|| format!("remove {}", work.display()))?;
    let version = version(&root)?;
    step(&format!("CPython {version} is ready"));
    fs::write(&stamp, version).context("write the stamp of the interpreter")
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
    fn download(&self) -> Result<Vec<PathBuf>> {
        self.run(&["update"])?;
        self.run(&["install", "--download-only", "--yes", "--no-install-recommends", PACKAGE])?;
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
            let told = format!("{error:#}").replace(&self.mirror, "the mirror");
            anyhow::anyhow!("{told}").context(format!("get {PACKAGE} from Debian {SUITE}"))
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
    for folder in ["dev", "proc", "tmp", "work"] {
        fs::create_dir_all(root.join(folder)).with_context(|| format!("create {folder}"))?;
    }
    eprintln!("$ dpkg-deb --extract ({} packages)", archives.len());
    for archive in archives {
        capture(Command::new("dpkg-deb").arg("--extract").arg(archive).arg(root))?;
    }
    Ok(())
}

/// Starts the interpreter in its root.
fn version(root: &Path) -> Result<String> {
    let mut chroot = privilege::root("chroot")?;
    let code = "import ssl, sqlite3, asyncio, sys; print(sys.version.split()[0])";
    let version = capture(chroot.arg(root).args(["/usr/bin/python3.15", "-c", code]))?.trim().to_owned();
    if !version.starts_with("3.15.") {
        bail!("{} holds Python {version}", root.display());
    }
    Ok(version)
}
