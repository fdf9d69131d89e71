//! The processed profile of Firefox Profiler: a sample wherever a thread's stack changes, weighed by the nanoseconds
//! until it changes again; a marker for each call; resident memory as a counter. Where samples were taken, they are its
//! samples, weighed by the nanoseconds that each stands for.
//!
//! The format holds a thread column by column, and so must whoever writes it: there is a limit to what is exported.

mod markers;
mod sampled;

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Result, bail};
use fxprof_processed_profile::{
    CategoryColor, CategoryHandle, CpuDelta, Frame, FrameFlags, FrameHandle, FrameInfo, MarkerTiming,
    ProcessHandle, Profile, ReferenceTimestamp, SamplingInterval, StackHandle, ThreadHandle, Timestamp,
};

use super::memory::Counter;
use super::trace::Trace;
use super::{Export, Measure, json};
use crate::analysis::Source;
use crate::analysis::timeline::{Edge, Span};
use crate::correction::Correction;
use crate::functions::Row;
use crate::units::count;
use markers::{AboutMarker, CallMarker};

/// The format.
pub(super) struct Firefox;

/// They take some 220 MB.
const MOST_CALLS: usize = 1_000_000;
const CALLS_ADVICE: &str = "choose a part with --time, --tid or --function, or export as perfetto";
/// Changes of memory, 20 bytes each.
const MOST_CHANGES: usize = 4_000_000;

impl Export for Firefox {
    fn write(&self, source: &mut Source, _measure: Measure, out: &mut dyn Write) -> Result<()> {
        if source.is_sampled() {
            return sampled::write(source, out);
        }
        let mut trace = Trace::read(source)?;
        let calls = trace.threads().map(|(number, _)| trace.timeline.len(number)).sum();
        refuse(calls, MOST_CALLS, "calls", CALLS_ADVICE)?;
        let mut builder = Builder::new(&trace);
        for (number, ids) in trace.threads() {
            builder.thread(&trace, number, ids)?;
        }
        builder.counters(&mut trace)?;
        builder.about(&trace)?;
        Ok(json::write(out, &builder.profile)?)
    }
}

fn refuse(found: usize, most: usize, what: &str, advice: &str) -> Result<()> {
    if found > most {
        bail!(
            "{} {what} are too many for this format, which holds {}: {advice}",
            count(found as u64),
            count(most as u64)
        );
    }
    Ok(())
}

/// A profile in the making.
struct Builder {
    profile: Profile,
    start_ns: u64,
    end: Timestamp,
    category: CategoryHandle,
    processes: BTreeMap<u32, ProcessHandle>,
    threads: Vec<(u32, ThreadHandle)>,
    /// Functions with their places, by row.
    labels: Vec<String>,
    correction: Option<Correction>,
}

/// A call that is open.
#[derive(Clone, Copy)]
struct Open {
    stack: StackHandle,
    /// CPU time of the call itself, and the wall time that it is spread over.
    own: Own,
}

/// What a call took without what it called, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Own {
    wall_ns: u64,
    cpu_ns: u64,
}

impl Builder {
    fn new<T>(trace: &Trace<'_, T>) -> Self {
        let about = trace.about();
        let unix_ms = trace.report.window.start_unix_ns as f64 / 1e6;
        let reference = ReferenceTimestamp::from_millis_since_unix_epoch(unix_ms);
        let mut profile = Profile::new(&about.exporter, reference, SamplingInterval::from_nanos(1));
        profile.set_os_name("Linux");
        profile.set_symbolicated(true);
        let category = profile.add_category("Python", CategoryColor::Blue);
        let start = Timestamp::from_nanos_since_reference(0);
        let end = Timestamp::from_nanos_since_reference(trace.report.window.duration_ns);
        let mut processes = BTreeMap::new();
        for pid in trace.pids() {
            let process = profile.add_process(&trace.process_name(pid), pid, start);
            profile.set_process_end_time(process, end);
            processes.insert(pid, process);
        }
        let (start_ns, labels, correction) = (trace.start_ns(), trace.labels(), trace.source.correction());
        Self { profile, start_ns, end, category, processes, threads: Vec::new(), labels, correction }
    }

