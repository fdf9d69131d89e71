//! The stages from events to sums, wired: [`crate::stacks`], [`crate::charge`], [`crate::summary`]. Events in,
//! a [`Report`] out; calls go to a [`CallSink`] on the way.

mod processes;
mod sink;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that can't go on is to fail")]
mod tests;
mod thread;

use crate::charge::{Charged, Ended, RssChange};
use crate::event::{Event, Function, FunctionId, Member, ProcessIndex, Slot};
use crate::filter::FunctionFilter;
use crate::functions::Functions;
use crate::report::{Account, FunctionReport, Report, Status, Window};
use crate::summary::Summary;
use processes::Processes;
pub use sink::{CallSink, NoSink};
use thread::{Output, Thread};

/// What a pipeline has to know before the first event.
#[derive(Clone, Debug, Default)]
pub struct PipelineOptions {
    /// Beginning of the recording window, monotonic nanoseconds. No time before it is charged to anything.
    pub window_start_ns: u64,
    /// The same moment on the wall clock, nanoseconds since 1970.
    pub start_unix_ns: u64,
    /// Frames of other functions are left out of the stacks.
    pub filter: FunctionFilter,
}

/// What is known at the end of the window, from the kernel side's maps.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// End of the window, monotonic nanoseconds.
    pub end_ns: u64,
    /// Counters of the threads that are alive.
    pub threads: Vec<ThreadTotals>,
    /// Counters of the processes.
    pub processes: Vec<ProcessTotals>,
    /// How often a probe was hit.
    pub probe_hits: u64,
    /// What all hits together cost the traced processes, in nanoseconds.
    pub probe_cost_ns: u64,
    /// What the reader of the report should know besides.
    pub notes: Vec<String>,
}

/// A thread's counters since it got its slot.
#[derive(Clone, Copy, Debug)]
pub struct ThreadTotals {
    /// Its slot.
    pub thread: Slot,
    /// Time off CPU; for a thread that is off CPU now, up to now.
    pub off_cpu_ns: u64,
    /// Page faults.
    pub faults: u64,
}

/// A process's counters in the kernel side.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessTotals {
    /// Its index.
    pub process: ProcessIndex,
    /// Records that found no room.
    pub lost: u64,
    /// Starts reported twice.
    pub duplicates: u64,
    /// Hits that were not what their site promises.
    pub mismatches: u64,
    /// Threads that got no slot.
    pub no_slot: u64,
}

/// Events seen and what had to be made good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events of every kind.
    pub events: u64,
    /// Frames whose beginning or end was not seen.
    pub repaired: u64,
    /// Frames found open at a thread's first event.
    pub open_at_attach: u64,
    /// Frames open at the end of the window.
    pub open_at_detach: u64,
    /// Starts of a frame that had started.
    pub duplicates: u64,
    /// Ends of frames that are on no stack: unwanted ones, and the interpreter's own entry frames.
    pub unmatched_ends: u64,
    /// Events of threads that were never announced.
    pub unknown_thread: u64,
    /// Hits that were not what their site promises.
    pub mismatches: u64,
    /// Threads that got no slot.
    pub no_slot: u64,
}

/// The stages from events to sums. `S` gets every call besides.
///
/// Feed it [`Event`]s with [`Pipeline::apply`], hand the slots of [`Pipeline::take_freed_slots`] back to the kernel
/// side, call [`Pipeline::tick`] about once a second, and [`Pipeline::finish`] at the end of the window.
#[derive(Debug)]
pub struct Pipeline<S = NoSink> {
    core: Core,
    freed: Vec<Slot>,
    sink: S,
}

impl<S: CallSink> Pipeline<S> {
    /// A pipeline that has seen nothing.
    pub fn new(options: PipelineOptions, mut sink: S) -> Self {
        sink.begin(options.window_start_ns, options.start_unix_ns);
        Self { core: Core::new(options), freed: Vec::new(), sink }
    }

