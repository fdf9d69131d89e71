//! Counts along with a program, knowing nothing of calls: each thread's time is cut at every event, and each piece goes
//! to whatever is on the stack then.

use std::collections::BTreeSet;

use tracer::event::{FunctionId, Slot};
use tracer::pipeline::ThreadTotals;

use super::program::{Frame, Simulation, Thread};
use super::{Run, SLOTS, START_NS, name_of, process_of};

/// What a function must come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) calls: u64,
    pub(crate) resumes: u64,
    pub(crate) open_at_attach: u64,
    pub(crate) activations: u64,
    pub(crate) calls_made: u64,
    pub(crate) wall: [u64; 2],
    pub(crate) off_cpu: [u64; 2],
    pub(crate) rss: [i64; 2],
    pub(crate) faults: u64,
}

impl Simulation {
    /// Charges what was postponed until the thread's stack is known, or never will be.
    pub(super) fn settle(&mut self, slot: usize) {
        let delta_bytes = std::mem::take(&mut self.threads[slot].postponed);
        if self.threads[slot].synced {
            self.charge_memory(slot, delta_bytes);
        } else {
            self.run.no_frame += delta_bytes;
        }
    }

    /// Gives the time since the thread's last event to what is on its stack.
    pub(super) fn charge(&mut self, slot: usize, counters: u8) {
        let thread = &mut self.threads[slot];
        let first = !thread.synced;
        let elapsed = self.now_ns.saturating_sub(thread.last_ns);
        thread.last_ns += elapsed;
        let off_cpu = elapsed * u64::from(counters) / 512;
        let faults = u64::from(counters % 4);
        thread.off_cpu_ns += off_cpu;
        thread.faults += faults;
        let open = self.open_functions(slot);
        if first {
            self.run.open_at_attach += open.len() as u64;
        }
        if let Some(top) = open.last() {
            let top = self.run.functions.entry(top.clone()).or_default();
            top.wall[0] += elapsed;
            top.off_cpu[0] += off_cpu;
            top.faults += faults;
        }
        for function in &open {
            let truth = self.run.functions.entry(function.clone()).or_default();
            truth.activations += u64::from(first);
            truth.open_at_attach += u64::from(first);
        }
        for function in open.into_iter().collect::<BTreeSet<_>>() {
            let function = self.run.functions.entry(function).or_default();
            function.wall[1] += elapsed;
            function.off_cpu[1] += off_cpu;
        }
    }

    pub(super) fn charge_memory(&mut self, slot: usize, delta_bytes: i64) {
        if delta_bytes == 0 {
            return;
        }
        let open = self.open_functions(slot);
        match open.last() {
            None => self.run.no_frame += delta_bytes,
            Some(top) => self.run.functions.entry(top.clone()).or_default().rss[0] += delta_bytes,
        }
        for function in open.into_iter().collect::<BTreeSet<_>>() {
            self.run.functions.entry(function).or_default().rss[1] += delta_bytes;
        }
    }

    pub(super) fn open(&mut self, slot: usize, frame: Frame, count: fn(&mut Truth)) {
        if self.wanted(frame.id) {
            if let Some(caller) = self.open_functions(slot).pop() {
                self.run.functions.entry(caller).or_default().calls_made += 1;
            }
            let key = (process_of(slot) * 100, name_of(frame.id));
            let truth = self.run.functions.entry(key).or_default();
            truth.activations += 1;
            count(truth);
        }
        self.threads[slot].stack.push(frame);
    }

    /// The functions on a thread's stack that are wanted, outermost first.
    pub(super) fn open_functions(&self, slot: usize) -> Vec<(u32, String)> {
        let wanted = self.threads[slot].stack.iter().filter(|frame| self.wanted(frame.id));
        wanted.map(|frame| (process_of(slot) * 100, name_of(frame.id))).collect()
    }

    pub(super) fn wanted(&self, id: FunctionId) -> bool {
        !self.run.kind.filtered || id % 100 < 4
    }

    pub(super) fn finish(mut self) -> Run {
        self.now_ns = self.now_ns.max(START_NS) + 100;
        self.run.ending.end_ns = self.now_ns;
        for slot in 0..SLOTS {
            self.settle(slot);
            if self.threads[slot].synced {
                self.charge(slot, 8);
                self.run.open_at_detach += self.open_functions(slot).len() as u64;
            }
            let Thread { off_cpu_ns, faults, .. } = self.threads[slot];
            self.run.ending.threads.push(ThreadTotals { thread: slot as Slot + 1, off_cpu_ns, faults });
        }
        self.run
    }
}