    fn time(&self, time_ns: u64) -> Timestamp {
        Timestamp::from_nanos_since_reference(time_ns.saturating_sub(self.start_ns))
    }

    fn add_thread(&mut self, (pid, tid): (u32, u32), name: &str) -> ThreadHandle {
        let start = self.time(self.start_ns);
        let thread = self.profile.add_thread(self.processes[&pid], tid, start, pid == tid);
        self.profile.set_thread_name(thread, name);
        self.profile.set_thread_end_time(thread, self.end);
        self.threads.push((pid, thread));
        thread
    }

    fn thread(&mut self, trace: &Trace<'_>, number: usize, ids: (u32, u32)) -> Result<()> {
        let thread = self.add_thread(ids, &trace.thread_name(number));
        let own = own(trace, number)?;
        let mut samples = Samples::new(thread);
        let mut frames: BTreeMap<Row, FrameHandle> = BTreeMap::new();
        let mut next = 0;
        // What is shown is what there are samples of.
        samples.add(self, self.start_ns, None, 0);
        trace.timeline.edges(number, |edge| {
            match edge {
                Edge::Begin(span) => {
                    samples.until(self, span.start_ns);
                    let category = self.category;
                    let frame = || self.frame(thread, span.row, category);
                    let frame = *frames.entry(span.row).or_insert_with(frame);
                    let caller = samples.open.last().map(|open| open.stack);
                    let stack = self.profile.intern_stack(thread, caller, frame);
                    self.marker(thread, span, stack);
                    samples.open.push(Open { stack, own: own[next] });
                    next += 1;
                }
                Edge::End(span) => {
                    samples.until(self, span.end_ns);
                    samples.open.pop();
                    if samples.open.is_empty() {
                        samples.add(self, span.end_ns, None, 0);
                    }
                }
            }
            anyhow::Ok(())
        })?;
        samples.add(self, trace.end_ns().max(samples.now_ns), None, 0);
        Ok(())
    }

    fn frame(&mut self, thread: ThreadHandle, row: Row, category: CategoryHandle) -> FrameHandle {
        let label = self.profile.intern_string(&self.labels[row as usize]);
        let frame = FrameInfo {
            frame: Frame::Label(label),
            category_pair: category.into(),
            flags: FrameFlags::empty(),
        };
        self.profile.intern_frame(thread, frame)
    }

    fn marker(&mut self, thread: ThreadHandle, span: &Span, stack: StackHandle) {
        let timing = MarkerTiming::Interval(self.time(span.start_ns), self.time(span.end_ns));
        let name = self.profile.intern_string(&self.labels[span.row as usize]);
        let corrected = self.correction.map(|correction| span.corrected(correction));
        let marker = CallMarker::new(&mut self.profile, name, self.category, span, corrected);
        let marker = self.profile.add_marker(thread, timing, marker);
        self.profile.set_marker_stack(thread, marker, Some(stack));
    }

    /// Resident memory of each process. The format knows no more than one such counter.
    fn counters<T>(&mut self, trace: &mut Trace<'_, T>) -> Result<()> {
        let mut counters = BTreeMap::new();
        let mut changes = 0;
        for pid in self.processes.keys().copied().collect::<Vec<_>>() {
            // A counter is drawn beside the first thread of its process.
            if !self.threads.iter().any(|&(of, _)| of == pid) {
                self.add_thread((pid, pid), "main thread");
            }
        }
        trace.memory(|point| {
            if point.counter != Counter::Resident {
                return Ok(());
            }
            changes += 1;
            refuse(changes, MOST_CHANGES, "changes of memory", "choose a part with --time or --pid")?;
            let process = self.processes[&point.pid];
            let (counter, bytes) = counters.entry(point.pid).or_insert_with(|| {
                let what = "Resident memory in bytes";
                (self.profile.add_counter(process, "resident memory", "Memory", what), 0)
            });
            let time = Timestamp::from_nanos_since_reference(point.time_ns.saturating_sub(self.start_ns));
            self.profile.add_counter_sample(*counter, time, (point.bytes - *bytes) as f64, 1);
            *bytes = point.bytes;
            Ok(())
        })
    }

