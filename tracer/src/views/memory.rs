//! Resident memory over time, by kind, with the functions that moved it.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use super::{Body, Named, ViewOptions, title, whole};
use crate::analysis::Source;
use crate::analysis::rss_history::{Bucket, History, Mover, histories};
use crate::report::fit::{columns, cut_middle};
use crate::report::{NO_FRAME, OUTSIDE, Report, lines};
use crate::text::shown;
use crate::units::{duration, signed_bytes, size};

/// Parts of the window, also where no limit is asked for.
const MOST: usize = 1_000;
/// Functions named in a line.
const MOVERS: usize = 3;
/// Signs for eighths of a line.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Kinds by their code, in the order in which they are shown.
const KINDS: [(usize, &str); 4] = [(1, "anonymous"), (0, "file"), (3, "shared"), (2, "swap")];

/// Resident memory of processes over time.
#[derive(Serialize)]
struct Memory {
    /// Length of a part of the window.
    part_ns: u64,
    memory: Vec<ProcessMemory>,
}

#[derive(Serialize)]
struct ProcessMemory {
    process: usize,
    pid: u32,
    parts: Vec<Part>,
}

/// A part of the window.
#[derive(Serialize)]
struct Part {
    /// Since the beginning of the window.
    start_ns: u64,
    /// At its end.
    rss_bytes: i64,
    peak_bytes: i64,
    /// Changes in it.
    anonymous_bytes: i64,
    file_bytes: i64,
    shared_bytes: i64,
    swap_bytes: i64,
    moved: Vec<Moved>,
}

#[derive(Serialize)]
struct Moved {
    #[serde(flatten)]
    named: Named,
    bytes: i64,
}

pub(super) fn show(source: &mut Source, options: &ViewOptions) -> Result<String> {
    let report = source.summary(|_, _| {}).report;
    let parts = if options.table.limit == 0 { MOST } else { options.table.limit.min(MOST) };
    let histories = histories(source, &report, parts);
    let part_ns = (report.window.duration_ns / parts as u64).max(1);
    let memory = histories.into_iter().map(|history| process(history, part_ns, source)).collect();
    whole(&Memory { part_ns, memory }, &report, options)
}

fn process(history: History, part_ns: u64, source: &Source) -> ProcessMemory {
    let History { process, pid, buckets } = history;
    let special = |name: &str| Named { function: name.to_owned(), file: String::new(), line: 0 };
    let named = |mover| match mover {
        Mover::Function(row) => Named::new(source.names().get(row).function.as_ref()),
        Mover::NoFrame => special(NO_FRAME),
        Mover::Outside => special(OUTSIDE),
        Mover::NotAskedFor => special("<not asked for>"),
    };
    let part = |(start_ns, bucket): (u64, Bucket)| {
        let [file_bytes, anonymous_bytes, swap_bytes, shared_bytes] = bucket.kinds;
        Part {
            start_ns,
            rss_bytes: bucket.rss_bytes,
            peak_bytes: bucket.peak_bytes,
            anonymous_bytes,
            file_bytes,
            shared_bytes,
            swap_bytes,
            moved: bucket
                .moved
                .into_iter()
                .map(|(mover, bytes)| Moved { named: named(mover), bytes })
                .collect(),
        }
    };
    let starts = (0..).map(|number: u64| number * part_ns);
    ProcessMemory { process, pid, parts: starts.zip(buckets).map(part).collect() }
}

impl Body for Memory {
    fn text(&self, report: &Report, options: &ViewOptions) -> String {
        let mut out = String::new();
        for process in &self.memory {
            let Some(known) = report.processes.iter().find(|known| known.process == process.process) else {
                continue;
            };
            out += &title(report, Some(process.process), options);
            out += &options.table.folded(&lines::memory(known, &report.account));
            out += &process.kinds(options);
            out.push('\n');
            out += &process.lines(known.rss_start_bytes, known.rss_peak_bytes, options);
            out.push('\n');
        }
        out
    }
}

