//! Signals that end a recording.

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What ends a recording from outside.
pub(super) struct Stop {
    /// It has.
    pub(super) was_asked: bool,
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            was_asked: false,
            interrupt: signal(SignalKind::interrupt()).context("listen for SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("listen for SIGTERM")?,
        })
    }

    /// Waits until somebody asks for the end.
    pub(super) async fn asked(&mut self) {
        if !self.was_asked {
            tokio::select! { _ = self.interrupt.recv() => {}, _ = self.terminate.recv() => {} }
            self.was_asked = true;
        }
    }
}
