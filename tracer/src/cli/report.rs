//! `pytracer report`.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;

use super::TableArguments;
use crate::analysis::{Source, scope::Scope};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  pytracer report rec
  pytracer report rec --sort rss --limit 50
  pytracer report rec --merge
  pytracer report rec --json | jq '.functions[0]'

Exit status 1: the recording was cut off or a part of it can't be read; the report is of the rest.")]
pub(super) struct Arguments {
    /// Folder of a recording (`record -o`)
    dir: PathBuf,
    #[command(flatten)]
    table: TableArguments,
}

impl Arguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let mut source = Source::open(&self.dir, Scope::default())?;
        let report = source.summary(|_, _| {}).report;
        let (warnings, cut_off) = (source.warnings(), !source.recording().complete);
        for warning in &warnings {
            eprintln!("pytracer: {warning}");
        }
        if cut_off {
            eprintln!("pytracer: the recording was cut off: this is what was written by then");
        }
        std::io::stdout().write_all(self.table.show(report)?.as_bytes())?;
        Ok(if cut_off || !warnings.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