    /// Tells of a process: what the index stands for, its Python version, and how it is traced.
    pub fn process(
        &mut self,
        index: ProcessIndex,
        pid: u32,
        version: Option<String>,
        source: Option<String>,
    ) {
        let number = self.core.processes.identify(index, pid);
        let process = self.core.processes.get_mut(number);
        process.version = version.or(process.version.take());
        process.source = source.or(process.source.take());
    }

    /// Takes in one event.
    #[inline]
    pub fn apply(&mut self, event: &Event) {
        self.core.apply(event, &mut self.sink);
        if let Event::ThreadExit { thread, .. } = event {
            self.freed.push(*thread);
        }
    }

    /// Slots of threads that have ended, since the last call.
    pub fn take_freed_slots(&mut self) -> Vec<Slot> {
        std::mem::take(&mut self.freed)
    }

    /// Lets the sink do what is due, at this monotonic time. Cheap enough for several calls a second.
    pub fn tick(&mut self, now_ns: u64) {
        let Self { core, sink, .. } = self;
        sink.tick(&|| core.status(now_ns));
    }

    /// Closes all that is open, at the end of the window, and ends the sink.
    pub fn finish(&mut self, ending: &Ending) {
        self.core.finish(ending, &mut self.sink);
        let note = self.sink.end(&self.core.report());
        self.core.notes.extend(note);
    }

    /// How things stand, without the functions.
    pub fn status(&self, now_ns: u64) -> Status {
        self.core.status(now_ns)
    }

    /// The report as of the end of the window, or before that, as if the window had ended at the latest event.
    pub fn report(&self) -> Report {
        if self.core.ended_ns.is_some() {
            return self.core.report();
        }
        let mut core = self.core.clone();
        core.finish(&Ending { end_ns: core.latest_ns, ..Ending::default() }, &mut NoSink);
        core.report()
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.core.counts
    }

    /// The sink.
    pub fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    /// The sink, for good.
    pub fn into_sink(self) -> S {
        self.sink
    }
}

/// All but the sink, so that a report in mid-run can end a copy of it.
#[derive(Clone, Debug)]
struct Core {
    options: PipelineOptions,
    functions: Functions,
    processes: Processes,
    threads: Vec<Option<Box<Thread>>>,
    summary: Summary,
    counts: Counts,
    probe_hits: u64,
    probe_cost_ns: u64,
    notes: Vec<String>,
    latest_ns: u64,
    ended_ns: Option<u64>,
}

impl Core {
    fn new(options: PipelineOptions) -> Self {
        Self {
            functions: Functions::new(options.filter.clone()),
            latest_ns: options.window_start_ns,
            options,
            processes: Processes::default(),
            threads: Vec::new(),
            summary: Summary::default(),
            counts: Counts::default(),
            probe_hits: 0,
            probe_cost_ns: 0,
            notes: Vec::new(),
            ended_ns: None,
        }
    }

    #[inline]
    fn apply<S: CallSink>(&mut self, event: &Event, sink: &mut S) {
        self.counts.events += 1;
        match *event {
            Event::Frame { time_ns, thread, frame, what } => {
                self.latest_ns = self.latest_ns.max(time_ns);
                let mut out = Output { summary: &mut self.summary, counts: &mut self.counts, sink };
                match self.threads.get_mut(usize::from(thread)) {
                    Some(Some(thread)) => thread.frame(time_ns, frame, what, &mut self.functions, &mut out),
                    _ => self.counts.unknown_thread += 1,
                }
            }
            Event::Counters { thread, off_cpu_ns, faults, .. } => match self.thread(thread) {
                Some(thread) => thread.meter.counters(off_cpu_ns, faults),
                None => self.counts.unknown_thread += 1,
            },
            _ => self.apply_rare(event, sink),
        }
    }

