//! Sampling: where threads have their stacks, which the kernel side is told, and the stacks of threads that do not run,
//! which are read from here.
//!
//! A timer on each CPU sees threads that run. A thread that is off its CPU has one stack for as long as it is, and the
//! kernel side says since when: it is read once, and at each look it counts for the time since the look before.

mod periods;

use std::{collections::HashMap, fmt, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use log::debug;
use rustc_hash::FxHashMap;
use tracer_common::{
    record::{Header, flag, kind},
    sample::{PythonThread, SampledProcess},
    state::{Thread, cached, total},
};
use zerocopy::FromBytes as _;

use self::periods::Periods;
use super::{Followed, images::Image};
use crate::{
    attach::{Kernel, monotonic_ns},
    decode::{self, kind_of},
    discover,
    engine::{Engine, Message},
    event::{Event, FunctionId, Origin, ProcessIndex, Sample, SampledStack, Slot},
    pipeline::SamplingCost,
    python::{plan::Plan, thread_state::ThreadStates},
    receive::records,
    unwind::{CodeNames, PythonThread as Found, Unwinder},
};

/// How often thread states are looked for, unless that takes long.
const REFRESH_NS: u64 = 100_000_000;
/// How soon after that they are looked for again when a sample met a thread that is not known.
const SOON_NS: u64 = 5_000_000;
/// Looking for thread states takes no more than one part in so many of our time.
const REFRESH_SHARE: u64 = 20;
/// Reading stacks of sleeping threads takes no more than one part in so many of our time.
const LOOK_SHARE: u64 = 5;
/// A thread that is off its CPU for less may have made room for us.
const WAKING_NS: u64 = 100_000;
/// Sleeping threads are not looked at more often.
const MOST_LOOKS: u32 = 250;

/// What sampling has to remember.
pub(super) struct Sampler {
    rate: u32,
    periods: Periods,
    processes: HashMap<ProcessIndex, Known>,
    watched: Vec<Watched>,
    /// Where the next look begins: the last ones of many may find no time.
    turn: usize,
    functions: FxHashMap<(ProcessIndex, u64), (CodeNames, FunctionId)>,
    /// Functions that were named from here.
    named: FunctionId,
    looked_ns: u64,
    refreshed_ns: u64,
    refresh_took_ns: u64,
    /// A sample met a thread whose state is not known.
    met_unknown: bool,
}

/// A process as it was when the kernel side was told of it.
struct Known {
    pid: u32,
    /// Number of its address space.
    space: u32,
    bias: u64,
}

/// A thread.
struct Watched {
    slot: Slot,
    tid: u32,
    process: ProcessIndex,
    /// As it sees itself.
    native_id: Option<u32>,
    told: PythonThread,
    sleep: Option<Sleep>,
}

/// A time for which a thread does not run.
struct Sleep {
    since_ns: u64,
    stack: SampledStack,
    samples: u64,
    weight_ns: u64,
}

impl Sampler {
    pub(super) fn new(rate: u32) -> Self {
        Self {
            rate,
            periods: Periods::new(rate),
            processes: HashMap::new(),
            watched: Vec::new(),
            turn: 0,
            functions: FxHashMap::default(),
            named: 0,
            looked_ns: 0,
            refreshed_ns: 0,
            refresh_took_ns: 0,
            met_unknown: false,
        }
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.rate.clamp(1, MOST_LOOKS)
    }

    fn is_refresh_due(&self, now_ns: u64) -> bool {
        let since_ns = now_ns.saturating_sub(self.refreshed_ns);
        let least_ns = if self.met_unknown { SOON_NS } else { REFRESH_NS };
        since_ns >= least_ns.max(self.refresh_took_ns * REFRESH_SHARE)
    }
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sampled at {} Hz", self.rate)
    }
}

impl Followed {
    /// Begins to sample, if samples are what is wanted.
    pub(in crate::record) fn start_sampling(&mut self, engine: &Engine) -> Result<()> {
        if self.sampler.is_none() {
            return Ok(());
        }
        self.refresh_threads(engine);
        let Some(sampler) = &mut self.sampler else { return Ok(()) };
        let now_ns = monotonic_ns();
        sampler.looked_ns = now_ns;
        Ok(self.kernel.start_sampling(sampler.periods.next_ns(now_ns, fastrand::f64()))?)
    }

    /// How often sleeping threads are to be looked at; `None`: not at all.
    pub(in crate::record) fn sample_interval(&self) -> Option<Duration> {
        self.sampler.as_ref().map(Sampler::interval)
    }

    /// Has threads looked for soon, if a sample met one that is not known.
    pub(in crate::record) fn find_unknown_threads(&mut self, chunk: &Bytes) {
        let Some(sampler) = &mut self.sampler else { return };
        let unknown = |record: &[u8]| {
            kind_of(record) == Some(kind::SAMPLE)
                && Header::read_from_prefix(record)
                    .is_ok_and(|(header, _)| header.flags & flag::UNKNOWN_THREAD != 0)
        };
        sampler.met_unknown |= records(chunk).any(unknown);
    }

