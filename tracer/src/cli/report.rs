//! `pytracer report`.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Args;

use super::TableArguments;
use super::export::create;
use super::part::{Folder, PartArguments, verdict};
use crate::html;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  pytracer report rec
  pytracer report rec --sort rss --limit 50
  pytracer report rec --merge
  pytracer report rec --time 2s..5s --function 'app.*'
  pytracer report rec --html rec.html
  pytracer report rec --json | jq '.functions[0]'

Exit status 1: the recording was cut off or a part of it can't be read; the report is of the rest.")]
pub(super) struct Arguments {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    table: TableArguments,
    /// Instead write a page for a browser, with tables and graphs of everything, into this file, which must not exist; -:
    /// standard output
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "sort", "merge", "limit"])]
    html: Option<PathBuf>,
    #[command(flatten)]
    part: PartArguments,
}

impl Arguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let mut source = self.part.open(&self.folder.dir)?;
        if let Some(path) = &self.html {
            let mut out = create(path)?;
            html::write(&mut source, &mut out)?;
            out.flush().with_context(|| format!("can't write {}", path.display()))?;
            return Ok(verdict(&source));
        }
        let report = source.summary(|_, _| {}).report;
        std::io::stdout().write_all(self.table.show(report)?.as_bytes())?;
        Ok(verdict(&source))
    }
}
