//! A first look: a small service, traced for a few seconds, on this machine or in a virtual one.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{
    build,
    command::{self, step},
    place::Place,
    privilege, setup, vm, workspace,
};

/// Seconds that the demonstration may take in a virtual machine.
const VM_SECONDS: u64 = 180;

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// Show what is built already: how it is done in a virtual machine
    #[arg(long, hide = true, conflicts_with_all = ["host", "vm"])]
    built: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if options.built {
        return show(&build::binary());
    }
    setup::demo()?;
    let binary = build::release()?;
    let Some(kernel) = options.place.choose(&binary)? else { return show(&binary) };
    let own = std::env::current_exe().context("find this program")?;
    let words = [own.display().to_string(), "demo".into(), "--built".into()];
    match vm::run_words(kernel, &words, VM_SECONDS)? {
        0 => Ok(()),
        status => bail!("the demonstration ended with exit status {status} in the virtual machine"),
    }
}

fn show(binary: &Path) -> Result<()> {
    let service = Service::start()?;
    let pid = service.0.id();
    step(&format!("attaching to PID {pid} for five seconds; the service does not notice"));
    command::run(
        privilege::root(binary)?
            .args(["record", "--duration", "5s", "--limit", "20", "-p"])
            .arg(pid.to_string()),
    )?;
    step("ending the service");
    Ok(())
}

/// The service; it is ended with its value.
struct Service(Child);

impl Service {
    /// Starts it and waits until it serves.
    fn start() -> Result<Self> {
        step("starting a small Python service");
        let mut python = Command::new(setup::PYTHON_3_11);
        python.arg(workspace::root().join("tests/programs/service.py"));
        command::print(&python);
        let child =
            python.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut service = Self(child.context("start the service")?);
        let stdout = service.0.stdout.take().context("listen to the service")?;
        BufReader::new(stdout).read_line(&mut String::new()).context("wait for the service")?;
        Ok(service)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It can only fail if the service is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