    /// Takes a sample of each thread that is off its CPU.
    pub(in crate::record) fn sample_sleepers(&mut self, engine: &Engine) {
        let Some(mut sampler) = self.sampler.take() else { return };
        let now_ns = monotonic_ns();
        let weight_ns = now_ns.saturating_sub(sampler.looked_ns);
        sampler.looked_ns = now_ns;
        let until_ns = own_cpu_ns() + weight_ns / LOOK_SHARE;
        let mut watched = std::mem::take(&mut sampler.watched);
        sampler.turn = (sampler.turn + 1) % watched.len().max(1);
        watched.rotate_left(sampler.turn);
        for watched in &mut watched {
            let thread = self.kernel.thread_at(watched.slot);
            let is_same = thread.tid == watched.tid && thread.process == watched.process;
            let asleep_ns = if is_same { thread.switched_out_ns } else { 0 };
            if watched.sleep.as_ref().is_some_and(|sleep| sleep.since_ns != asleep_ns) {
                watched.wake(now_ns, engine);
            }
            if asleep_ns == 0 || asleep_ns + WAKING_NS > now_ns || watched.told.state == 0 {
                continue;
            }
            if watched.sleep.is_none() {
                let in_time = own_cpu_ns() < until_ns;
                let stack = if in_time {
                    self.stack_of_sleeper(watched, &thread, &mut sampler, engine)
                } else {
                    None
                };
                let stack = stack.unwrap_or(SampledStack::Unreadable);
                watched.sleep = Some(Sleep { since_ns: asleep_ns, stack, samples: 0, weight_ns: 0 });
            }
            if let Some(sleep) = &mut watched.sleep {
                sleep.samples += 1;
                sleep.weight_ns += weight_ns;
            }
        }
        sampler.watched = watched;
        if sampler.periods.is_due(now_ns) {
            self.kernel.set_sampling_period(sampler.periods.next_ns(now_ns, fastrand::f64()));
        }
        let refresh = sampler.is_refresh_due(now_ns);
        self.sampler = Some(sampler);
        if refresh {
            self.refresh_threads(engine);
        }
    }

    /// The stack of a thread that does not run. `None`: it can't be read, or the thread has run meanwhile.
    fn stack_of_sleeper(
        &self,
        watched: &Watched,
        asleep: &Thread,
        sampler: &mut Sampler,
        engine: &Engine,
    ) -> Option<SampledStack> {
        let known = sampler.processes.get(&watched.process)?;
        let plan = self.plan_of(watched.process)?;
        let unwinder = Unwinder::new(known.pid, plan, known.bias)?;
        let innermost = unwinder.innermost(watched.told.state)?;
        let stack = unwinder.stack(innermost)?;
        let codes: Vec<_> = stack.frames.iter().map(|&(_, code)| code).collect();
        let mut functions = Vec::with_capacity(codes.len());
        for (&code, names) in codes.iter().zip(unwinder.names_of(&codes)?) {
            let key = (watched.process, code);
            let known = sampler.functions.get(&key).filter(|(known, _)| *known == names);
            let id = if let Some(&(_, id)) = known {
                id
            } else {
                // Above all ids of the kernel side.
                let id = cached::FUNCTION_LIMIT as FunctionId + sampler.named;
                let event = decode::function(&unwinder.function(code, watched.process, id)?);
                engine.tell(Message::Event(event));
                sampler.named += 1;
                sampler.functions.insert(key, (names, id));
                id
            };
            functions.push(id);
        }
        let now = self.kernel.thread_at(watched.slot);
        let slept = now.tid == watched.tid && now.switched_out_ns == asleep.switched_out_ns;
        slept.then_some(SampledStack::Functions { functions, cut: !stack.complete })
    }

    fn plan_of(&self, process: ProcessIndex) -> Option<&Plan> {
        let process = self.processes.get(&process)?;
        self.images.get(&process.image).and_then(Image::plan)
    }

    /// Ends sampling. What it took; `None`: there was none.
    pub(in crate::record) fn finish_sampling(&mut self, engine: &Engine) -> Option<SamplingCost> {
        let sampler = self.sampler.as_mut()?;
        let now_ns = monotonic_ns();
        sampler.watched.iter_mut().for_each(|watched| watched.wake(now_ns, engine));
        let total = |index| self.kernel.total(index);
        Some(SamplingCost { taken: total(total::SAMPLES), cost_ns: total(total::SAMPLES_NS) })
    }

    /// Looks for the thread states of all threads, and tells the kernel side.
    fn refresh_threads(&mut self, engine: &Engine) {
        let Some(mut sampler) = self.sampler.take() else { return };
        let begin_ns = monotonic_ns();
        sampler.met_unknown = false;
        self.watch_live_threads(&mut sampler, engine);
        let processes: Vec<_> = self.processes.iter().map(|(&index, process)| (index, process.pid)).collect();
        for (index, pid) in processes {
            if self.update_process(index, pid, &mut sampler).is_none() {
                debug!("process {pid}: its threads can't be found now");
            }
        }
        sampler.refreshed_ns = begin_ns;
        sampler.refresh_took_ns = monotonic_ns().saturating_sub(begin_ns);
        self.sampler = Some(sampler);
    }

