//! The interpreters of Debian sid: 3.14, stripped and without probe points for functions, and 3.15, which has them.

use anyhow::Result;

use super::sid::Root;

const ROOTS: [Root; 2] = [
    Root {
        folder: "pythons/3.14",
        package: "python3.14",
        proof: &[
            "/usr/bin/python3.14",
            "-c",
            "import asyncio, ctypes, ssl, sys; print(sys.version.split()[0])",
        ],
    },
    Root {
        folder: "pythons/3.15",
        package: "python3.15",
        proof: &[
            "/usr/bin/python3.15",
            "-c",
            "import asyncio, ctypes, ssl, sys; print(sys.version.split()[0])",
        ],
    },
];

pub(super) fn ensure() -> Result<()> {
    ROOTS.iter().try_for_each(Root::ensure)
}
