//! bpftrace of Debian sid: that of Debian 12 can't probe addresses inside of functions.

use anyhow::Result;

use super::sid::Root;

pub(super) fn ensure() -> Result<()> {
    Root { folder: "bpftrace", package: "bpftrace", proof: &["/usr/bin/bpftrace", "--version"] }.ensure()
}
