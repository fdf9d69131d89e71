//! Which part of a recording is asked for.

use std::ops::Range;

use super::memory::is_thread;
use crate::event::Function;
use crate::filter::FunctionFilter;

/// A part of a recording. The default is all of it.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Time range, nanoseconds since the beginning of the window. Calls that reach beyond it are cut.
    pub time_ns: Range<u64>,
    /// Only these processes; none: all.
    pub pids: Vec<u32>,
    /// Only these threads; none: all.
    pub tids: Vec<u32>,
    /// Only these functions. The time and memory of others belong to the function that they were called from.
    pub functions: FunctionFilter,
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            time_ns: 0..u64::MAX,
            pids: Vec::new(),
            tids: Vec::new(),
            functions: FunctionFilter::default(),
        }
    }
}

impl Scope {
    /// Is it the whole recording?
    pub fn is_all(&self) -> bool {
        self.is_whole_time() && self.pids.is_empty() && self.tids.is_empty() && self.functions.is_all()
    }

    /// Is it the whole window?
    pub fn is_whole_time(&self) -> bool {
        self.time_ns == (0..u64::MAX)
    }

    /// Is this thread in it?
    pub fn has_thread(&self, pid: u32, tid: u32) -> bool {
        self.has_process(pid) && (self.tids.is_empty() || self.tids.contains(&tid))
    }

    /// Is a change of memory in it that was caused by this thread, or by none, as the log has it?
    pub(super) fn has_change(&self, pid: u32, tid: i32) -> bool {
        if is_thread(tid) {
            self.has_thread(pid, tid as u32)
        } else {
            self.has_process(pid) && self.tids.is_empty()
        }
    }

    /// Is this function in it? One without names is not, if any are asked for.
    pub(super) fn wants(&self, function: Option<&Function>) -> bool {
        self.functions.is_all() || function.is_some_and(|function| self.functions.matches(function))
    }

    /// Is this process in it?
    pub fn has_process(&self, pid: u32) -> bool {
        self.pids.is_empty() || self.pids.contains(&pid)
    }
}
