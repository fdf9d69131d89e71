//! Which Rust toolchain compiles the kernel programs.
//!
//! The BPF target has no prebuilt `core`, so the compiler's own library sources must be there, and its LLVM must not
//! be newer than the one inside `bpf-linker`. One file for the build script and for `xtask setup`, so that both mean
//! the same by "usable". The user's rustup is only looked at here; `xtask setup` may add
//! the library sources to it.

use std::{
    env,
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Names the toolchain to use: a rustup name, or a directory that has `bin/cargo` and `bin/rustc`.
pub(crate) const OVERRIDE: &str = "PYTRACER_BPF_TOOLCHAIN";

/// The LLVM that `xtask setup` builds `bpf-linker` with: it reads bitcode of this major version and of older ones.
pub(crate) const LINKER_LLVM: u32 = 22;

/// Where `xtask setup` puts `bpf-linker`, under the workspace.
pub(crate) const LINKER_DIR: &str = "target/tools/bin";

/// The rustup toolchains that are tried, in order.
pub(crate) const RUSTUP_NAMES: [&str; 2] = ["nightly", "stable"];

/// Where a distribution installs its toolchain.
pub(crate) const DISTRIBUTION: &str = "/usr";

/// A compiler that can build for BPF.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// What the user would call it.
    pub(crate) name: String,
    /// The sysroot: `bin/cargo`, `bin/rustc` and `lib/rustlib` are in it.
    pub(crate) root: PathBuf,
    /// A released compiler takes `-Z` flags only when told that it bootstraps.
    pub(crate) nightly: bool,
}

/// Why a toolchain can't be used.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// There is no such toolchain.
    Absent,
    /// The sources of `core` are not installed.
    NoSources,
    /// The compiler's LLVM is newer than the linker's.
    LlvmTooNew(u32),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => write!(f, "not installed"),
            Self::NoSources => write!(f, "no sources of the core library (rust-src)"),
            Self::LlvmTooNew(major) => {
                write!(f, "its LLVM {major} is newer than bpf-linker's LLVM {LINKER_LLVM}")
            }
        }
    }
}

/// The toolchain to use, or what is wrong with each that was looked at.
pub(crate) fn choose() -> Result<Toolchain, String> {
    if let Some(wanted) = env::var_os(OVERRIDE).filter(|name| !name.is_empty()) {
        return named(&wanted).map_err(|why| format!("{OVERRIDE}={}: {why}", wanted.display()));
    }
    let mut tried = Vec::new();
    for name in RUSTUP_NAMES.into_iter().map(OsStr::new).chain([OsStr::new(DISTRIBUTION)]) {
        match named(name) {
            Ok(toolchain) => return Ok(toolchain),
            Err(why) => tried.push(format!("{}: {why}", name.display())),
        }
    }
    Err(format!("no toolchain can compile the kernel programs ({})", tried.join("; ")))
}

/// The toolchain of this rustup name or directory.
pub(crate) fn named(name: &OsStr) -> Result<Toolchain, Unusable> {
    let root = if Path::new(name).is_absolute() {
        PathBuf::from(name)
    } else {
        let sysroot = stdout(tool("rustup").arg("run").arg(name).args(["rustc", "--print", "sysroot"]));
        PathBuf::from(sysroot.ok_or(Unusable::Absent)?)
    };
    let (cargo, rustc) = (root.join("bin/cargo"), root.join("bin/rustc"));
    let version = stdout(tool(&rustc).arg("-vV")).filter(|_| cargo.exists()).ok_or(Unusable::Absent)?;
    if !root.join("lib/rustlib/src/rust/library/core/Cargo.toml").exists() {
        return Err(Unusable::NoSources);
    }
    match llvm_major(&version) {
        Some(major) if major > LINKER_LLVM => Err(Unusable::LlvmTooNew(major)),
        _ => Ok(Toolchain {
            name: name.display().to_string(),
            root,
            nightly: version.lines().any(|line| line.starts_with("release:") && line.contains("nightly")),
        }),
    }
}

impl Toolchain {
    /// This toolchain's cargo, not disturbed by the cargo, rustup or clippy that this process runs under, with
    /// `bpf-linker` on its path. Takes `-Z` flags.
    pub(crate) fn cargo(&self, workspace: &Path) -> Command {
        self.run("cargo", workspace)
    }

    /// Its clippy, if that is installed. Not by way of cargo, which would take a rustup's that lies in its home.
    pub(crate) fn clippy(&self, workspace: &Path) -> Option<Command> {
        let mut clippy = self.run("cargo-clippy", workspace);
        clippy.env("CARGO", self.root.join("bin/cargo")).arg("clippy");
        self.root.join("bin/cargo-clippy").exists().then_some(clippy)
    }

    fn run(&self, program: &str, workspace: &Path) -> Command {
        let mut command = tool(self.root.join("bin").join(program));
        command.env("RUSTC", self.root.join("bin/rustc")).env("PATH", self.path(workspace));
        if !self.nightly {
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        command
    }

    fn path(&self, workspace: &Path) -> std::ffi::OsString {
        let inherited = env::var_os("PATH").unwrap_or_default();
        let first = [workspace.join(LINKER_DIR), self.root.join("bin")];
        // Fails only if a directory's name has a colon; the inherited path is then the best there is.
        env::join_paths(first.into_iter().chain(env::split_paths(&inherited))).unwrap_or(inherited)
    }
}

/// The flags every compilation for BPF needs, as `CARGO_ENCODED_RUSTFLAGS` wants them.
///
/// Paths are remapped: the object must not depend on where it was built.
pub(crate) fn rustflags(toolchain: &Toolchain, workspace: &Path) -> std::ffi::OsString {
    let mut flags: Vec<std::ffi::OsString> =
        ["--cfg=bpf_target_arch=\"x86_64\"", "-Cdebuginfo=2", "-Clink-arg=--btf"].map(Into::into).into();
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    // The last prefix that fits wins, so the widest stands first.
    let prefixes = [
        Some((toolchain.root.clone(), "/rust")),
        home.map(|home| (home, "/cargo")),
        Some((workspace.into(), ".")),
    ];
    for (from, to) in prefixes.into_iter().flatten() {
        let mut flag = std::ffi::OsString::from("--remap-path-prefix=");
        flag.push(from);
        flag.push("=");
        flag.push(to);
        flags.push(flag);
    }
    flags.join(OsStr::new("\x1f"))
}

/// A command free of what an outer cargo or rustup leaves in the environment for its children.
fn tool(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let outer = |name: &str| match name {
        "LD_LIBRARY_PATH" | "RUSTC" | "RUSTDOC" | "RUSTFLAGS" | "RUSTUP_TOOLCHAIN" | "CARGO" => true,
        "CARGO_HOME" | "CARGO_MAKEFLAGS" => false,
        _ => {
            let settings = ["CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_"];
            name.starts_with("RUSTC_")
                || name.starts_with("CLIPPY_")
                || name.starts_with("CARGO_") && !settings.iter().any(|kept| name.starts_with(kept))
        }
    };
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(outer)) {
        command.env_remove(name);
    }
    command
}

fn stdout(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn llvm_major(version: &str) -> Option<u32> {
    let line = version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    line.split('.').next()?.parse().ok()
}
