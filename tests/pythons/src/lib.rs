//! The CPython builds that pytracer is tested with: one [table](Python::ALL), for `xtask`, which gets them, and for the
//! tests, which run them.

mod location;
mod table;

use std::{fmt, path::PathBuf};

pub use location::{Location, Missing, in_root, workspace};

/// A build of CPython.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Python {
    name: &'static str,
    version: &'static str,
    traits: &'static [Trait],
    sources: &'static [Source],
}

/// What sets a build apart from others of its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trait {
    /// Configured with `--with-dtrace`. Only up to 3.11 and from 3.15 on does that make probe points for functions.
    Dtrace,
    /// The interpreter is in `libpython`, not in the program.
    SharedLibrary,
    /// Without the table of symbols.
    Stripped,
    /// Configured with `--disable-gil`.
    FreeThreaded,
    /// Run with the JIT compiler switched on.
    Jit,
}

/// A way to get a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This program, which the machine's own distribution installs.
    Installed(&'static str),
    /// Any patch version of the minor version that pyenv has built.
    Pyenv,
    /// A package of a suite of Debian, in a root folder of its own.
    Package {
        /// The suite.
        suite: &'static str,
        /// The package.
        package: &'static str,
    },
    /// The source package of a suite of Debian, compiled.
    Compiled {
        /// The suite.
        suite: &'static str,
        /// The source package.
        package: &'static str,
        /// Options of `configure`.
        options: &'static [&'static str],
    },
    /// A stripped copy of another build.
    StrippedCopy(&'static Python),
    /// The same files as another build.
    Same(&'static Python),
}

impl Python {
    /// Its name, which begins with the version.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The first two numbers of its version.
    pub fn version(&self) -> &'static str {
        self.version
    }

    /// Is it such a build?
    pub fn has(&self, wanted: Trait) -> bool {
        self.traits.contains(&wanted)
    }

    /// The ways to get it, the preferred one first.
    pub fn sources(&self) -> &'static [Source] {
        self.sources
    }

    /// The module that its tests are in, as it stands in their names.
    pub fn test_module(&self) -> String {
        format!("cpython_{}", self.name.replace(['.', '-'], "_"))
    }

    /// Its folder, if it has one: where a package is unpacked, and what is compiled or copied is installed.
    pub fn folder(&self) -> PathBuf {
        workspace().join("target/pythons").join(self.name)
    }

    /// The file that says that the folder is complete, and what it was made from.
    pub fn stamp(&self) -> PathBuf {
        workspace().join(format!("target/pythons/{}.ready", self.name))
    }

    /// The folder of packages of PyPI for it.
    pub fn packages(&self) -> PathBuf {
        workspace().join(format!("target/pythons/{}.packages", self.name))
    }

    /// The name of its program.
    pub fn program(&self) -> String {
        format!("python{}", self.version)
    }

    /// The name of its shared library.
    pub fn library(&self) -> String {
        format!("libpython{}.so.1.0", self.version)
    }

    /// What sets the build apart, in words: `program, dtrace, stripped`.
    pub fn build(&self) -> String {
        let has = |wanted, yes: &'static str, no: &'static str| if self.has(wanted) { yes } else { no };
        [
            has(Trait::SharedLibrary, "shared library", "program"),
            has(Trait::Dtrace, ", dtrace", ", without dtrace"),
            has(Trait::Stripped, ", stripped", ""),
            has(Trait::FreeThreaded, ", free-threaded", ""),
            has(Trait::Jit, ", JIT on", ""),
        ]
        .concat()
    }
}

impl fmt::Display for Python {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPython {} ({})", self.version, self.build())
    }
}
