//! One test for each rule, named for it.

mod account;
mod calls;
mod functions;
mod held;
mod late_ends;
mod memory;
mod processes;
mod repairs;

use super::*;
use crate::charge::{Ended, FinishedCall, RssChange};
use crate::event::{Cause, FrameEvent, Function, FunctionId, Member};
use crate::filter::FunctionFilter;
use crate::report::FunctionReport;

/// Keeps what it is told.
#[derive(Default)]
struct Kept {
    calls: Vec<FinishedCall>,
    rss: Vec<RssChange>,
    functions: Vec<FunctionId>,
}

impl CallSink for Kept {
    fn function(&mut self, id: FunctionId, _: (usize, u32), _: &Function, _: u32) {
        self.functions.push(id);
    }

    fn finished(&mut self, call: &FinishedCall) {
        self.calls.push(*call);
    }

    fn rss(&mut self, change: &RssChange) {
        self.rss.push(*change);
    }
}

/// A pipeline with one process (index 1, pid 100), functions 1 f, 2 g, 3 h, and one thread (slot 1, tid 101)
/// since 1000, which is also where the window begins.
struct Run {
    pipeline: Pipeline<Kept>,
}

const SLOT: Slot = 1;

impl Run {
    fn new() -> Self {
        Self::filtered(&[])
    }

    fn filtered(names: &[&str]) -> Self {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let filter = FunctionFilter::new(&names, &[]).unwrap();
        let options = PipelineOptions { window_start_ns: 1000, filter, ..PipelineOptions::default() };
        let mut run = Self { pipeline: Pipeline::new(options, Kept::default()) };
        let about = ProcessAbout {
            version: Some("3.11.2".into()),
            source: Some("eval loop".into()),
            ..ProcessAbout::default()
        };
        run.pipeline.process(1, 100, about);
        for (id, name) in [(1, "f"), (2, "g"), (3, "h")] {
            run.function(id, name);
        }
        run.thread(SLOT, 101, 1000);
        run
    }

    fn function(&mut self, id: FunctionId, name: &str) {
        let function = Function { name: name.into(), file: "m.py".into(), line: 1 };
        self.apply(&Event::Function { id, process: 1, function, code: 0, code_flags: 0 });
    }

    fn thread(&mut self, thread: Slot, tid: u32, time_ns: u64) {
        self.apply(&Event::Thread { time_ns, thread, process: 1, pid: 100, tid });
    }

    fn apply(&mut self, event: &Event) {
        self.pipeline.apply(event);
    }

    fn frame(&mut self, time_ns: u64, frame: u64, what: FrameEvent) {
        self.apply(&Event::Frame { time_ns, thread: SLOT, frame, what });
    }

    fn start(&mut self, time_ns: u64, frame: u64, function: FunctionId) {
        self.frame(time_ns, frame, FrameEvent::Start { resumed: false, function });
    }

    fn end(&mut self, time_ns: u64, frame: u64) {
        self.frame(time_ns, frame, FrameEvent::End);
    }

    /// Outermost first.
    fn held(&mut self, time_ns: u64, frames: &[(u64, FunctionId)], complete: bool) {
        for &(frame, function) in frames.iter().rev() {
            self.frame(time_ns, frame, FrameEvent::Held { function });
        }
        self.apply(&Event::HeldEnd { time_ns, thread: SLOT, complete });
    }

    fn lose(&mut self, time_ns: u64, lost: u64) {
        self.apply(&Event::Loss { time_ns, thread: SLOT, lost });
    }

    fn rss(&mut self, time_ns: u64, cause: Cause, delta_bytes: i64) {
        self.apply(&Event::Rss { time_ns, process: 1, cause, member: Member::Anon, delta_bytes });
    }

    fn finish(&mut self, end_ns: u64) -> Report {
        self.pipeline.finish(&Ending { end_ns, ..Ending::default() });
        self.pipeline.report()
    }

    /// Of the finished calls: function, start, end, how it ended.
    fn calls(&mut self) -> Vec<(FunctionId, u64, u64, Ended)> {
        let calls = &self.pipeline.sink_mut().calls;
        calls.iter().map(|call| (call.function, call.start_ns, call.end_ns, call.ended)).collect()
    }

    fn call(&mut self, at: usize) -> FinishedCall {
        self.pipeline.sink_mut().calls[at]
    }
}

fn row<'a>(report: &'a Report, name: &str) -> &'a FunctionReport {
    report.functions.iter().find(|row| row.function == name).unwrap()
}
