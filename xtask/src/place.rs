//! Where the kernel side runs: on this machine, or in a virtual machine if this one can't.

use std::{path::Path, process::Stdio};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::Deserialize;

use crate::{command::step, privilege, vm::Kernel};

#[derive(Args)]
pub(crate) struct Place {
    /// Run the kernel side on this machine, even if it seems unable to
    #[arg(long, conflicts_with = "vm")]
    host: bool,
    /// Run the kernel side in a virtual machine, with the kernel 6.1, 6.12 (the usual one), or sid for Debian's newest
    // With the sign, so that the name of a test may stand behind it.
    #[arg(long, value_name = "KERNEL", value_parser = Kernel::named)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = Kernel::USUAL)]
    vm: Option<Kernel>,
}

impl Place {
    /// Says how a kernel is chosen, if one was named as what comes behind: `--vm sid` is `--vm`, then `sid`.
    pub(crate) fn refuse_kernel(&self, behind: Option<&str>) -> Result<()> {
        match (self.vm, behind.map(Kernel::named)) {
            (Some(_), Some(Ok(kernel))) => bail!("a kernel is chosen by --vm={}", kernel.name),
            _ => Ok(()),
        }
    }

    /// The kernel of a virtual machine; `None`: this machine's own. Says why if it is not as usual.
    pub(crate) fn choose(&self, pytracer: &Path) -> Result<Option<Kernel>> {
        if self.vm.is_some() {
            return Ok(self.vm);
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Kernel, Place};

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        place: Place,
        filter: Option<String>,
    }

    fn parsed(words: &[&str]) -> Result<(Option<&'static str>, Option<String>), String> {
        let Arguments { place, filter } =
            Arguments::try_parse_from(["test"].iter().chain(words)).map_err(|error| error.to_string())?;
        place.refuse_kernel(filter.as_deref()).map_err(|error| error.to_string())?;
        Ok((place.vm.map(|kernel| kernel.name), filter))
    }

    #[test]
    fn the_name_of_a_test_is_no_kernel() {
        let usual = Some(Kernel::USUAL);
        let filter = Some("same_memory".to_owned());
        assert_eq!(parsed(&["same_memory"]), Ok((None, filter.clone())));
        assert_eq!(parsed(&["--vm"]), Ok((usual, None)));
        assert_eq!(parsed(&["--vm", "same_memory"]), Ok((usual, filter.clone())));
        assert_eq!(parsed(&["--vm=sid", "same_memory"]), Ok((Some("sid"), filter)));
        let error = parsed(&["--vm=2.4"]).expect_err("there is no such kernel");
        assert!(error.contains("take one of 6.1, 6.12, sid"), "{error}");
    }

    #[test]
    fn a_kernel_is_no_name_of_a_test() {
        assert_eq!(parsed(&["--vm", "sid"]), Err("a kernel is chosen by --vm=sid".into()));
        // Without it those of the builds of sid are meant.
        assert_eq!(parsed(&["sid"]), Ok((None, Some("sid".into()))));
    }
}
