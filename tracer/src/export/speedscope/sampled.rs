//! The profiles of samples: of each thread the stacks, and the nanoseconds that each stands for.

use std::io::Write;

use anyhow::{Result, bail};

use super::super::json::{self, Array};
use super::super::trace::{SampledTrace, Trace};
use super::begin;
use crate::analysis::Source;
use crate::analysis::measure::Measure;
use crate::analysis::paths::PathId;
use crate::analysis::samples::TimeSample;
use crate::event::Origin;

/// Writes the samples of threads that ran, that waited, or both.
pub(super) fn write(source: &mut Source, measure: Measure, out: &mut dyn Write) -> Result<()> {
    let (running, waiting) = match measure {
        Measure::Wall => (true, true),
        Measure::Cpu => (true, false),
        Measure::OffCpu => (false, true),
        _ => bail!("speedscope holds times only: --of wall, cpu or off-cpu"),
    };
    let trace = Trace::read_samples(source)?;
    let frames = begin(&trace, out)?;
    let mut profiles = Array::begin(out)?;
    for (number, (pid, _)) in trace.threads() {
        let [ran_ns, waited_ns] = trace.timeline.sums(number);
        let sum_ns = if running { ran_ns } else { 0 } + if waiting { waited_ns } else { 0 };
        if sum_ns == 0 {
            continue;
        }
        let what = match measure {
            Measure::Cpu => "CPU time of ",
            Measure::OffCpu => "time off CPU of ",
            _ => "",
        };
        let thread = trace.thread_name(number);
        let name = format!("{what}{thread} of {}{}", trace.process_name(pid), trace.sampled());
        let is_wanted = |sample: &TimeSample| if sample.origin == Origin::OffCpu { waiting } else { running };
        profile(&trace, number, (&name, sum_ns), &frames, is_wanted, profiles.next()?)?;
    }
    profiles.end()?;
    Ok(out.write_all(b"}\n")?)
}

fn profile(
    trace: &SampledTrace<'_>,
    number: usize,
    (name, sum_ns): (&str, u64),
    frames: &[u32],
    is_wanted: impl Fn(&TimeSample) -> bool,
    out: &mut dyn Write,
) -> Result<()> {
    out.write_all(b"{\"type\":\"sampled\",\"unit\":\"nanoseconds\",\"name\":")?;
    json::write(out, &name)?;
    write!(out, ",\"startValue\":0,\"endValue\":{sum_ns},\"samples\":")?;
    let mut samples = Array::begin(out)?;
    trace.timeline.each(number, |sample| {
        if is_wanted(sample) { samples.push(&stack(trace, sample.path, frames)) } else { Ok(()) }
    })?;
    samples.end()?;
    out.write_all(b",\"weights\":")?;
    let mut weights = Array::begin(out)?;
    trace.timeline.each(
        number,
        |sample| {
            if is_wanted(sample) { weights.push(&sample.weight_ns) } else { Ok(()) }
        },
    )?;
    weights.end()?;
    Ok(out.write_all(b"}")?)
}

/// The frames of a path, outermost first.
fn stack(trace: &SampledTrace<'_>, path: PathId, frames: &[u32]) -> Vec<u32> {
    trace.paths.stack(path).into_iter().map(|row| frames[row as usize]).collect()
}
