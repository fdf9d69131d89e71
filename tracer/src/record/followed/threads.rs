//! What threads are called. The kernel side does not say: that is looked up when a thread is first heard of, and again
//! at the end, for those that were given a name later.

use super::Followed;
use crate::{
    discover,
    engine::{Engine, Message},
    event::ProcessIndex,
};

impl Followed {
    /// From here on the engine is told what threads are called.
    pub(in crate::record) fn name_threads(&mut self) {
        self.names_threads = true;
    }

    /// Tells the engine the names that the threads of all processes have now.
    pub(in crate::record) fn name_live_threads(&self, engine: &Engine) {
        if !self.names_threads {
            return;
        }
        for (_, thread) in self.kernel.live_threads() {
            if let Some(process) = self.processes.get(&thread.process) {
                self.name_thread(thread.process, process.pid, thread.tid, engine);
            }
        }
    }

    /// Tells the engine what a thread is called. One that has ended has no name any more.
    pub(super) fn name_thread(&self, process: ProcessIndex, pid: u32, tid: u32, engine: &Engine) {
        if self.names_threads
            && let Some(name) = discover::thread_name(pid, tid)
        {
            engine.tell(Message::ThreadName { process, pid, tid, name });
        }
    }
}
