//! `pytracer diff`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;

use super::export::create;
use super::part::{PartArguments, verdict};
use crate::analysis::measure::Measure;
use crate::diff::flame::{self, Stacks};
use crate::diff::{Column, Diff, Per};
use crate::report::Report;
use crate::report::diff::render;
use crate::report::table::{Sort, TableOptions};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  pytracer diff before after
  pytracer diff before after --sort rss --limit 50
  pytracer diff before after --per second --function 'app.*'
  pytracer diff before after --json | jq '.functions[] | select(.presence == \"new\")'
  pytracer diff before after --flamegraph changed.svg

Functions are told by name and file; a line tells those apart that share both.
Exit status 1: a recording was cut off or a part of it can't be read; the comparison is of the rest.")]
pub(super) struct Arguments {
    /// Folder of the recording before (`record -o`)
    before: PathBuf,
    /// Folder of the recording after
    after: PathBuf,
    /// What the order of the table is made of: the largest change, up or down, comes first
    #[arg(long, value_enum, default_value = "self")]
    sort: Column,
    /// What amounts are counted for
    #[arg(long, value_enum, default_value = "total")]
    per: Per,
    /// Functions in the table; 0: all
    #[arg(long, value_name = "N", default_value_t = 25)]
    limit: usize,
    /// Everything as JSON on standard output
    #[arg(long)]
    json: bool,
    /// Also draw a differential flame graph into this file, which must not exist; -: standard output, nothing else
    #[arg(long, value_name = "FILE")]
    flamegraph: Option<PathBuf>,
    /// What the flame graph is weighed by
    #[arg(long, value_enum, default_value = "wall", requires = "flamegraph")]
    of: Measure,
    #[command(flatten)]
    part: PartArguments,
}

/// What is read of a recording.
struct Side {
    report: Report,
    stacks: Stacks,
    verdict: ExitCode,
}

impl Arguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let (before, after) = (self.side(&self.before)?, self.side(&self.after)?);
        let status = [before.verdict, after.verdict]
            .into_iter()
            .find(|&verdict| verdict != ExitCode::SUCCESS)
            .unwrap_or(ExitCode::SUCCESS);
        if let Some(path) = &self.flamegraph {
            self.draw(path, &before, &after)?;
        }
        if self.flamegraph.as_deref() != Some(Path::new("-")) {
            let diff = Diff::new(before.report, after.report, self.per, self.sort);
            let text = if self.json {
                diff.to_json()? + "\n"
            } else {
                render(&diff, self.sort, &TableOptions::for_stdout(Sort::default(), self.limit))
            };
            std::io::stdout().write_all(text.as_bytes())?;
        }
        Ok(status)
    }

    fn side(&self, dir: &Path) -> Result<Side> {
        let mut source = self.part.open(dir)?;
        let summary = source.summary(|_, _| {});
        let stacks = if self.flamegraph.is_some() {
            Stacks::new(&source, &summary, self.of)
        } else {
            Stacks::default()
        };
        Ok(Side { report: summary.report, stacks, verdict: verdict(&source) })
    }

    fn draw(&self, path: &Path, before: &Side, after: &Side) -> Result<()> {
        let [before_ns, after_ns] = [before, after].map(|side| side.report.window.duration_ns.max(1));
        let stacks = match self.per {
            Per::Second => before.stacks.clone().scaled(after_ns as f64 / before_ns as f64),
            Per::Total | Per::Call => before.stacks.clone(),
        };
        let mut out = create(path)?;
        let notes = [("before", before), ("after", after)].map(|(name, side)| {
            let account = &side.report.account;
            format!("{name}: {} events, {} lost, {} repaired", account.events, account.lost, account.repaired)
        });
        flame::write(&stacks, &after.stacks, self.of, &notes, &mut out)
            .and_then(|()| out.flush())
            .with_context(|| format!("can't draw {}", path.display()))
    }
}