    /// Makes the list of threads that of those with a slot.
    fn watch_live_threads(&self, sampler: &mut Sampler, engine: &Engine) {
        let now_ns = monotonic_ns();
        let mut known: FxHashMap<Slot, Watched> =
            sampler.watched.drain(..).map(|watched| (watched.slot, watched)).collect();
        for (slot, thread) in self.kernel.live_threads() {
            let same = |watched: &Watched| (watched.tid, watched.process) == (thread.tid, thread.process);
            if let Some(mut watched) = known.remove(&slot).filter(same) {
                watched.tell(now_ns, engine);
                sampler.watched.push(watched);
            } else if let Some(process) = self.processes.get(&thread.process) {
                let event = Event::Thread {
                    time_ns: now_ns,
                    thread: slot,
                    process: thread.process,
                    pid: process.pid,
                    tid: thread.tid,
                };
                engine.tell(Message::Event(event));
                sampler.watched.push(Watched {
                    slot,
                    tid: thread.tid,
                    process: thread.process,
                    native_id: discover::own_tid(process.pid, thread.tid),
                    told: PythonThread::default(),
                    sleep: None,
                });
            }
        }
        for mut gone in known.into_values() {
            gone.wake(now_ns, engine);
        }
    }

    /// Tells the kernel side where a process has its interpreter and its threads. `None`: that can't be found out.
    fn update_process(&mut self, index: ProcessIndex, pid: u32, sampler: &mut Sampler) -> Option<()> {
        let space = self.kernel.interpreter(index).ok()?.space;
        if sampler.processes.get(&index).is_none_or(|known| (known.pid, known.space) != (pid, space)) {
            sampler.processes.remove(&index);
            let process = discover::inspect(pid).ok()?;
            let states = self.plan_of(index)?.threads?;
            self.kernel.set_sampled(index, place_of(&states, &process.text)).ok()?;
            sampler.processes.insert(index, Known { pid, space, bias: process.bias });
        }
        let bias = sampler.processes.get(&index)?.bias;
        let states = Unwinder::new(pid, self.plan_of(index)?, bias)?.thread_states()?;
        let mut by_id: FxHashMap<u32, Vec<Found>> = FxHashMap::default();
        for state in &states {
            by_id.entry(state.native_id.unwrap_or(0)).or_default().push(*state);
        }
        let some_unnamed = by_id.contains_key(&0);
        for watched in sampler.watched.iter_mut().filter(|watched| watched.process == index) {
            let own = watched.native_id.and_then(|id| by_id.get(&id)).map_or(&[][..], Vec::as_slice);
            let told = match own {
                [only] => PythonThread { tid: watched.tid, pad: 0, state: only.state, id: only.id },
                // It has none.
                [] if !some_unnamed => PythonThread { tid: watched.tid, ..PythonThread::default() },
                // Which of them runs is not to be seen from here.
                _ => PythonThread::default(),
            };
            watched.learn(told, &mut self.kernel);
        }
        Some(())
    }
}

impl Watched {
    /// Tells the kernel side what thread state this one has, if that is new.
    fn learn(&mut self, told: PythonThread, kernel: &mut Kernel) {
        if self.told != told {
            match kernel.set_python_thread(self.slot, told) {
                Ok(()) => self.told = told,
                Err(error) => debug!("{error}"),
            }
        }
    }

    /// Tells the engine of the time for which it has not run, so far.
    fn tell(&mut self, time_ns: u64, engine: &Engine) {
        let Some(sleep) = &mut self.sleep else { return };
        let (samples, weight_ns) = (std::mem::take(&mut sleep.samples), std::mem::take(&mut sleep.weight_ns));
        if samples == 0 {
            return;
        }
        engine.tell(Message::Event(Event::Sample(Sample {
            time_ns,
            thread: self.slot,
            origin: Origin::OffCpu,
            samples,
            weight_ns: Some(weight_ns),
            stack: sleep.stack.clone(),
        })));
    }

    /// It runs again, or has ended.
    fn wake(&mut self, time_ns: u64, engine: &Engine) {
        self.tell(time_ns, engine);
        self.sleep = None;
    }
}

/// CPU time of this thread.
fn own_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` lives until the call returns.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn place_of(states: &ThreadStates, text: &std::ops::Range<u64>) -> SampledProcess {
    let offsets = &states.offsets;
    SampledProcess {
        text_start: text.start,
        text_end: text.end,
        frame: offsets.frame as u32,
        frame_in_c_frame: offsets.frame_in_c_frame.map_or(SampledProcess::DIRECT, |offset| offset as u32),
        id: offsets.thread.offset() as u32,
        pad: 0,
    }
}
