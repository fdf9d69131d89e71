//! A build that is a package of Debian, in a root folder of its own.

use anyhow::Result;
use pythons::Python;

use crate::setup::debian_root::Root;

/// Imports modules that need libraries of other packages, too.
const PROOF: &str = "import asyncio, ctypes, ssl, sys; print(sys.version.split()[0])";

pub(super) fn ensure(python: &Python, suite: &'static str, package: &'static str) -> Result<()> {
    let program = format!("/usr/bin/{}", python.program());
    let root = Root {
        folder: python.folder(),
        stamp: python.stamp(),
        suite,
        package,
        proof: vec![program, "-c".into(), PROOF.into()],
    };
    root.ensure()
}
