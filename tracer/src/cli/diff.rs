//! `pytracer diff`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::output::Output;
use super::part::{PartArguments, verdict};
use crate::analysis::Source;
use crate::analysis::measure::Measure;
use crate::diff::flame::{Side, Stacks};
use crate::diff::{Column, Diff, Per};
use crate::report::diff::render;
use crate::report::table::{Sort, TableOptions};
use crate::report::{Report, lines};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  pytracer diff before after
  pytracer diff before after --sort rss --limit 50
  pytracer diff before after --per second --function 'app.*'
  pytracer diff before after --json | jq '.functions[] | select(.presence == \"new\")'
  pytracer diff before after --flamegraph changed.svg

Functions are told by name and file; a line tells those apart that share both. Both recordings are of calls, or both of
samples (record --source sample), whose shares are compared with what chance does to them.
Exit status 1: a recording was cut off or a part of it can't be read; the comparison is of the rest.")]
pub(super) struct Arguments {
    /// Folder of the recording before (`record -o`)
    before: PathBuf,
    /// Folder of the recording after
    after: PathBuf,
    /// What the order of the table is made of: the largest change, up or down, comes first [default: self; of samples,
    /// share]
    #[arg(long, value_enum)]
    sort: Option<Column>,
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

impl Arguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let mut stacks = self.flamegraph.as_ref().map(|_| Stacks::new(self.of));
        let [before, after] = [&self.before, &self.after].map(|dir| self.part.open(dir));
        let (before, after) = (before?, after?);
        let sort = self.order([&before, &after])?;
        let (before, before_verdict) = read(before, Side::Before, stacks.as_mut());
        let (after, after_verdict) = read(after, Side::After, stacks.as_mut());
        if let (Some(path), Some(stacks)) = (&self.flamegraph, stacks) {
            self.draw(path, stacks, &before, &after)?;
        }
        if self.flamegraph.as_deref() != Some(Path::new("-")) {
            let diff = Diff::new(before, after, self.per, sort);
            let text = if self.json {
                diff.to_json()? + "\n"
            } else {
                render(&diff, sort, &TableOptions::for_stdout(Sort::default(), self.limit))
            };
            std::io::stdout().write_all(text.as_bytes())?;
        }
        Ok(if before_verdict == ExitCode::SUCCESS { after_verdict } else { before_verdict })
    }

    /// What to sort by, if the two can be compared as was asked.
    fn order(&self, sources: [&Source; 2]) -> Result<Column> {
        let [before, after] = sources.map(Source::is_sampled);
        if before != after {
            let (sampled, traced) =
                if before { (&self.before, &self.after) } else { (&self.after, &self.before) };
            bail!(
                "{} is of samples and {} of calls, whose times hold the probes' own cost: they can't be compared, record \
                 both with --source sample, or both without",
                sampled.display(),
                traced.display()
            );
        }
        let default = if before { Column::Share } else { Column::default() };
        let sort = self.sort.unwrap_or(default);
        let accounts = sources.map(Source::account);
        let why_not = sort.why_not(accounts).or(accounts.iter().find_map(|account| self.of.why_not(account)));
        if let Some(why) = why_not {
            bail!("{why}");
        }
        if before && self.per == Per::Call {
            bail!("samples don't count calls: --per total or second");
        }
        Ok(sort)
    }

    fn draw(&self, path: &Path, mut stacks: Stacks, before: &Report, after: &Report) -> Result<()> {
        if self.per == Per::Second {
            let [before_ns, after_ns] = [before, after].map(|report| report.window.duration_ns.max(1));
            stacks.scale_before(after_ns as f64 / before_ns as f64);
        }
        let lost = [before, after].map(|report| report.account.lost);
        let notes: Vec<String> = [("before", before), ("after", after)]
            .iter()
            .flat_map(|(name, report)| footer(name, report))
            .collect();
        let mut svg = Vec::new();
        stacks.write(lost, &notes, &mut svg).context("can't draw the flame graph")?;
        let mut out = Output::create(path)?;
        out.write_all(&svg).with_context(|| format!("can't write {}", path.display()))?;
        out.finish()
    }
}

/// The sums of a recording. Its stacks are added to those of the other one.
fn read(mut source: Source, side: Side, stacks: Option<&mut Stacks>) -> (Report, ExitCode) {
    let summary = source.summary(|_, _| {});
    if let Some(stacks) = stacks {
        stacks.add(side, &source, &summary);
    }
    (summary.report, verdict(&source))
}

/// Cost and account of one of the two, each line with its name.
fn footer(name: &str, report: &Report) -> Vec<String> {
    lines::footer(report, false).lines().map(|line| format!("{name}: {}", line.trim())).collect()
}
