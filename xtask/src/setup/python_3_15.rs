//! CPython 3.15 of Debian sid, built with the probe points.

use anyhow::Result;

use super::sid::Root;

const INTERPRETER: Root = Root {
    folder: "pythons/3.15",
    package: "python3.15",
    proof: &["/usr/bin/python3.15", "-c", "import asyncio, ctypes, ssl, sys; print(sys.version.split()[0])"],
};

pub(super) fn ensure() -> Result<()> {
    INTERPRETER.ensure()
}
