//! speedscope's own format: a profile for each thread, of the beginnings and ends of its calls, or of its samples. Memory
//! has no place in it.
//!
//! Its schema is `file-format-schema.json` of speedscope's npm package.

mod sampled;

use std::io::Write;

use anyhow::Result;
use serde::Serialize;

use super::json::{self, Array};
use super::trace::Trace;
use super::{Export, Measure};
use crate::analysis::Source;
use crate::analysis::timeline::Edge;

/// The format.
pub(super) struct Speedscope;

#[derive(Serialize)]
struct Frame<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

/// A beginning (`O`) or an end (`C`).
#[derive(Serialize)]
struct Event {
    #[serde(rename = "type")]
    kind: &'static str,
    frame: u32,
    /// Nanoseconds since the beginning of what is shown.
    at: u64,
}

impl Export for Speedscope {
    fn write(&self, source: &mut Source, measure: Measure, out: &mut dyn Write) -> Result<()> {
        if source.is_sampled() {
            return sampled::write(source, measure, out);
        }
        let trace = Trace::read(source)?;
        let frames = begin(&trace, out)?;
        let mut profiles = Array::begin(out)?;
        for (number, (pid, _)) in trace.threads().filter(|&(number, _)| trace.timeline.len(number) > 0) {
            profile(&trace, number, pid, &frames, profiles.next()?)?;
        }
        profiles.end()?;
        Ok(out.write_all(b"}\n")?)
    }
}

/// Writes all that stands before the profiles; returns the numbers of frames by row.
fn begin<T>(trace: &Trace<'_, T>, out: &mut dyn Write) -> Result<Vec<u32>> {
    let about = trace.about();
    out.write_all(b"{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\"exporter\":")?;
    json::write(out, &about.exporter)?;
    out.write_all(b",\"name\":")?;
    json::write(out, &format!("pytracer{}, {}", trace.sampled(), about.start))?;
    out.write_all(b",\n\"pytracer\":")?;
    json::write(out, &about)?;
    out.write_all(b",\n\"shared\":{\"frames\":")?;
    let frames = frames(trace, out)?;
    out.write_all(b"},\n\"profiles\":")?;
    Ok(frames)
}

/// Writes the functions that were called; returns their numbers by row.
fn frames<T>(trace: &Trace<'_, T>, out: &mut dyn Write) -> Result<Vec<u32>> {
    let mut numbers = Vec::new();
    let mut array = Array::begin(out)?;
    for (number, row) in (0..).zip(trace.called()) {
        let place = trace.function(row).filter(|_| trace.source.names().get(row).is_function());
        let (file, line) = place.map(|function| (&*function.file, function.line)).unzip();
        let frame = Frame { name: trace.name(row), file, line };
        array.push(&frame)?;
        numbers.resize(row as usize, 0);
        numbers.push(number);
    }
    array.end()?;
    Ok(numbers)
}

fn profile(trace: &Trace<'_>, number: usize, pid: u32, frames: &[u32], out: &mut dyn Write) -> Result<()> {
    let start_ns = trace.start_ns();
    let name = format!("{} of {}", trace.thread_name(number), trace.process_name(pid));
    out.write_all(b"{\"type\":\"evented\",\"unit\":\"nanoseconds\",\"name\":")?;
    json::write(out, &name)?;
    out.write_all(b",\"startValue\":0,\"events\":")?;
    let mut end = trace.report.window.duration_ns;
    let mut events = Array::begin(out)?;
    trace.timeline.edges(number, |edge| {
        let (kind, span, time_ns) = match edge {
            Edge::Begin(span) => ("O", span, span.start_ns),
            Edge::End(span) => ("C", span, span.end_ns),
        };
        let at = time_ns.saturating_sub(start_ns);
        end = end.max(at);
        events.push(&Event { kind, frame: frames[span.row as usize], at })
    })?;
    events.end()?;
    Ok(write!(out, ",\"endValue\":{end}}}")?)
}
