//! Which recording, and which part of it: the arguments that `report` and `export` share.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::values::duration;
use crate::analysis::Source;
use crate::analysis::scope::Scope;
use crate::filter::FunctionFilter;

/// A part of a recording.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Part of the recording")]
pub(super) struct PartArguments {
    /// Only from one time to another, counted from its beginning: 2s..5s, 1m30s.., ..500ms
    #[arg(long, value_name = "FROM..TO", value_parser = range)]
    time: Option<(u64, u64)>,
    /// Only this process (repeatable)
    #[arg(short, long, value_name = "PID")]
    pid: Vec<u32>,
    /// Only this thread (repeatable)
    #[arg(short, long, value_name = "TID")]
    tid: Vec<u32>,
    /// Only functions whose qualified name matches, with or without module: 'Order.total', 'app.*' (repeatable)
    #[arg(long, value_name = "GLOB")]
    function: Vec<String>,
    /// Only functions of files that match: '*/handlers/*.py' (repeatable; a function is kept if any glob matches)
    #[arg(long, value_name = "GLOB")]
    file: Vec<String>,
}

impl PartArguments {
    /// Opens this part of a recording. How far reading is shows on standard error, if that is a terminal.
    pub(super) fn open(&self, dir: &Path) -> Result<Source> {
        let mut source = Source::open(dir, self.scope()?)?;
        let style = ProgressStyle::with_template("reading {wide_bar} {pos}/{len} segments, {eta} left")?;
        // One for each time that the calls are read: a bar that has been cleared would show up again.
        let mut bar: Option<ProgressBar> = None;
        source.on_progress(move |read, all| {
            let shown = bar.get_or_insert_with(|| ProgressBar::new(all).with_style(style.clone()));
            shown.set_position(read);
            if read == all {
                shown.finish_and_clear();
                bar = None;
            }
        });
        Ok(source)
    }

    fn scope(&self) -> Result<Scope> {
        let (from, to) = self.time.unwrap_or((0, u64::MAX));
        Ok(Scope {
            time_ns: from..to,
            pids: self.pid.clone(),
            tids: self.tid.clone(),
            functions: FunctionFilter::new(&self.function, &self.file)?,
        })
    }
}

/// Says on standard error what is wrong with a recording that has been read: exit status 1 if anything is.
pub(super) fn verdict(source: &Source) -> ExitCode {
    let (warnings, complete) = (source.warnings(), source.recording().complete);
    for warning in &warnings {
        eprintln!("pytracer: {warning}");
    }
    if !complete {
        eprintln!("pytracer: the recording was cut off: this is what was written by then");
    }
    if complete && warnings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A folder of a recording, as an argument.
#[derive(Args, Clone, Debug)]
pub(super) struct Folder {
    /// Folder of a recording (`record -o`)
    pub(super) dir: PathBuf,
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let wrong = || "not a range of times: write 2s..5s, 1m30s.. or ..500ms".to_owned();
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let end = |text: &str, open: u64| match text.trim() {
        "" => Some(open),
        text => u64::try_from(duration(text)?.as_nanos()).ok(),
    };
    let (from, to) = (end(from, 0).ok_or_else(wrong)?, end(to, u64::MAX).ok_or_else(wrong)?);
    if from < to { Ok((from, to)) } else { Err("the range ends before it begins".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_open_where_nothing_is_said() {
        assert_eq!(range("2s..5s"), Ok((2_000_000_000, 5_000_000_000)));
        assert_eq!(range("..500ms"), Ok((0, 500_000_000)));
        assert_eq!(range("1.5.."), Ok((1_500_000_000, u64::MAX)));
        for bad in ["", "2s", "5s..2s", "now..then", "-1s..2s", "1s..1s"] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }
}
