//! Where finished calls go besides the sums.

use crate::charge::{BegunCall, FinishedCall, RssChange};
use crate::event::{Function, FunctionId};
use crate::pipeline::{SampledPath, TakenSample};
use crate::report::{Report, Status};

/// Something that keeps calls as they come, such as the event log. Every method may be left out.
pub trait CallSink {
    /// The window begins: monotonic nanoseconds, and nanoseconds since 1970.
    fn begin(&mut self, window_start_ns: u64, start_unix_ns: u64) {
        let _ = (window_start_ns, start_unix_ns);
    }

    /// A function was named, before the first call of it. Its process: number in the report, and process id.
    fn function(&mut self, id: FunctionId, process: (usize, u32), function: &Function, code_flags: u32) {
        let _ = (id, process, function, code_flags);
    }

    /// What a thread is called was looked up, and may be known already. Its process: number in the report, and process
    /// id. Escape where shown.
    fn thread_name(&mut self, process: (usize, u32), tid: u32, name: &str) {
        let _ = (process, tid, name);
    }

    /// A call began.
    fn begun(&mut self, call: &BegunCall) {
        let _ = call;
    }

    /// A call ended.
    fn finished(&mut self, call: &FinishedCall) {
        let _ = call;
    }

    /// Resident memory changed.
    fn rss(&mut self, change: &RssChange) {
        let _ = change;
    }

    /// A call path of samples was met for the first time.
    fn path(&mut self, path: &SampledPath) {
        let _ = path;
    }

    /// A sample was taken.
    fn sample(&mut self, sample: &TakenSample) {
        let _ = sample;
    }

    /// A thread has ended, and all its calls.
    fn thread_ended(&mut self, pid: u32, tid: u32) {
        let _ = (pid, tid);
    }

    /// Time has passed. How things stand can be asked for.
    fn tick(&mut self, status: &dyn Fn() -> Status) {
        let _ = status;
    }

    /// The window has ended. What the reader of the report should know of the sink is returned.
    fn end(&mut self, report: &Report) -> Option<String> {
        let _ = report;
        None
    }
}

/// Keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSink;

impl CallSink for NoSink {}

impl<S: CallSink> CallSink for Option<S> {
    fn begin(&mut self, window_start_ns: u64, start_unix_ns: u64) {
        if let Some(sink) = self {
            sink.begin(window_start_ns, start_unix_ns);
        }
    }

    fn function(&mut self, id: FunctionId, process: (usize, u32), function: &Function, code_flags: u32) {
        if let Some(sink) = self {
            sink.function(id, process, function, code_flags);
        }
    }

    fn thread_name(&mut self, process: (usize, u32), tid: u32, name: &str) {
        if let Some(sink) = self {
            sink.thread_name(process, tid, name);
        }
    }

    fn begun(&mut self, call: &BegunCall) {
        if let Some(sink) = self {
            sink.begun(call);
        }
    }

    fn finished(&mut self, call: &FinishedCall) {
        if let Some(sink) = self {
            sink.finished(call);
        }
    }

    fn rss(&mut self, change: &RssChange) {
        if let Some(sink) = self {
            sink.rss(change);
        }
    }

    fn path(&mut self, path: &SampledPath) {
        if let Some(sink) = self {
            sink.path(path);
        }
    }

    fn sample(&mut self, sample: &TakenSample) {
        if let Some(sink) = self {
            sink.sample(sample);
        }
    }

    fn thread_ended(&mut self, pid: u32, tid: u32) {
        if let Some(sink) = self {
            sink.thread_ended(pid, tid);
        }
    }

    fn tick(&mut self, status: &dyn Fn() -> Status) {
        if let Some(sink) = self {
            sink.tick(status);
        }
    }

    fn end(&mut self, report: &Report) -> Option<String> {
        self.as_mut().and_then(|sink| sink.end(report))
    }
}
