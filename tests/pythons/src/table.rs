//! The table.

use crate::{
    Python,
    Source::{Compiled, Installed, Package, Pyenv, Same, StrippedCopy},
    Trait::{Dtrace, FreeThreaded, Jit, SharedLibrary, Stripped},
};

impl Python {
    /// Every build; one that is made from another comes after it.
    pub const ALL: [Self; 15] = [
        Self::SHARED_3_8,
        Self::SHARED_3_9,
        Self::BULLSEYE_3_9,
        Self::SHARED_3_10,
        Self::DEBIAN_3_11,
        Self::SHARED_3_11,
        Self::STRIPPED_3_11,
        Self::SHARED_3_12,
        Self::STRIPPED_3_12,
        Self::SHARED_3_13,
        Self::SID_3_13,
        Self::NOGIL_3_13,
        Self::SID_3_14,
        Self::JIT_3_14,
        Self::SID_3_15,
    ];

    /// Those that stand for all where it would take too long to run every one.
    pub const REPRESENTATIVE: [Self; 3] = [Self::DEBIAN_3_11, Self::SID_3_14, Self::SID_3_15];

    /// 3.8 as most builds are that come from no distribution.
    pub const SHARED_3_8: Self =
        Self { name: "3.8-shared", version: "3.8", traits: &[SharedLibrary], sources: &[Pyenv] };

    /// 3.9 of the same kind.
    pub const SHARED_3_9: Self = Self {
        name: "3.9-shared",
        version: "3.9",
        traits: &[SharedLibrary],
        sources: &[
            Pyenv,
            Compiled { suite: "bullseye", package: "python3.9", options: &["--enable-shared"] },
        ],
    };

    /// Debian 11's.
    pub const BULLSEYE_3_9: Self = Self {
        name: "3.9-bullseye",
        version: "3.9",
        traits: &[Dtrace, Stripped],
        sources: &[Package { suite: "bullseye", package: "python3.9" }],
    };

    /// 3.10 without dtrace.
    pub const SHARED_3_10: Self =
        Self { name: "3.10-shared", version: "3.10", traits: &[SharedLibrary], sources: &[Pyenv] };

    /// Debian 12's.
    pub const DEBIAN_3_11: Self = Self {
        name: "3.11-debian",
        version: "3.11",
        traits: &[Dtrace, Stripped],
        sources: &[Installed("/usr/bin/python3.11")],
    };

    /// 3.11 without dtrace, as official container images have it.
    pub const SHARED_3_11: Self = Self {
        name: "3.11-shared",
        version: "3.11",
        traits: &[SharedLibrary],
        sources: &[
            Pyenv,
            Compiled { suite: "bookworm", package: "python3.11", options: &["--enable-shared"] },
        ],
    };

    /// The same, stripped.
    pub const STRIPPED_3_11: Self = Self {
        name: "3.11-shared-stripped",
        version: "3.11",
        traits: &[SharedLibrary, Stripped],
        sources: &[StrippedCopy(&Self::SHARED_3_11)],
    };

    /// 3.12 without dtrace.
    pub const SHARED_3_12: Self =
        Self { name: "3.12-shared", version: "3.12", traits: &[SharedLibrary], sources: &[Pyenv] };

    /// The same, stripped.
    pub const STRIPPED_3_12: Self = Self {
        name: "3.12-shared-stripped",
        version: "3.12",
        traits: &[SharedLibrary, Stripped],
        sources: &[StrippedCopy(&Self::SHARED_3_12)],
    };

    /// 3.13 without dtrace.
    pub const SHARED_3_13: Self = Self {
        name: "3.13-shared",
        version: "3.13",
        traits: &[SharedLibrary],
        sources: &[Pyenv, Compiled { suite: "trixie", package: "python3.13", options: &["--enable-shared"] }],
    };

    /// Debian sid's 3.13.
    pub const SID_3_13: Self = Self {
        name: "3.13-sid",
        version: "3.13",
        traits: &[Dtrace, Stripped],
        sources: &[Package { suite: "sid", package: "python3.13" }],
    };

    /// 3.13 without the GIL. No suite of Debian has it as a package.
    pub const NOGIL_3_13: Self = Self {
        name: "3.13-nogil",
        version: "3.13",
        traits: &[FreeThreaded],
        sources: &[Compiled { suite: "trixie", package: "python3.13", options: &["--disable-gil"] }],
    };

    /// Debian sid's 3.14.
    pub const SID_3_14: Self = Self {
        name: "3.14-sid",
        version: "3.14",
        traits: &[Dtrace, Stripped],
        sources: &[Package { suite: "sid", package: "python3.14" }],
    };

    /// The same with its JIT compiler.
    pub const JIT_3_14: Self = Self {
        name: "3.14-sid-jit",
        version: "3.14",
        traits: &[Dtrace, Stripped, Jit],
        sources: &[Same(&Self::SID_3_14)],
    };

    /// Debian sid's 3.15.
    pub const SID_3_15: Self = Self {
        name: "3.15-sid",
        version: "3.15",
        traits: &[Dtrace, Stripped],
        sources: &[Package { suite: "sid", package: "python3.15" }],
    };
}
