//! Threads of which nothing was heard: no probe was hit, so their stacks are those that they had when their probes were
//! put in place. They are read when the recording ends, and told to the engine as events, like those that the kernel
//! side reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use rustc_hash::FxHashMap;
use tracer_common::state::{Thread, cached, thread_state};

use super::{Followed, Process, images::Image, thread_totals};
use crate::{
    decode, discover,
    event::{Cause, Event, FrameEvent, FunctionId, Member, ProcessIndex, Slot},
    unwind::{PythonStack, PythonThread, Unwinder},
};

/// What was read.
#[derive(Debug, Default)]
pub(in crate::record) struct Silent {
    /// Events, as of the end of the window.
    pub(in crate::record) events: Vec<Event>,
    /// Threads that have a stack which could not be read, or not be trusted.
    unread: u64,
    /// Threads that have a stack.
    read: BTreeSet<Slot>,
    functions: FunctionId,
}

impl Silent {
    /// Is the stack of this thread among the events?
    pub(super) fn has_read(&self, thread: Slot) -> bool {
        self.read.contains(&thread)
    }

    /// What the report's reader should know.
    pub(in crate::record) fn note(&self) -> Option<String> {
        let threads = if self.unread == 1 { "thread" } else { "threads" };
        (self.unread > 0)
            .then(|| format!("{} {threads} that ran no Python function left out: no sure stack", self.unread))
    }
}

impl Followed {
    /// Reads the stacks of all silent threads, at the end of the window.
    pub(in crate::record) fn silent(&self, end_ns: u64) -> Silent {
        let mut by_process: BTreeMap<ProcessIndex, Vec<(Slot, Thread)>> = BTreeMap::new();
        for (slot, thread) in self.kernel.live_threads() {
            if self.sampler.is_none() && is_silent(&thread) {
                by_process.entry(thread.process).or_default().push((slot, thread));
            }
        }
        let mut silent = Silent { events: self.untouched_memory(end_ns), ..Silent::default() };
        for (index, threads) in by_process {
            if let Some(process) = self.processes.get(&index) {
                self.silent_of(index, process, &threads, end_ns, &mut silent);
            }
        }
        silent
    }

    /// The memory of processes of which no thread ran in the window: the kernel side learns it when one does.
    fn untouched_memory(&self, time_ns: u64) -> Vec<Event> {
        if !self.kernel.follows_memory() {
            return Vec::new();
        }
        let untouched = |index| self.kernel.process(index).is_ok_and(|process| process.mm == 0);
        let processes = self.processes.iter().filter(|(index, _)| untouched(**index));
        let bases = processes.filter_map(|(&process, known)| {
            Some(Event::RssBase { time_ns, process, bytes: resident_bytes(known.pid)? })
        });
        bases.collect()
    }

    /// Memory of a silent thread that the kernel side has not charged to anything.
    fn memory_of_a_silent_thread(&self, slot: Slot, process: ProcessIndex, time_ns: u64) -> Option<Event> {
        let delta_bytes = self.kernel.postponed_bytes(slot).filter(|&bytes| bytes != 0)?;
        Some(Event::Rss { time_ns, process, cause: Cause::Thread(slot), member: Member::Anon, delta_bytes })
    }

    fn silent_of(
        &self,
        index: ProcessIndex,
        process: &Process,
        threads: &[(Slot, Thread)],
        end_ns: u64,
        silent: &mut Silent,
    ) {
        let Some(plan) = self.images.get(&process.image).and_then(Image::plan) else { return };
        let code_type = self.kernel.interpreter(index).map_or(0, |interpreter| interpreter.code_type);
        if code_type == 0 {
            return;
        }
        let bias = code_type.wrapping_sub(plan.code_type);
        let known =
            Unwinder::new(process.pid, plan, bias).and_then(|unwinder| Some((unwinder, unwinder.threads()?)));
        let Some((unwinder, known)) = known else {
            silent.unread += threads.len() as u64;
            return;
        };
        let mut ids = FxHashMap::default();
        for (slot, thread) in threads {
            let Some(frame) = innermost(&known, process.pid, thread.tid) else { continue };
            let stack = match frame {
                Ok(frame) => unwinder.stack(frame),
                Err(Doubtful) => None,
            };
            let events = stack.and_then(|stack| {
                events(&unwinder, &stack, (*slot, index, end_ns), &mut ids, &mut silent.functions)
            });
            // Only if it has stood still up to now was that its stack.
            let now = self.kernel.thread_at(*slot);
            match events.filter(|_| is_silent(&now) && now.tid == thread.tid) {
                Some(events) if events.is_empty() => {}
                Some(events) => {
                    let totals = thread_totals(*slot, thread, end_ns);
                    silent.events.push(Event::Counters {
                        time_ns: end_ns,
                        thread: *slot,
                        off_cpu_ns: totals.off_cpu_ns,
                        faults: totals.faults,
                    });
                    silent.read.insert(*slot);
                    silent.events.extend(self.memory_of_a_silent_thread(*slot, index, end_ns));
                    silent.events.extend(events);
                }
                None => silent.unread += 1,
            }
        }
    }
}

fn is_silent(thread: &Thread) -> bool {
    thread.hits == 0 && thread.state & thread_state::ANNOUNCED != 0
}

/// Several frames could be a thread's innermost one.
struct Doubtful;

/// The innermost frame of a thread; `None`: it has no Python frame.
fn innermost(known: &[PythonThread], pid: u32, tid: u32) -> Option<Result<u64, Doubtful>> {
    let native_id = discover::own_tid(pid, tid)?;
    let mut own = known.iter().filter(|thread| thread.native_id == Some(native_id));
    match (own.next(), own.next()) {
        (Some(only), None) => Some(Ok(only.frame)),
        // In several interpreters: which of them runs is not to be seen from here.
        (Some(_), Some(_)) => Some(Err(Doubtful)),
        (None, _) if known.iter().any(|thread| thread.native_id.is_none()) => Some(Err(Doubtful)),
        (None, _) => None,
    }
}

/// Resident memory of a process by [`Member`](crate::event::Member).
fn resident_bytes(pid: u32) -> Option<[i64; 4]> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse::<i64>().ok().map(|kib| kib << 10)
    };
    Some([bytes("RssFile:")?, bytes("RssAnon:")?, bytes("VmSwap:")?, bytes("RssShmem:")?])
}

/// A stack as the kernel side would have sent it. `None`: a function can't be read. Empty: there are no frames.
fn events(
    unwinder: &Unwinder<'_>,
    stack: &PythonStack,
    (thread, process, time_ns): (Slot, ProcessIndex, u64),
    ids: &mut FxHashMap<u64, FunctionId>,
    functions: &mut FunctionId,
) -> Option<Vec<Event>> {
    let mut events = Vec::new();
    for &(frame, code) in &stack.frames {
        let function = if let Some(&id) = ids.get(&code) {
            id
        } else {
            // Above all ids of the kernel side.
            let id = cached::FUNCTION_LIMIT as FunctionId + *functions;
            events.push(decode::function(&unwinder.function(code, process, id)?));
            *functions += 1;
            ids.insert(code, id);
            id
        };
        events.push(Event::Frame { time_ns, thread, frame, what: FrameEvent::Held { function } });
    }
    if !events.is_empty() {
        events.push(Event::HeldEnd { time_ns, thread, complete: stack.complete });
    }
    Some(events)
}