    /// What is to be said of the whole, as a marker at the beginning.
    fn about<T>(&mut self, trace: &Trace<'_, T>) -> Result<()> {
        if let Some(&(_, thread)) = self.threads.first() {
            let marker = AboutMarker::new(&mut self.profile, self.category, &trace.about())?;
            self.profile.add_marker(thread, MarkerTiming::Instant(self.time(self.start_ns)), marker);
        }
        Ok(())
    }
}

/// What the calls of a thread took themselves, in the order in which they began.
fn own(trace: &Trace<'_>, number: usize) -> Result<Vec<Own>> {
    let mut own: Vec<Own> = Vec::with_capacity(trace.timeline.len(number));
    let mut open: Vec<usize> = Vec::new();
    trace.timeline.each(number, |span| {
        let wall_ns = span.end_ns - span.start_ns;
        let cpu_ns = wall_ns.saturating_sub(span.off_cpu_ns);
        open.truncate(span.depth as usize);
        if let Some(&caller) = open.last() {
            let caller: &mut Own = &mut own[caller];
            caller.wall_ns = caller.wall_ns.saturating_sub(wall_ns);
            caller.cpu_ns = caller.cpu_ns.saturating_sub(cpu_ns);
        }
        open.push(own.len());
        own.push(Own { wall_ns, cpu_ns });
        anyhow::Ok(())
    })?;
    Ok(own)
}

/// The samples of a thread.
struct Samples {
    thread: ThreadHandle,
    open: Vec<Open>,
    /// Up to when there are samples, monotonic nanoseconds.
    now_ns: u64,
    /// CPU time since the last sample, which belongs to the next one. A call's CPU time is spread over its own wall time.
    cpu_ns: u64,
}

impl Samples {
    fn new(thread: ThreadHandle) -> Self {
        Self { thread, open: Vec::new(), now_ns: 0, cpu_ns: 0 }
    }

    /// Nothing has changed until now.
    fn until(&mut self, builder: &mut Builder, time_ns: u64) {
        let open = self.open.last().copied();
        while let Some(Open { stack, own }) = open.filter(|_| self.now_ns < time_ns) {
            // A weight has 31 bits: 2.1 s.
            let weight = i32::try_from(time_ns - self.now_ns).unwrap_or(i32::MAX);
            self.add(builder, self.now_ns, Some(stack), weight);
            self.now_ns += weight as u64;
            let cpu_ns = u128::from(own.cpu_ns) * weight as u128 / u128::from(own.wall_ns.max(1));
            self.cpu_ns += cpu_ns as u64;
        }
        self.now_ns = time_ns;
    }

    fn add(&mut self, builder: &mut Builder, time_ns: u64, stack: Option<StackHandle>, weight: i32) {
        let cpu = CpuDelta::from_nanos(self.cpu_ns);
        // The format knows no less than a microsecond.
        self.cpu_ns %= 1000;
        builder.profile.add_sample(self.thread, builder.time(time_ns), stack, cpu, weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_is_refused_with_advice() {
        assert!(refuse(MOST_CALLS, MOST_CALLS, "calls", CALLS_ADVICE).is_ok());
        let error = refuse(MOST_CALLS + 1, MOST_CALLS, "calls", CALLS_ADVICE).unwrap_err().to_string();
        assert!(
            error.starts_with("1 000 001 calls are too many for this format, which holds 1 000 000: "),
            "{error}"
        );
    }
}
