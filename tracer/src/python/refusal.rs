//! Why an interpreter image can't be traced, in words for its user: what it is, what is missing, what would help.

use std::fmt;

use thiserror::Error;

use super::{elf::ElfError, layout::LayoutError, plan::Version};

/// Why there is no plan for an image.
#[derive(Debug, Error)]
pub enum Refusal {
    /// Not a file that can be read as an x86-64 program.
    #[error("can't read the interpreter: {0}")]
    File(#[from] ElfError),
    /// Nothing of CPython in it.
    #[error("no CPython interpreter in this file")]
    NotPython,
    /// PyPy compiles Python to machine code of its own.
    #[error("PyPy is not supported: only CPython is")]
    PyPy,
    /// Before 3.8.
    #[error("CPython {0} is too old: 3.8 and later are supported")]
    TooOld(String),
    /// Newer than the tables.
    #[error("CPython {0} is not known to this release: look for a newer pytracer")]
    TooNew(Version),
    /// The tables know the version, but not what this build has.
    #[error("CPython {version} ({build}) can't be traced: {}", sentences(.lacks))]
    Unsupported {
        /// Which version.
        version: Version,
        /// How it was built.
        build: Build,
        /// What was looked for and not found; at least one.
        lacks: Vec<Lack>,
    },
}

impl Refusal {
    /// The version, where the file says.
    pub fn version(&self) -> Option<String> {
        match self {
            Self::TooNew(version) | Self::Unsupported { version, .. } => Some(version.to_string()),
            Self::TooOld(version) => Some(version.clone()),
            Self::File(_) | Self::NotPython | Self::PyPy => None,
        }
    }
}

fn sentences(lacks: &[Lack]) -> String {
    let all: Vec<_> = lacks.iter().map(ToString::to_string).collect();
    all.join("; ")
}

/// How an image was built, as far as a user can tell builds apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Build {
    /// A library, not a program.
    pub library: bool,
    /// Has USDT probes for functions.
    pub dtrace: bool,
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.library { "shared library" } else { "program" })?;
        f.write_str(if self.dtrace { ", with dtrace" } else { ", without dtrace" })
    }
}

/// What an image lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Lack {
    /// Object layout.
    #[error("{0}")]
    Layout(#[from] LayoutError),
    /// No table of opcode handlers.
    #[error(
        "it was built without computed gotos, or as a tail-call interpreter; use your distribution's build"
    )]
    HandlerTable,
    /// Too many opcodes at one address.
    #[error("opcode {0} shares its handler with too many others; use your distribution's build")]
    SharedHandler(u8),
    /// A handler without a usable place.
    #[error("the handler of {0} has no instruction that a probe can stand on cheaply")]
    Handler(&'static str),
    /// The function that runs frames (up to 3.10) has an unknown shape.
    #[error("the place where its frames begin or end was not found; use your distribution's build")]
    Run,
    /// USDT asked for, and not there.
    #[error(
        "it has no USDT probes for functions (CPython 3.12 to 3.14 never have them, others if built --with-dtrace); leave --source out"
    )]
    Usdt,
    /// USDT asked for, and broken.
    #[error("its USDT probe function__entry is not passed by calls from Python; leave --source out")]
    UsdtEntry,
    /// The function cannot be found.
    #[error("the function that clears a frame was not found")]
    FrameClear,
    /// No place where exceptions pass.
    #[error("the place where exceptions reach a frame was not found")]
    Raise,
    /// No type to know code objects by.
    #[error("the type of code objects was not found")]
    CodeType,
    /// No way to the stacks of threads.
    #[error("the place where it keeps its threads was not found")]
    Threads,
    /// No place where code objects are freed.
    #[error("the place where code objects are freed was not found")]
    CodeFreed,
}
