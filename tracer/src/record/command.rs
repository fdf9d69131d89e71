//! The command that is traced from its first function: it is held until probes are in place, then waited for.

use std::{os::unix::process::ExitStatusExt as _, process::Child};

use anyhow::{Context as _, Result, bail};
use tokio::sync::oneshot;

use super::Targets;
use crate::{
    discover::{self, NotTraceable},
    launch::{Held, Step, exit_code},
    text::shown,
};

/// A program that names an interpreter's library has mapped it after so many stops at system calls, or does not use it. A
/// loader makes some hundred calls.
const MOST_CALLS: u32 = 5_000;

/// Starts the command, if one is to be traced, and holds it where it becomes a Python process.
pub(super) fn hold(targets: &Targets) -> Result<Option<Held>> {
    let Targets::Command(command) = targets else { return Ok(None) };
    let name = command.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let held = Held::start(command).with_context(|| format!("start `{}`", shown(&name)))?;
    let mut calls = None;
    while let Err(reason) = discover::inspect(held.pid()) {
        if !matches!(reason, NotTraceable::NotPython { .. }) {
            return Err(reason.into());
        }
        let left = calls.get_or_insert_with(|| calls_to_look_at(&held));
        let step = if *left > 0 { held.next_call()? } else { held.next_exec()? };
        match step {
            Step::Exec => calls = None,
            Step::Call => *left -= 1,
            Step::Ended(status) => bail!(
                "`{}` ended with status {} and never became a Python process; if it started one: name that interpreter instead, or have `pytracer record --wait --name NAME` run before it",
                shown(&name),
                exit_code(status)
            ),
        }
    }
    Ok(Some(held))
}

/// Within how many stops at system calls the program is to be found with an interpreter's library. None, if it does not
/// name one.
fn calls_to_look_at(held: &Held) -> u32 {
    if discover::names_library(held.pid()) { MOST_CALLS } else { 0 }
}

/// Waits for it in a thread of its own, which tells its exit code.
pub(super) fn wait_for(mut child: Child) -> oneshot::Receiver<u8> {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        if let Ok(status) = child.wait() {
            let _ = tell.send(exit_code(status.into_raw()));
        }
    });
    told
}

/// Its exit code, once it has ended; never where there is no command.
pub(super) async fn ended(child: &mut Option<oneshot::Receiver<u8>>) -> Option<u8> {
    match child {
        Some(told) => told.await.ok(),
        None => std::future::pending().await,
    }
}
