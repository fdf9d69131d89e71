//! The wired stages without their sink.

use std::collections::BTreeMap;

use super::instances::{Instances, SUSPENDS};
use super::processes::Processes;
use super::sampled::Sampled;
use super::thread::{Output, Thread};
use super::{CallSink, Counts, Ending, PipelineOptions, ProcessTotals};
use crate::aggregate::Aggregate;
use crate::charge::{Charged, Ended, ProcessMemory, RssChange, UNFOLLOWED};
use crate::event::{Cause, Event, Function, FunctionId, Member, Origin, ProcessIndex, Sample, Slot};
use crate::functions::{Functions, Row};
use crate::mix::{CallMix, ClosedWindow};
use crate::report::{Account, CallShare, FunctionReport, OwnCost, Report, Status, Window, Windowing};
use crate::summary::Summary;

/// All but the sink, so that a report in mid-run can end a copy of it.
#[derive(Clone, Debug)]
pub(super) struct Core {
    options: PipelineOptions,
    functions: Functions,
    pub(super) processes: Processes,
    threads: Vec<Option<Box<Thread>>>,
    summary: Summary,
    /// Calls counted in windows, by process.
    mixes: Vec<CallMix>,
    instances: Instances,
    sampled: Option<Sampled>,
    pub(super) counts: Counts,
    lost_tasks: u64,
    probe_hits: u64,
    probe_cost_ns: u64,
    own: Option<OwnCost>,
    pub(super) notes: Vec<String>,
    windowing: Option<Windowing>,
    pub(super) latest_ns: u64,
    pub(super) ended_ns: Option<u64>,
}

impl Core {
    pub(super) fn new(options: PipelineOptions) -> Self {
        let sampled = options.sample_rate.map(Sampled::new);
        Self {
            functions: Functions::new(options.filter.clone()),
            latest_ns: options.window_start_ns,
            options,
            processes: Processes::default(),
            threads: Vec::new(),
            summary: Summary::default(),
            mixes: Vec::new(),
            instances: Instances::default(),
            sampled,
            counts: Counts::default(),
            lost_tasks: 0,
            probe_hits: 0,
            probe_cost_ns: 0,
            own: None,
            notes: Vec::new(),
            windowing: None,
            ended_ns: None,
        }
    }

    #[inline]
    pub(super) fn apply<S: CallSink>(&mut self, event: &Event, sink: &mut S) {
        self.counts.events += 1;
        match *event {
            Event::Frame { time_ns, thread, frame, what } => {
                self.latest_ns = self.latest_ns.max(time_ns);
                let mut out = Output {
                    summary: &mut self.summary,
                    counts: &mut self.counts,
                    instances: &mut self.instances,
                    sink,
                };
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
                self.settle(thread, sink);
            }
            Event::Loss { thread, lost, .. } => self.lose(thread, lost),
            Event::Rss { time_ns, process, cause, member, delta_bytes } => {
                self.rss(time_ns, process, cause, (member, delta_bytes), sink);
            }
            Event::Sample(ref sample) => self.sample(sample, sink),
            Event::RssBase { time_ns, process, bytes } => self.rss_base(time_ns, process, bytes, sink),
            Event::Function { id, process, ref function, code_flags, .. } => {
                self.function(id, process, function, code_flags, sink);
            }
            Event::Thread { time_ns, thread, process, pid, tid } => {
                self.new_thread(time_ns, thread, (process, pid, tid), sink);
            }
            Event::ThreadExit { time_ns, thread } => self.end_thread(time_ns, thread, sink),
            Event::Process { process, pid, .. } => {
                self.processes.begin(process, pid);
            }
            Event::Fork { process, pid, parent, shared_memory, .. } => {
                let number = self.processes.born(process, pid);
                let process = self.processes.get_mut(number);
                process.about.parent = Some(parent);
                process.hidden = shared_memory;
            }
            Event::Exit { process, pid, .. } => {
                let number = self.processes.number(process);
                self.instances.forget(number);
                self.processes.end(process, pid);
            }
            Event::Exec { time_ns, process: Some(process), .. } => self.exec(time_ns, process, sink),
            Event::Exec { process: None, .. } | Event::Frame { .. } | Event::Counters { .. } => {}
        }
    }

