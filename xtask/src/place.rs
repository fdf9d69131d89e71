//! Where the kernel side runs: on this machine, or in a virtual machine if this one can't.

use std::{path::Path, process::Stdio};

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Deserialize;

use crate::{command::step, privilege, vm::Kernel};

#[derive(Args)]
pub(crate) struct Place {
    /// Run the kernel side on this machine, even if it seems unable to
    #[arg(long, conflicts_with = "vm")]
    host: bool,
    /// Run the kernel side in a virtual machine, with the kernel 6.1, 6.12, or sid for Debian's newest
    #[arg(long, value_name = "KERNEL", num_args = 0..=1, default_missing_value = Kernel::USUAL)]
    vm: Option<String>,
}

impl Place {
    /// The kernel of a virtual machine; `None`: this machine's own. Says why if it is not as usual.
    pub(crate) fn choose(&self, pytracer: &Path) -> Result<Option<Kernel>> {
        if let Some(name) = &self.vm {
            return Kernel::named(name).map(Some);
        }
        let Some(why) = obstacle(pytracer) else { return Ok(None) };
        if self.host {
            step(&format!("this machine seems unable to trace ({why}); trying all the same"));
            return Ok(None);
        }
        let name = Kernel::USUAL;
        step(&format!(
            "this machine can't trace: {why}; using a virtual machine with Linux {name} (--host: this machine all the same)"
        ));
        Kernel::named(name).map(Some)
    }
}

/// What keeps this machine from tracing, in the words of pytracer's own checks.
fn obstacle(pytracer: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Report {
        checks: Vec<Check>,
    }
    #[derive(Deserialize)]
    struct Check {
        name: String,
        status: String,
        found: String,
    }
    let checked = || -> Result<Vec<Check>> {
        let mut doctor = privilege::root(pytracer)?;
        doctor.args(["doctor", "--json"]).stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = doctor.output().context("start pytracer as root")?;
        let report: Report = serde_json::from_slice(&output.stdout).context("run pytracer as root")?;
        Ok(report.checks)
    };
    match checked() {
        Ok(checks) => {
            let failed = checks.iter().filter(|check| check.status == "fail");
            let reasons: Vec<_> = failed.map(|check| format!("{}: {}", check.name, check.found)).collect();
            (!reasons.is_empty()).then(|| reasons.join("; "))
        }
        Err(why) => Some(format!("{why:#}")),
    }
}