impl ProcessMemory {
    /// What each kind changed by, and how.
    fn kinds(&self, options: &ViewOptions) -> String {
        let room =
            options.table.width.map_or(usize::MAX, |width| usize::from(width).saturating_sub(25)).max(8);
        let to_a_sign = self.parts.len().div_ceil(room).max(1);
        let change = |part: &Part, kind| match kind {
            0 => part.file_bytes,
            1 => part.anonymous_bytes,
            2 => part.swap_bytes,
            _ => part.shared_bytes,
        };
        let mut out = String::new();
        for (kind, name) in KINDS {
            let mut sum = 0_i64;
            let levels: Vec<i64> = self
                .parts
                .iter()
                .map(|part| {
                    sum = sum.saturating_add(change(part, kind));
                    sum
                })
                .collect();
            if levels.iter().any(|&level| level != 0) {
                let levels: Vec<_> =
                    levels.chunks(to_a_sign).filter_map(|chunk| chunk.last().copied()).collect();
                let _ = writeln!(out, "  {name:<9}  {:>10}  {}", signed_bytes(sum), sparkline(&levels));
            }
        }
        out
    }

    /// A line for each part of the window.
    fn lines(&self, start_bytes: i64, peak_bytes: i64, options: &ViewOptions) -> String {
        let width = options.table.width.map_or(usize::MAX, usize::from);
        let bar = if width < 110 { 10 } else { 20 };
        let mut out = format!("{:>9}  {:>9}  {:<bar$}  {:>9}  moved by\n", "until", "rss", "", "change");
        let room = width.saturating_sub(9 + 2 + 9 + 2 + bar + 2 + 9 + 2).max(16);
        let mut before = start_bytes;
        for (number, part) in self.parts.iter().enumerate() {
            let end = self
                .parts
                .get(number + 1)
                .map_or_else(|| part.start_ns + part.start_ns / (number as u64).max(1), |next| next.start_ns);
            let change = part.rss_bytes.saturating_sub(before);
            before = part.rss_bytes;
            let filled = level(part.rss_bytes, 0, peak_bytes, bar * 8);
            let line = format!(
                "{:>9}  {:>9}  {}  {:>9}  {}",
                duration(end),
                size(u64::try_from(part.rss_bytes).unwrap_or(0)),
                bar_of(filled, bar),
                signed_bytes(change),
                part.movers(room)
            );
            out += line.trim_end();
            out.push('\n');
        }
        out
    }
}

impl Part {
    /// The functions that moved most, as far as there is room.
    fn movers(&self, room: usize) -> String {
        let mut out = String::new();
        for moved in self.moved.iter().take(MOVERS) {
            let bytes = signed_bytes(moved.bytes);
            let name = shown(&moved.named.function);
            let next = match moved.named.file.rsplit('/').next() {
                Some(file) if !file.is_empty() => {
                    format!("{bytes} {name} ({}:{})", shown(file), moved.named.line)
                }
                _ => format!("{bytes} {name}"),
            };
            if out.is_empty() {
                let name_only = || cut_middle(&format!("{bytes} {name}"), room);
                out = if columns(&next) <= room { next } else { name_only() };
            } else if columns(&out) + 2 + columns(&next) <= room {
                out.push_str(", ");
                out.push_str(&next);
            } else {
                break;
            }
        }
        out
    }
}

/// A line of small bars between the least of the values and the largest.
fn sparkline(values: &[i64]) -> String {
    let least = values.iter().copied().min().unwrap_or(0).min(0);
    let most = values.iter().copied().max().unwrap_or(0).max(0);
    values.iter().map(|&value| BARS[level(value, least, most, BARS.len() - 1)]).collect()
}

/// Where a value is between two others, in so many steps.
fn level(value: i64, least: i64, most: i64, steps: usize) -> usize {
    let (above, range) = (i128::from(value) - i128::from(least), i128::from(most) - i128::from(least));
    if range <= 0 { 0 } else { (above.clamp(0, range) * steps as i128 / range) as usize }
}

/// A bar of so many eighths of a column.
fn bar_of(eighths: usize, width: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let bar = "█".repeat(eighths / 8) + PARTS[eighths % 8];
    format!("{bar:<width$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_values_are_large() {
        assert_eq!(sparkline(&[0, 50, 100]), "▁▄█");
        assert_eq!(sparkline(&[-100, 0]), "▁█");
        assert_eq!(sparkline(&[i64::MIN, 0, i64::MAX]), "▁▄█");
        assert_eq!(bar_of(level(3, 0, 4, 32), 4), "███ ");
        assert_eq!(bar_of(level(5, 0, 4, 32), 4), "████");
        assert_eq!(bar_of(level(-5, 0, 4, 32), 4), "    ");
        assert_eq!(bar_of(9, 2), "█▏");
    }
}