    fn sample<S: CallSink>(&mut self, sample: &Sample, sink: &mut S) {
        let Self { threads, functions, summary, sampled, .. } = self;
        match (sampled, threads.get(usize::from(sample.thread))) {
            (Some(sampled), Some(Some(thread))) => sampled.add(sample, thread, (functions, summary), sink),
            // It was asleep when it was last looked at, and has ended since.
            (Some(sampled), _) if sample.origin == Origin::OffCpu => sampled.unread(sample),
            _ => self.counts.unknown_thread += 1,
        }
        self.latest_ns = self.latest_ns.max(sample.time_ns);
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
        let mut out = Output {
            summary: &mut self.summary,
            counts: &mut self.counts,
            instances: &mut self.instances,
            sink,
        };
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
        let process = self.processes.get_mut(number);
        process.ran = true;
        process.hidden = false;
        if self.functions.announce(id, number, function) {
            if code_flags & SUSPENDS != 0
                && let Some(row) = self.functions.row(id, number)
            {
                self.instances.may_suspend(row);
            }
            sink.function(id, (number, process.pid), function, code_flags);
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
        if let Some(sampled) = &mut self.sampled {
            sampled.forget(slot);
        }
        if let Some(mut thread) = self.threads.get_mut(usize::from(slot)).and_then(Option::take) {
            settle(&mut thread, &mut self.processes, sink);
            let mut out = Output {
                summary: &mut self.summary,
                counts: &mut self.counts,
                instances: &mut self.instances,
                sink,
            };
            thread.close_all(time_ns, Ended::WithThread, &mut out);
            sink.thread_ended(thread.pid, thread.tid);
        }
    }

    /// No frame survives an exec.
    fn exec<S: CallSink>(&mut self, time_ns: u64, process: ProcessIndex, sink: &mut S) {
        let number = self.processes.number(process);
        self.instances.forget(number);
        for thread in self.threads.iter_mut().flatten().filter(|thread| thread.process == number) {
            settle(thread, &mut self.processes, sink);
            let mut out = Output {
                summary: &mut self.summary,
                counts: &mut self.counts,
                instances: &mut self.instances,
                sink,
            };
            thread.close_all(time_ns, Ended::WithThread, &mut out);
        }
    }

    fn rss<S: CallSink>(
        &mut self,
        time_ns: u64,
        process: ProcessIndex,
        cause: Cause,
        (member, delta_bytes): (Member, i64),
        sink: &mut S,
    ) {
        self.latest_ns = self.latest_ns.max(time_ns);
        let number = self.processes.number(process);
        let process = self.processes.get_mut(number);
        let thread = match cause {
            Cause::Thread(slot) => self.threads.get_mut(usize::from(slot)).and_then(Option::as_deref_mut),
            Cause::Unfollowed | Cause::Outside => None,
        };
        let thread = thread.filter(|thread| thread.process == number);
        let (pid, memory) = (process.pid, &mut process.memory);
        let total_bytes = memory.change(member, delta_bytes);
        let change = |tid| RssChange { time_ns, pid, tid, function: None, member, delta_bytes, total_bytes };
        if let (Some(thread), Some(sampled), Cause::Thread(slot)) = (&thread, &self.sampled, cause) {
            let mut change = change(thread.tid);
            let in_rss = if member.in_rss() { delta_bytes } else { 0 };
            change.function = sampled.charge((slot, thread), (time_ns, in_rss), &mut self.summary, sink);
            let charged = if change.function.is_some() { Charged::Function } else { Charged::NoFrame };
            memory.charge(member, delta_bytes, charged);
            sink.rss(&change);
            return;
        }
        match thread {
            None if cause == Cause::Outside => {
                memory.charge(member, delta_bytes, Charged::Outside);
                sink.rss(&change(0));
            }
            None => {
                memory.charge(member, delta_bytes, Charged::NoFrame);
                sink.rss(&change(UNFOLLOWED));
            }
            Some(thread) if !thread.is_synced() => thread.postpone(change(thread.tid)),
            Some(thread) => charge(thread, memory, change(thread.tid), sink),
        }
    }

    /// Charges a thread's changes from before its stack was known: they belong to the frame that was found on top.
    fn settle<S: CallSink>(&mut self, slot: Slot, sink: &mut S) {
        if let Some(Some(thread)) = self.threads.get_mut(usize::from(slot)) {
            settle(thread, &mut self.processes, sink);
        }
    }

    fn rss_base<S: CallSink>(&mut self, time_ns: u64, process: ProcessIndex, bytes: [i64; 4], sink: &mut S) {
        let number = self.processes.number_of_new_memory(process);
        let jump = self.processes.get_mut(number).memory.base(bytes);
        for (member, delta_bytes) in
            [Member::File, Member::Anon, Member::Swap, Member::Shmem].into_iter().zip(jump)
        {
            if delta_bytes != 0 {
                self.rss(time_ns, process, Cause::Outside, (member, delta_bytes), sink);
            }
        }
    }

    pub(super) fn finish<S: CallSink>(&mut self, ending: &Ending, sink: &mut S) {
        for totals in &ending.threads {
            if let Some(thread) = self.thread(totals.thread) {
                thread.meter.counters(totals.off_cpu_ns, totals.faults);
            }
        }
        let mut open = 0;
        for thread in self.threads.iter_mut().flatten() {
            settle(thread, &mut self.processes, sink);
            let mut out = Output {
                summary: &mut self.summary,
                counts: &mut self.counts,
                instances: &mut self.instances,
                sink,
            };
            open += thread.close_all(ending.end_ns, Ended::OpenAtDetach, &mut out);
        }
        self.counts.open_at_detach += open as u64;
        for totals in &ending.processes {
            self.process_totals(totals);
        }
        self.lost_tasks = ending.lost_tasks;
        if ending.lost_tasks > 0 {
            self.notes.push(format!(
                "{} records about processes and threads were lost: some may be missing, or seem to run on",
                ending.lost_tasks
            ));
        }
        self.probe_hits = ending.probe_hits;
        self.probe_cost_ns = ending.probe_cost_ns;
        self.own = ending.own;
        if let (Some(sampled), Some(cost)) = (&mut self.sampled, ending.sampling) {
            sampled.set_cost(cost);
        }
        self.notes.extend(ending.notes.iter().cloned());
        self.windowing = ending.windowing;
        self.ended_ns = Some(ending.end_ns);
    }

    /// Adds what the kernel side has added up.
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate) {
        for (process, id, sums) in &aggregate.functions {
            let number = self.processes.number(*process);
            let row = match *id {
                Some(id) => self.functions.row(id, number),
                None => Some(self.functions.others(number)),
            };
            if let Some(row) = row {
                self.summary.merge(row, sums);
            }
        }
        for (process, memory) in &aggregate.memory {
            let number = self.processes.number(*process);
            self.processes.get_mut(number).memory = memory.clone();
        }
        self.counts.add(&aggregate.counts);
    }

