//! A line for each call and each return, with the resident memory of the process and its change since the line before:
//! the log of pymemtrace's `cPyMemTrace.Profile`, as its version 0.6 writes it.
//!
//! The time is that since the beginning of the recording, not processor time, and the line is always that of the
//! function's definition. What stands before `SOF` is free in that format: the account is there.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, Write};

use anyhow::{Result, bail};

use super::notes::notes;
use super::{Export, Measure};
use crate::analysis::Source;
use crate::analysis::blocks::unnamed_file;
use crate::analysis::measure::MEMORY_UNKNOWN;
use crate::analysis::names::Names;
use crate::analysis::timeline::{Edge, Span};
use crate::event::{Function, Member};
use crate::log::rows::{amount, member};
use crate::report::{Report, UNNAMED};
use crate::text::shown;

/// The format.
pub(super) struct Text;

impl Export for Text {
    fn write(&self, source: &mut Source, _: Measure, out: &mut dyn Write) -> Result<()> {
        if source.is_sampled() {
            bail!("the recording is sampled, it has no single calls: export as speedscope, collapsed or csv");
        }
        if source.account().memory_unknown {
            bail!("{MEMORY_UNKNOWN}, which this format is for: export as speedscope, chrome or csv");
        }
        let (timeline, summary) = source.timeline_and_summary()?;
        let start_bytes = only_process(&summary.report)?;
        let mut resident = Resident::of(source, start_bytes)?;
        let start_ns = source.recording().start_monotonic_ns;
        writeln!(out, "pytracer {}", env!("CARGO_PKG_VERSION"))?;
        for note in notes(source, &summary.report) {
            writeln!(out, "{note}")?;
        }
        writeln!(out, "SOF")?;
        writeln!(
            out,
            "HDR: {:<12} {:<6}  {:<12} {:<8} {:<80} {:>4} {:<32} {:>12} {:>12}",
            "Event", "dEvent", "Clock", "What", "File", "Line", "Function", "RSS", "dRSS"
        )?;
        let mut lines = Lines { out, held: None, events: 0, rss_bytes: 0 };
        timeline.merged(0..timeline.threads().len(), |_, edge| {
            let (what, span, time_ns) = match edge {
                Edge::Begin(span) if !span.is_cut_at_start() => ("CALL", span, span.start_ns),
                Edge::End(span) if !span.is_cut_at_end() => ("RETURN", span, span.end_ns),
                // It was open when what is shown began, or went on when it ended.
                _ => return anyhow::Ok(()),
            };
            let rss_bytes = resident.at(time_ns)?;
            lines.event(source.names(), span, what, time_ns.saturating_sub(start_ns), rss_bytes)?;
            Ok(())
        })?;
        lines.end()?;
        Ok(())
    }
}

/// What the only process had of resident memory at the beginning.
fn only_process(report: &Report) -> Result<i64> {
    let pids: BTreeSet<u32> = report.processes.iter().map(|process| process.pid).collect();
    if pids.len() > 1 {
        let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
        bail!("text holds one process, and here are {}: choose with --pid {}", pids.len(), pids.join(", "));
    }
    Ok(report.processes.first().map_or(0, |process| process.rss_start_bytes))
}

/// Writes events one behind, because the last is marked.
struct Lines<'a> {
    out: &'a mut dyn Write,
    held: Option<String>,
    events: u64,
    rss_bytes: i64,
}

impl Lines<'_> {
    fn event(
        &mut self,
        names: &Names,
        span: &Span,
        what: &str,
        clock_ns: u64,
        rss_bytes: i64,
    ) -> io::Result<()> {
        let (name, file, line) = match &names.get(span.row).function {
            Some(Function { name, file, line }) => (shown(name), shown(file), *line),
            None => (UNNAMED.into(), "".into(), 0),
        };
        let event = self.events;
        let (change, since) = (rss_bytes.saturating_sub(self.rss_bytes), u64::from(event > 0));
        let clock = format!("{}.{:06}", clock_ns / 1_000_000_000, clock_ns / 1_000 % 1_000_000);
        let text = format!(
            "{event:<12} +{since:<6} {clock:<12} {what:<8} {file:<80} {line:>4} {name:<32} {rss_bytes:>12} {change:>12}"
        );
        if let Some(before) = self.held.replace(text) {
            writeln!(self.out, "{} {before}", if event == 1 { "FRST:" } else { "NEXT:" })?;
        }
        self.events += 1;
        self.rss_bytes = rss_bytes;
        Ok(())
    }

    fn end(mut self) -> io::Result<()> {
        if let Some(last) = self.held.take() {
            writeln!(self.out, "LAST: {last}")?;
        }
        writeln!(self.out, "EOF")
    }
}

/// Resident memory of a process over time. Its changes wait in a file without a name.
struct Resident {
    file: BufReader<File>,
    changes: u64,
    bytes: i64,
    next: Option<(u64, i64)>,
}

impl Resident {
    fn of(source: &mut Source, start_bytes: i64) -> io::Result<Self> {
        let mut file = BufWriter::new(unnamed_file()?);
        let (mut changes, mut last_ns) = (0, 0);
        let mut result = Ok(());
        source.rss(|row| {
            if result.is_ok() && member(row.member).is_some_and(Member::in_rss) {
                // What was written late is taken as of the time when it was known.
                last_ns = amount(row.time_ns).max(last_ns);
                changes += 1;
                result = file
                    .write_all(&last_ns.to_le_bytes())
                    .and_then(|()| file.write_all(&row.total.to_le_bytes()));
            }
        });
        result?;
        let mut file = file.into_inner()?;
        file.rewind()?;
        let mut resident = Self { file: BufReader::new(file), changes, bytes: start_bytes, next: None };
        resident.read()?;
        Ok(resident)
    }

    /// Resident memory at a time, which is not before that of the call before.
    fn at(&mut self, time_ns: u64) -> io::Result<i64> {
        while let Some((_, bytes)) = self.next.filter(|(change_ns, _)| *change_ns <= time_ns) {
            self.bytes = bytes;
            self.read()?;
        }
        Ok(self.bytes)
    }

    fn read(&mut self) -> io::Result<()> {
        self.next = None;
        if self.changes > 0 {
            self.changes -= 1;
            let (mut time_ns, mut bytes) = ([0; 8], [0; 8]);
            self.file.read_exact(&mut time_ns)?;
            self.file.read_exact(&mut bytes)?;
            self.next = Some((u64::from_le_bytes(time_ns), i64::from_le_bytes(bytes)));
        }
        Ok(())
    }
}