    fn apply_rare<S: CallSink>(&mut self, event: &Event, sink: &mut S) {
        match *event {
            Event::HeldEnd { time_ns, thread, complete } => {
                self.with_thread(thread, sink, |thread, out| thread.held_end(time_ns, complete, out));
            }
            Event::Loss { thread, lost, .. } => self.lose(thread, lost),
            Event::Rss { time_ns, process, thread, member, delta_bytes } => {
                self.rss(time_ns, process, thread, (member, delta_bytes), sink);
            }
            Event::RssBase { time_ns, process, bytes } => self.rss_base(time_ns, process, bytes, sink),
            Event::Function { id, process, ref function, code_flags, .. } => {
                self.function(id, process, function, code_flags, sink);
            }
            Event::Thread { time_ns, thread, process, pid, tid } => {
                self.new_thread(time_ns, thread, (process, pid, tid), sink);
            }
            Event::ThreadExit { time_ns, thread } => self.end_thread(time_ns, thread, sink),
            Event::Process { process, pid, .. } | Event::Exit { process, pid, .. } => {
                self.processes.identify(process, pid);
            }
            Event::Exec { time_ns, process: Some(process), .. } => self.exec(time_ns, process, sink),
            Event::Exec { process: None, .. }
            | Event::Fork { .. }
            | Event::Frame { .. }
            | Event::Counters { .. } => {}
        }
    }

    fn thread(&mut self, slot: Slot) -> Option<&mut Thread> {
        self.threads.get_mut(usize::from(slot))?.as_deref_mut()
    }

