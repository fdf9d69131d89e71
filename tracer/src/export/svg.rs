//! A flame graph that any browser shows, searches and zooms.

use std::io::Write;

use anyhow::{Result, bail};
use inferno::flamegraph::{self, Direction, Options, TextTruncateDirection};

use super::collapsed::Stacks;
use super::notes::notes;
use super::{Export, Measure};
use crate::analysis::Source;
use crate::text::shown;
use crate::units::{count, duration};

/// The part of the whole that is still drawn: with a smaller width nothing can be seen.
pub(crate) const SMALLEST: u64 = 10_000;

/// The format.
pub(super) struct Svg {
    /// Callers on top.
    pub(super) icicle: bool,
}

impl Export for Svg {
    fn write(&self, source: &mut Source, measure: Measure, out: &mut dyn Write) -> Result<()> {
        let summary = source.summary(|_, _| {});
        let stacks = Stacks::of(source, &summary, measure);
        let total = stacks.total();
        if total == 0 {
            bail!("there is nothing to draw: all of it is 0");
        }
        let mut lines = Vec::new();
        stacks.each(total / SMALLEST, |stack, weight| {
            lines.push(format!("{stack} {weight}"));
            Ok(())
        })?;
        let mut options = drawing(title(measure), &notes(source, &summary.report), measure);
        options.subtitle = Some(subtitle(source, summary.report.window.duration_ns));
        options.direction = if self.icicle { Direction::Inverted } else { Direction::Straight };
        Ok(flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), out)?)
    }
}

/// How flame graphs are drawn. The notes are a comment in the file.
pub(crate) fn drawing(title: &str, notes: &[String], measure: Measure) -> Options<'static> {
    let mut options = Options::default();
    title.clone_into(&mut options.title);
    // Two hyphens would end the comment.
    options.notes = notes.join("\n").replace('-', "\u{2010}");
    measure.unit().clone_into(&mut options.count_name);
    options.deterministic = true;
    options.text_truncate_direction = TextTruncateDirection::Right;
    options
}

fn title(measure: Measure) -> &'static str {
    match measure {
        Measure::Wall => "Wall time",
        Measure::Cpu => "CPU time",
        Measure::OffCpu => "Time off CPU",
        Measure::Calls => "Calls",
        Measure::RssGrew => "Resident memory added",
        Measure::RssShrank => "Resident memory given back",
        Measure::Faults => "Page faults",
    }
}

fn subtitle(source: &Source, window_ns: u64) -> String {
    let status = &source.recording().status;
    let what = match &status.processes[..] {
        [process] => process
            .command
            .as_deref()
            .map_or_else(|| format!("process {}", process.pid), |command| shown(command).into_owned()),
        processes => format!("{} processes", processes.len()),
    };
    let lost = match status.account.lost {
        0 => String::new(),
        lost => format!(", {} events lost", count(lost)),
    };
    let how = status.account.sampling.map_or_else(String::new, |sampling| format!(", {}", sampling.words()));
    format!("{}, {what}{how}{lost}", duration(window_ns))
}
