//! Runs a random program: what the kernel side would send of it.

use std::collections::BTreeMap;

use tracer::event::{Cause, Event, FrameEvent, Function, FunctionId, Member, ProcessIndex, Slot};
use tracer::pipeline::Ending;

use super::{BASE, FUNCTIONS, Kind, Op, Run, SLOTS, START_NS, name_of, process_of};

#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) address: u64,
    pub(super) id: FunctionId,
    pub(super) generator: bool,
}

#[derive(Debug, Default)]
pub(super) struct Thread {
    pub(super) stack: Vec<Frame>,
    pub(super) suspended: Vec<Frame>,
    pub(super) synced: bool,
    pub(super) last_ns: u64,
    pub(super) off_cpu_ns: u64,
    pub(super) faults: u64,
    pub(super) suppressed: u8,
    pub(super) lost: u64,
    /// Changes of memory from before its stack was known.
    pub(super) postponed: i64,
}

/// A program that runs.
pub(super) struct Simulation {
    pub(super) run: Run,
    pub(super) threads: Vec<Thread>,
    pub(super) now_ns: u64,
    pub(super) next_tid: u32,
    pub(super) next_generator: u64,
}

impl Simulation {
    pub(super) fn new(kind: Kind) -> Self {
        let run = Run {
            events: Vec::new(),
            ending: Ending::default(),
            functions: BTreeMap::new(),
            outside: 0,
            no_frame: 0,
            total: 0,
            open_at_attach: 0,
            open_at_detach: 0,
            duplicates: 0,
            lost: 0,
            kind,
        };
        let mut simulation =
            Self { run, threads: Vec::new(), now_ns: START_NS - 500, next_tid: 1000, next_generator: 0 };
        for process in [1, 2] {
            simulation.run.events.push(Event::RssBase { time_ns: START_NS, process, bytes: BASE });
            // Two ids for each function, as after its code object was made again.
            for id in (0..FUNCTIONS * 2).map(|id| process * 100 + id) {
                let function = Function { name: name_of(id), file: "m.py".into(), line: id % 100 / 2 };
                simulation.run.events.push(Event::Function { id, process, function, code: 0, code_flags: 0 });
            }
        }
        for slot in 0..SLOTS {
            simulation.threads.push(Thread::default());
            simulation.new_thread(slot);
            // Frames that are open at attach.
            for depth in 0..slot as u64 {
                let id = process_of(slot) * 100 + depth as u32;
                simulation.threads[slot].stack.push(Frame {
                    address: address(slot, depth),
                    id,
                    generator: false,
                });
            }
        }
        simulation
    }

    fn new_thread(&mut self, slot: usize) {
        let process = process_of(slot);
        let tid = self.next_tid;
        self.next_tid += 1;
        self.threads[slot] = Thread { last_ns: self.now_ns.max(START_NS), ..Thread::default() };
        let (time_ns, thread) = (self.now_ns, slot as Slot + 1);
        self.run.events.push(Event::Thread { time_ns, thread, process, pid: process * 100, tid });
    }

    pub(super) fn step(&mut self, (slot, elapsed, action, argument, counters): Op) {
        let slot = usize::from(slot) % SLOTS;
        self.now_ns += u64::from(elapsed) % 1000;
        let id = process_of(slot) * 100 + u32::from(argument) % (FUNCTIONS * 2);
        let depth = self.threads[slot].stack.len();
        let generator_on_top = self.threads[slot].stack.last().is_some_and(|frame| frame.generator);
        let suspended = self.threads[slot].suspended.len();
        match action % 24 {
            4..=8 if depth > 0 => self.leave(slot, FrameEvent::End, counters),
            9 if depth > 0 => {
                self.raise(slot, counters);
                self.leave(slot, FrameEvent::End, counters);
            }
            10 if depth > 0 => self.raise(slot, counters),
            11 | 12 => {
                self.next_generator += 1;
                let address =
                    0x5500_0000_0000 + self.next_generator % 7 * 0x100 + self.next_generator * 0x1000;
                self.call(slot, Frame { address, id, generator: true }, counters);
            }
            13..=15 if generator_on_top => self.leave(slot, FrameEvent::Yield, counters),
            16 | 17 if suspended > 0 => self.resume(slot, argument, false, counters),
            18 if suspended > 0 => self.resume(slot, argument, true, counters),
            19 => self.rss(slot, argument, counters),
            20 => self.outside(process_of(slot), argument),
            21 if argument % 8 == 0 => {
                self.settle(slot);
                if self.threads[slot].synced {
                    self.charge(slot, 0);
                }
                let (time_ns, thread) = (self.now_ns, slot as Slot + 1);
                self.run.events.push(Event::ThreadExit { time_ns, thread });
                self.new_thread(slot);
            }
            22 if self.run.kind.lossy => self.threads[slot].suppressed = argument % 6,
            23 => self.noise(slot, argument),
            _ if depth < 12 => {
                self.call(
                    slot,
                    Frame { address: address(slot, depth as u64), id, generator: false },
                    counters,
                );
            }
            _ => self.leave(slot, FrameEvent::End, counters),
        }
    }

