//! bpftrace of Debian sid: that of Debian 12 can't probe addresses inside of functions.

use anyhow::Result;

use super::debian_root::Root;
use crate::workspace;

pub(super) fn ensure() -> Result<()> {
    let root = Root {
        folder: workspace::target("bpftrace"),
        stamp: workspace::target("bpftrace.ready"),
        suite: "sid",
        package: "bpftrace",
        proof: ["/usr/bin/bpftrace", "--version"].map(str::to_owned).into(),
    };
    root.ensure()
}
