//! A first look: a small service, traced for a few seconds.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::{
    build,
    command::{self, step},
    privilege, setup, workspace,
};

pub(crate) fn run() -> Result<()> {
    setup::demo()?;
    let binary = build::release()?;
    let service = Service::start()?;
    let pid = service.0.id();
    step(&format!("attaching to PID {pid} for five seconds; the service does not notice"));
    command::run(
        privilege::root(&binary)?
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