    fn with_thread<S: CallSink>(
        &mut self,
        slot: Slot,
        sink: &mut S,
        act: impl FnOnce(&mut Thread, &mut Output<'_, S>),
    ) {
        let mut out = Output { summary: &mut self.summary, counts: &mut self.counts, sink };
        match self.threads.get_mut(usize::from(slot)) {
            Some(Some(thread)) => act(thread, &mut out),
            _ => self.counts.unknown_thread += 1,
        }
    }

    fn lose(&mut self, slot: Slot, lost: u64) {
        let Some(thread) = self.thread(slot) else {
            self.counts.unknown_thread += 1;
            return;
        };
        thread.lost();
        let number = thread.process;
        self.processes.get_mut(number).lost += lost;
    }

    fn function<S: CallSink>(
        &mut self,
        id: FunctionId,
        process: ProcessIndex,
        function: &Function,
        code_flags: u32,
        sink: &mut S,
    ) {
        let number = self.processes.number(process);
        if self.functions.announce(id, number, function) {
            sink.function(id, self.processes.get(number).pid, function, code_flags);
        }
    }

    fn new_thread<S: CallSink>(
        &mut self,
        time_ns: u64,
        slot: Slot,
        (process, pid, tid): (ProcessIndex, u32, u32),
        sink: &mut S,
    ) {
        let number = self.processes.identify(process, pid);
        if self.thread(slot).is_some_and(|thread| (thread.pid, thread.tid) == (pid, tid)) {
            return;
        }
        self.end_thread(time_ns, slot, sink);
        let at = usize::from(slot);
        if at >= self.threads.len() {
            self.threads.resize_with(at + 1, || None);
        }
        let opened_ns = time_ns.max(self.options.window_start_ns);
        self.threads[at] = Some(Box::new(Thread::new(number, pid, tid, opened_ns)));
    }

    fn end_thread<S: CallSink>(&mut self, time_ns: u64, slot: Slot, sink: &mut S) {
        if let Some(mut thread) = self.threads.get_mut(usize::from(slot)).and_then(Option::take) {
            let mut out = Output { summary: &mut self.summary, counts: &mut self.counts, sink };
            thread.close_all(time_ns, Ended::WithThread, &mut out);
        }
    }

    /// No frame survives an exec.
    fn exec<S: CallSink>(&mut self, time_ns: u64, process: ProcessIndex, sink: &mut S) {
        let number = self.processes.number(process);
        let mut out = Output { summary: &mut self.summary, counts: &mut self.counts, sink };
        for thread in self.threads.iter_mut().flatten().filter(|thread| thread.process == number) {
            thread.close_all(time_ns, Ended::WithThread, &mut out);
        }
    }

    fn rss<S: CallSink>(
        &mut self,
        time_ns: u64,
        process: ProcessIndex,
        slot: Option<Slot>,
        (member, delta_bytes): (Member, i64),
        sink: &mut S,
    ) {
        self.latest_ns = self.latest_ns.max(time_ns);
        let number = self.processes.number(process);
        let process = self.processes.get_mut(number);
        let thread = slot
            .and_then(|slot| self.threads.get_mut(usize::from(slot))?.as_deref_mut())
            .filter(|thread| thread.process == number);
        let (tid, function, charged) = match &thread {
            None => (0, None, Charged::Outside),
            Some(thread) => match thread.top() {
                None => (thread.tid, None, Charged::NoFrame),
                Some(function) => (thread.tid, Some(function), Charged::Function),
            },
        };
        if let Some(thread) = thread
            && member.in_rss()
        {
            thread.meter.rss(delta_bytes);
        }
        let total_bytes = process.memory.change(member, delta_bytes, charged);
        sink.rss(&RssChange { time_ns, pid: process.pid, tid, function, member, delta_bytes, total_bytes });
    }

    fn rss_base<S: CallSink>(&mut self, time_ns: u64, process: ProcessIndex, bytes: [i64; 4], sink: &mut S) {
        let number = self.processes.number(process);
        let jump = self.processes.get_mut(number).memory.base(bytes);
        for (member, delta_bytes) in
            [Member::File, Member::Anon, Member::Swap, Member::Shmem].into_iter().zip(jump)
        {
            if delta_bytes != 0 {
                self.rss(time_ns, process, None, (member, delta_bytes), sink);
            }
        }
    }

    fn finish<S: CallSink>(&mut self, ending: &Ending, sink: &mut S) {
        for totals in &ending.threads {
            if let Some(thread) = self.thread(totals.thread) {
                thread.meter.counters(totals.off_cpu_ns, totals.faults);
            }
        }
        let mut out = Output { summary: &mut self.summary, counts: &mut self.counts, sink };
        let mut open = 0;
        for thread in self.threads.iter_mut().flatten() {
            open += thread.close_all(ending.end_ns, Ended::OpenAtDetach, &mut out);
        }
        self.counts.open_at_detach += open as u64;
        for totals in &ending.processes {
            let number = self.processes.number(totals.process);
            self.processes.get_mut(number).lost_in_kernel += totals.lost;
            self.counts.duplicates += totals.duplicates;
            self.counts.mismatches += totals.mismatches;
            self.counts.no_slot += totals.no_slot;
        }
        self.probe_hits = ending.probe_hits;
        self.probe_cost_ns = ending.probe_cost_ns;
        self.notes.extend(ending.notes.iter().cloned());
        self.ended_ns = Some(ending.end_ns);
    }

    fn status(&self, now_ns: u64) -> Status {
        let counts = &self.counts;
        Status {
            window: Window {
                start_unix_ns: self.options.start_unix_ns,
                duration_ns: self.ended_ns.unwrap_or(now_ns).saturating_sub(self.options.window_start_ns),
            },
            processes: self.processes.reports(),
            account: Account {
                events: counts.events,
                lost: self.processes.lost(),
                repaired: counts.repaired,
                open_at_attach: counts.open_at_attach,
                open_at_detach: counts.open_at_detach,
                probe_hits: self.probe_hits,
                probe_cost_ns: self.probe_cost_ns,
                duplicates: counts.duplicates,
                unmatched_ends: counts.unmatched_ends,
                unknown_thread: counts.unknown_thread,
                mismatches: counts.mismatches,
                no_slot: counts.no_slot,
                notes: self.notes.clone(),
            },
        }
    }

    fn report(&self) -> Report {
        let rows = self.functions.rows().iter().enumerate().map(|(row, name)| {
            let pid = self.processes.get(name.process).pid;
            FunctionReport::new(pid, name.function.as_ref(), &self.summary.row(row))
        });
        Report::new(self.status(self.latest_ns), rows)
    }
}