    fn call(&mut self, slot: usize, frame: Frame, counters: u8) {
        self.send(slot, frame.address, FrameEvent::Start { resumed: false, function: frame.id }, counters);
        self.open(slot, frame, |truth| truth.calls += 1);
    }

    fn resume(&mut self, slot: usize, which: u8, thrown: bool, counters: u8) {
        let at = usize::from(which) % self.threads[slot].suspended.len();
        let frame = self.threads[slot].suspended.swap_remove(at);
        let function = frame.id;
        let what = if thrown {
            FrameEvent::Raise { function }
        } else {
            FrameEvent::Start { resumed: true, function }
        };
        self.send(slot, frame.address, what, counters);
        self.open(slot, frame, |truth| truth.resumes += 1);
    }

    fn raise(&mut self, slot: usize, counters: u8) {
        if let Some(Frame { address, id, .. }) = self.threads[slot].stack.last().cloned() {
            self.send(slot, address, FrameEvent::Raise { function: id }, counters);
        }
    }

    fn leave(&mut self, slot: usize, what: FrameEvent, counters: u8) {
        let Some(Frame { address, .. }) = self.threads[slot].stack.last().cloned() else { return };
        self.send(slot, address, what, counters);
        let frame = self.threads[slot].stack.pop();
        if what == FrameEvent::Yield {
            self.threads[slot].suspended.extend(frame);
        }
    }

    fn rss(&mut self, slot: usize, argument: u8, size: u8) {
        let member = [Member::File, Member::Anon, Member::Swap, Member::Shmem][usize::from(argument) % 4];
        let delta_bytes = i64::from(size) * 4096 - 400_000;
        let (time_ns, process, cause) = (self.now_ns, process_of(slot), Cause::Thread(slot as Slot + 1));
        self.run.events.push(Event::Rss { time_ns, process, cause, member, delta_bytes });
        if member == Member::Swap {
            return;
        }
        self.run.total += delta_bytes;
        if self.threads[slot].synced {
            self.charge_memory(slot, delta_bytes);
        } else {
            self.threads[slot].postponed += delta_bytes;
        }
    }

    fn outside(&mut self, process: ProcessIndex, size: u8) {
        let delta_bytes = -i64::from(size) * 4096;
        let time_ns = self.now_ns;
        self.run.events.push(Event::Rss {
            time_ns,
            process,
            cause: Cause::Outside,
            member: Member::Anon,
            delta_bytes,
        });
        self.run.outside += delta_bytes;
        self.run.total += delta_bytes;
    }

    /// What changes nothing: the top frame starting again, and the end of a frame that was never seen.
    fn noise(&mut self, slot: usize, argument: u8) {
        let top = self.threads[slot].stack.last().cloned();
        match top {
            Some(top) if argument.is_multiple_of(2) && self.wanted(top.id) => {
                self.send(slot, top.address, FrameEvent::Start { resumed: false, function: top.id }, 0);
                self.run.duplicates += 1;
            }
            _ => self.send(slot, 0xdead_0000, FrameEvent::End, 0),
        }
    }

    /// Sends a frame event, with what the kernel side sends before it.
    fn send(&mut self, slot: usize, frame: u64, what: FrameEvent, counters: u8) {
        self.charge(slot, counters);
        let (time_ns, thread) = (self.now_ns, slot as Slot + 1);
        let state = &mut self.threads[slot];
        if state.synced && state.suppressed > 0 {
            state.suppressed -= 1;
            state.lost += 1;
            self.run.lost += 1;
            return;
        }
        let first = !std::mem::replace(&mut state.synced, true);
        self.settle(slot);
        let state = &mut self.threads[slot];
        let lost = std::mem::take(&mut state.lost);
        if lost > 0 {
            self.run.events.push(Event::Loss { time_ns, thread, lost });
        }
        let Thread { off_cpu_ns, faults, .. } = *state;
        if counters > 0 {
            self.run.events.push(Event::Counters { time_ns, thread, off_cpu_ns, faults });
        }
        if first || lost > 0 {
            let held = state.stack.iter().rev();
            self.run.events.extend(held.map(|frame| Event::Frame {
                time_ns,
                thread,
                frame: frame.address,
                what: FrameEvent::Held { function: frame.id },
            }));
            self.run.events.push(Event::HeldEnd { time_ns, thread, complete: true });
        }
        self.run.events.push(Event::Frame { time_ns, thread, frame, what });
    }
}

fn address(slot: usize, depth: u64) -> u64 {
    0x7f00_0000_0000 + slot as u64 * 0x10_0000 + depth * 0x60
}
