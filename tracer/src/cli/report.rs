//! `pytracer report`.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;

use super::output::Output;
use super::part::{Folder, PartArguments, verdict};
use super::view::ViewArguments;
use crate::{html, views};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  pytracer report rec                                    the table by function
  pytracer report rec --sort rss --limit 50
  pytracer report rec --by module --sort cum-rss         by file, module, thread, process, task
  pytracer report rec --by task --sort cum               what each asyncio task ran and waited
  pytracer report rec --view tree                        what called what, by wall time
  pytracer report rec --view tree --of off-cpu --by thread --min-share 5%
  pytracer report rec --view callers --of rss            what adds memory, and who calls it
  pytracer report rec --view tasks                       coroutines: running and waiting
  pytracer report rec --view latency --merge             p50, p90, p99 and longest of each function
  pytracer report rec --view slowest --function 'app.*'  single calls with stack and time of day
  pytracer report rec --view slowest --sort self         those that were slow by themselves
  pytracer report rec --view growth --limit 20           calls that added most memory
  pytracer report rec --view memory --time 10s..20s      memory over time, and what moved it
  pytracer report rec --view leaks                       memory that stayed, by call path
  pytracer report rec --merge                            all processes as one
  pytracer report rec --time 2s..5s --function 'app.*'
  pytracer report rec --html rec.html                    everything as a page for a browser
  pytracer report rec --json | jq '.functions[0]'

Exit status 1: the recording was cut off or a part of it can't be read; the report is of the rest.")]
pub(super) struct Arguments {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    view: ViewArguments,
    /// Instead write a page for a browser, with tables and graphs of everything, into this file, which must not exist; -:
    /// standard output
    #[arg(long, value_name = "FILE", conflicts_with = "ViewArguments")]
    html: Option<PathBuf>,
    #[command(flatten)]
    part: PartArguments,
}

impl Arguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let options = self.view.options();
        let mut source = self.part.open(&self.folder.dir)?;
        if let Some(path) = &self.html {
            let mut out = Output::create(path)?;
            html::write(&mut source, &mut out)?;
            out.finish()?;
            return Ok(verdict(&source));
        }
        std::io::stdout().write_all(views::show(&mut source, &options)?.as_bytes())?;
        Ok(verdict(&source))
    }
}
