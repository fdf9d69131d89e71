//! `pytracer export`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::output::Output;
use super::part::{Folder, PartArguments, verdict};
use crate::export::{Format, Measure, Options, Rows};
use crate::units::count;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  pytracer export rec --format svg -o flame.svg
  pytracer export rec --format pstats -o rec.pstats && snakeviz rec.pstats
  pytracer export rec --format parquet --rows calls -o calls.parquet
  pytracer export rec --format collapsed --of rss-grew -o - | less
  pytracer export rec --format perfetto -o rec.pftrace
  pytracer export rec --format firefox --time 2s..5s -o rec.json

Exit status 1: the recording was cut off or a part of it can't be read; the export is of the rest.")]
pub(super) struct Arguments {
    #[command(flatten)]
    folder: Folder,
    /// What to write
    #[arg(short, long, value_enum)]
    format: Format,
    /// File to write, which must not exist; -: standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// What stacks are weighed by, in formats that can hold one measure only
    #[arg(long, value_enum, default_value = "wall")]
    of: Measure,
    /// svg: callers on top instead of below
    #[arg(long)]
    icicle: bool,
    /// csv, ndjson, parquet: what a row is
    #[arg(long, value_enum, default_value = "functions")]
    rows: Rows,
    #[command(flatten)]
    part: PartArguments,
}

impl Arguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let mut source = self.part.open(&self.folder.dir)?;
        let mut out = Output::create(&self.output)?;
        let options = Options { of: self.of, icicle: self.icicle, rows: self.rows };
        self.format.write(&mut source, options, &mut out)?;
        out.finish()?;
        let lost = source.recording().status.account.lost;
        if lost > 0 {
            eprintln!("pytracer: {} events were lost: the export lacks them", count(lost));
        }
        Ok(verdict(&source))
    }
}
