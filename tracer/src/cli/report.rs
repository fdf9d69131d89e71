//! `pytracer report`.

use std::{io::Write as _, process::ExitCode};

use anyhow::Result;
use clap::Args;

use super::TableArguments;
use super::part::{Folder, PartArguments, verdict};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  pytracer report rec
  pytracer report rec --sort rss --limit 50
  pytracer report rec --merge
  pytracer report rec --time 2s..5s --function 'app.*'
  pytracer report rec --json | jq '.functions[0]'

Exit status 1: the recording was cut off or a part of it can't be read; the report is of the rest.")]
pub(super) struct Arguments {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    table: TableArguments,
    #[command(flatten)]
    part: PartArguments,
}

impl Arguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let mut source = self.part.open(&self.folder.dir)?;
        let report = source.summary(|_, _| {}).report;
        std::io::stdout().write_all(self.table.show(report)?.as_bytes())?;
        Ok(verdict(&source))
    }
}
