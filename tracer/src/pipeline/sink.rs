//! Where finished calls go besides the sums.

use crate::charge::{BegunCall, FinishedCall, RssChange};
use crate::event::{Function, FunctionId};
use crate::report::Status;

/// Something that keeps calls as they come, such as the event log. Every method may be left out.
pub trait CallSink {
    /// A function was named, before the first call of it.
    fn function(&mut self, id: FunctionId, pid: u32, function: &Function, code_flags: u32) {
        let _ = (id, pid, function, code_flags);
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

    /// Time has passed.
    fn tick(&mut self, status: &Status) {
        let _ = status;
    }
}

/// Keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSink;

impl CallSink for NoSink {}

impl<S: CallSink> CallSink for Option<S> {
    fn function(&mut self, id: FunctionId, pid: u32, function: &Function, code_flags: u32) {
        if let Some(sink) = self {
            sink.function(id, pid, function, code_flags);
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

    fn tick(&mut self, status: &Status) {
        if let Some(sink) = self {
            sink.tick(status);
        }
    }
}
