//! Random programs: what the kernel side would send of them, and by a naive count what the report must say.
//!
//! The model knows nothing of calls: it cuts each thread's time at every event and gives each piece to whatever is
//! on the stack then.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use tracer::event::{Cause, Event, FrameEvent, Function, FunctionId, Member, ProcessIndex, Slot};
use tracer::filter::FunctionFilter;
use tracer::pipeline::{Ending, Pipeline, PipelineOptions, ProcessAbout, ThreadTotals};

pub(crate) const START_NS: u64 = 1_000_000;
const FUNCTIONS: u32 = 5;
const SLOTS: usize = 3;
const BASE: [i64; 4] = [40_960, 81_920, 4096, 0];

/// One step of a program; the numbers are made sense of as they come.
pub(crate) type Op = (u8, u16, u8, u8, u8);

/// Which kinds of programs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) lossy: bool,
    pub(crate) filtered: bool,
}

/// So many cases, or as many as `PROPTEST_CASES` says.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(cases), failure_persistence: None, ..ProptestConfig::default() }
}

pub(crate) fn kinds() -> impl Strategy<Value = Kind> {
    (any::<bool>(), any::<bool>()).prop_map(|(lossy, filtered)| Kind { lossy, filtered })
}

pub(crate) fn programs() -> impl Strategy<Value = Vec<Op>> {
    vec(any::<Op>(), 0..400)
}

/// A run of a few hundred calls without losses.
pub(crate) fn some_run() -> Run {
    let ops: Vec<Op> = (0_u32..600)
        .map(|n| {
            let mixed = n.wrapping_mul(2_654_435_761) >> 7;
            (mixed as u8, (mixed >> 3) as u16, (mixed >> 8) as u8, (mixed >> 13) as u8, (mixed >> 17) as u8)
        })
        .collect();
    Run::new(&ops, Kind { lossy: false, filtered: false })
}

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

/// A program that has run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) events: Vec<Event>,
    pub(crate) ending: Ending,
    pub(crate) functions: BTreeMap<(u32, String), Truth>,
    pub(crate) outside: i64,
    pub(crate) no_frame: i64,
    pub(crate) total: i64,
    pub(crate) open_at_attach: u64,
    pub(crate) open_at_detach: u64,
    pub(crate) duplicates: u64,
    pub(crate) lost: u64,
    kind: Kind,
}

#[derive(Clone, Debug)]
struct Frame {
    address: u64,
    id: FunctionId,
    generator: bool,
}

#[derive(Debug, Default)]
struct Thread {
    stack: Vec<Frame>,
    suspended: Vec<Frame>,
    synced: bool,
    last_ns: u64,
    off_cpu_ns: u64,
    faults: u64,
    suppressed: u8,
    lost: u64,
    /// Changes of memory from before its stack was known.
    postponed: i64,
}

struct Simulation {
    run: Run,
    threads: Vec<Thread>,
    now_ns: u64,
    next_tid: u32,
    next_generator: u64,
}

impl Run {
    pub(crate) fn new(ops: &[Op], kind: Kind) -> Self {
        let mut simulation = Simulation::new(kind);
        for &op in ops {
            simulation.step(op);
        }
        simulation.finish()
    }

    pub(crate) fn options(&self) -> PipelineOptions {
        let names: &[String] = if self.kind.filtered { &["f0".into(), "f1".into()] } else { &[] };
        let filter = FunctionFilter::new(names, &[]).unwrap();
        PipelineOptions {
            window_start_ns: START_NS,
            start_unix_ns: 1_700_000_000_000_000_000,
            filter,
            sample_rate: None,
            calibration: None,
        }
    }

    /// Feeds a pipeline to the end; `at` is called after each event.
    pub(crate) fn play<S: tracer::pipeline::CallSink>(
        &self,
        pipeline: &mut Pipeline<S>,
        mut at: impl FnMut(usize, &mut Pipeline<S>),
    ) {
        for process in [1, 2] {
            let about = ProcessAbout {
                version: Some("3.11.2".into()),
                source: Some("model".into()),
                ..ProcessAbout::default()
            };
            pipeline.process(process, process * 100, about);
        }
        for (number, event) in self.events.iter().enumerate() {
            pipeline.apply(event);
            at(number, pipeline);
        }
        pipeline.finish(&self.ending);
    }
}

fn process_of(slot: usize) -> ProcessIndex {
    if slot == SLOTS - 1 { 2 } else { 1 }
}

fn name_of(id: FunctionId) -> String {
    format!("f{}", id % 100 / 2)
}

impl Simulation {
    fn new(kind: Kind) -> Self {
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

    fn step(&mut self, (slot, elapsed, action, argument, counters): Op) {
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

    /// Charges what was postponed until the thread's stack is known, or never will be.
    fn settle(&mut self, slot: usize) {
        let delta_bytes = std::mem::take(&mut self.threads[slot].postponed);
        if self.threads[slot].synced {
            self.charge_memory(slot, delta_bytes);
        } else {
            self.run.no_frame += delta_bytes;
        }
    }

    fn charge_memory(&mut self, slot: usize, delta_bytes: i64) {
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

    /// Gives the time since the thread's last event to what is on its stack.
    fn charge(&mut self, slot: usize, counters: u8) {
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

    fn open(&mut self, slot: usize, frame: Frame, count: fn(&mut Truth)) {
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
    fn open_functions(&self, slot: usize) -> Vec<(u32, String)> {
        let wanted = self.threads[slot].stack.iter().filter(|frame| self.wanted(frame.id));
        wanted.map(|frame| (process_of(slot) * 100, name_of(frame.id))).collect()
    }

    fn wanted(&self, id: FunctionId) -> bool {
        !self.run.kind.filtered || id % 100 < 4
    }

    fn finish(mut self) -> Run {
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

fn address(slot: usize, depth: u64) -> u64 {
    0x7f00_0000_0000 + slot as u64 * 0x10_0000 + depth * 0x60
}
