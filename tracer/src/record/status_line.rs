//! The line that shows, in a terminal, how a recording goes.

use std::{
    io::{Write as _, stderr},
    time::{Duration, Instant},
};

use crate::{engine::Progress, report::Windowing, terminal, units};

/// Shown only where standard error is a terminal on which a line can be written again.
#[derive(Debug)]
pub(super) struct StatusLine {
    terminal: bool,
    /// When the recording will end.
    duration: Option<Duration>,
    events: u64,
    since: Instant,
}

impl StatusLine {
    pub(super) fn new(duration: Option<Duration>) -> Self {
        Self { terminal: terminal::rewrites_lines(), duration, events: 0, since: Instant::now() }
    }

    /// Is there anybody to show anything to?
    pub(super) fn is_shown(&self) -> bool {
        self.terminal
    }

    /// Shows elapsed time, events per second, losses, and resident memory of the processes together; how windows go, if
    /// there are any.
    pub(super) fn show(
        &mut self,
        elapsed: Duration,
        progress: &Progress,
        windows: Option<Windowing>,
        pids: impl Iterator<Item = u32>,
    ) {
        let events = progress.events();
        let seconds = self.since.elapsed().as_secs_f64().max(0.001);
        let rate = (events.saturating_sub(self.events) as f64 / seconds) as u64;
        (self.events, self.since) = (events, Instant::now());
        let rss: i64 = pids.map(resident_bytes).sum();
        let of = self.duration.map(|duration| format!(" of {}s", duration.as_secs_f64())).unwrap_or_default();
        let windows = windows.map_or_else(String::new, |windows| {
            let percent = |share: f64| format!("{:.1} %", share * 100.0);
            let (observed, cost) = (percent(windows.observed), percent(windows.believed_overhead));
            format!("  {observed} observed  cost {cost} of {}", percent(windows.max_overhead))
        });
        let text = format!(
            "{:.1}s{of}  {rate} events/s  {} lost  RSS {}{windows}",
            elapsed.as_secs_f64(),
            progress.lost(),
            units::size(rss.max(0) as u64)
        );
        let _ = write!(stderr(), "\r\x1b[K{text}");
    }

    pub(super) fn clear(&self) {
        if self.terminal {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

fn resident_bytes(pid: u32) -> i64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<i64>().ok()).unwrap_or(0) * 4096
}
