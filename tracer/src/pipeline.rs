//! The stages from events to sums, wired: [`crate::stacks`], [`crate::charge`], [`crate::summary`]. Events in,
//! a [`Report`] out; calls go to a [`CallSink`] on the way.

mod core;
mod instances;
mod options;
mod processes;
mod sampled;
mod sink;
#[cfg(test)]
mod tests;
mod thread;

use self::core::Core;
use crate::aggregate::Aggregate;
use crate::event::{Event, ProcessIndex, Slot};
use crate::mix::ClosedWindow;
use crate::report::{Report, Status};
pub use options::{Counts, Ending, PipelineOptions, ProcessTotals, SamplingCost, ThreadTotals};
pub use processes::ProcessAbout;
pub(crate) use sampled::amounts;
pub use sampled::{SampledPath, TakenSample};
pub use sink::{CallSink, NoSink};

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

    /// Tells of a process that runs Python: what the index stands for, and what is known of it. Nothing that is known
    /// already is forgotten.
    pub fn process(&mut self, index: ProcessIndex, pid: u32, about: ProcessAbout) {
        let number = self.core.processes.identify(index, pid);
        let process = self.core.processes.get_mut(number);
        process.about.add(about);
        process.hidden = false;
    }

    /// A process has turned out not to run Python, or not to any more: it is in the report only if it has run some.
    pub fn let_go(&mut self, index: ProcessIndex, pid: u32) {
        let number = self.core.processes.identify(index, pid);
        let process = self.core.processes.get_mut(number);
        process.hidden = !process.ran;
    }

    /// Tells what a thread of a process is called. Often is fine: what is known already is not kept again.
    pub fn thread_name(&mut self, index: ProcessIndex, pid: u32, tid: u32, name: &str) {
        let number = self.core.processes.identify(index, pid);
        self.sink.thread_name((number, pid), tid, name);
    }

    /// Adds what the kernel side has counted of a process that is not followed any more.
    pub fn process_totals(&mut self, totals: &ProcessTotals) {
        self.core.process_totals(totals);
    }

    /// Adds what the kernel side has added up by itself.
    pub fn aggregate(&mut self, aggregate: &Aggregate) {
        self.core.aggregate(aggregate);
    }

    /// Takes in what was counted in a window. The functions in it have been announced.
    pub fn window(&mut self, window: &ClosedWindow) {
        self.core.window(window);
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