    /// Takes in a window, whose functions have been announced.
    pub(super) fn window(&mut self, window: &ClosedWindow) {
        let process = self.processes.number(window.process);
        if process >= self.mixes.len() {
            self.mixes.resize_with(process + 1, CallMix::default);
        }
        let mut starts = BTreeMap::<Row, (u64, u64)>::new();
        for &(function, calls, resumes) in &window.starts {
            if let Some(row) = self.functions.row(function, process) {
                let sums = starts.entry(row).or_default();
                *sums = (sums.0 + calls, sums.1 + resumes);
            }
        }
        let starts = starts.into_iter().map(|(row, (calls, resumes))| (row, calls, resumes));
        self.mixes[process].add(window.length, starts);
    }

    pub(super) fn process_totals(&mut self, totals: &ProcessTotals) {
        let number = self.processes.number(totals.process);
        self.processes.get_mut(number).lost_in_kernel += totals.lost;
        self.counts.duplicates += totals.duplicates;
        self.counts.mismatches += totals.mismatches;
        self.counts.no_slot += totals.no_slot;
    }

    pub(super) fn status(&self, now_ns: u64) -> Status {
        let counts = &self.counts;
        Status {
            window: Window {
                start_unix_ns: self.options.start_unix_ns,
                duration_ns: self.ended_ns.unwrap_or(now_ns).saturating_sub(self.options.window_start_ns),
            },
            processes: self.processes.reports(),
            account: Account {
                events: counts.events,
                lost: self.processes.lost() + self.lost_tasks,
                repaired: counts.repaired,
                late_ends: counts.late_ends,
                open_at_attach: counts.open_at_attach,
                open_at_detach: counts.open_at_detach,
                probe_hits: self.probe_hits,
                probe_cost_ns: self.probe_cost_ns,
                own: self.own,
                cost_unknown: self.ended_ns.is_none(),
                calibration: self.options.calibration,
                filtered: !self.options.filter.is_all(),
                of_whole_recording: false,
                memory_unknown: self.options.memory_unknown,
                duplicates: counts.duplicates,
                unmatched_ends: counts.unmatched_ends,
                unknown_thread: counts.unknown_thread,
                mismatches: counts.mismatches,
                no_slot: counts.no_slot,
                thinned: None,
                sampling: self.sampled.as_ref().map(Sampled::account),
                windowing: self.windowing,
                notes: self.notes.clone(),
            },
        }
    }

    pub(super) fn report(&self) -> Report {
        let rows = self.functions.rows().enumerate().map(|(row, (number, function))| {
            let process = (number, self.processes.get(number).pid);
            let sums = self.summary.row(row);
            let report = match self.sampled {
                None => FunctionReport::new(process, function, &sums),
                Some(_) => FunctionReport::sampled(process, function, &sums),
            };
            let share = self.mixes.get(number).and_then(|mix| mix.share(row as Row));
            FunctionReport { call_share: share.map(CallShare::from), ..report }
        });
        let no_frame =
            self.sampled.iter().flat_map(Sampled::no_frame).map(|(number, sums)| {
                FunctionReport::no_frame((number, self.processes.get(number).pid), &sums)
            });
        Report::new(self.status(self.latest_ns), rows.chain(no_frame))
    }
}

/// Charges a change of memory to the function on top of the thread.
fn charge<S: CallSink>(thread: &mut Thread, memory: &mut ProcessMemory, mut change: RssChange, sink: &mut S) {
    change.function = thread.top();
    let charged = if change.function.is_some() { Charged::Function } else { Charged::NoFrame };
    memory.charge(change.member, change.delta_bytes, charged);
    if change.member.in_rss() {
        thread.meter.rss(change.delta_bytes);
    }
    sink.rss(&change);
}

/// See [`Core::settle`]. Of a thread whose stack was never seen they are without a frame.
fn settle<S: CallSink>(thread: &mut Thread, processes: &mut Processes, sink: &mut S) {
    for change in thread.take_postponed() {
        let number = thread.process;
        charge(thread, &mut processes.get_mut(number).memory, change, sink);
    }
}
