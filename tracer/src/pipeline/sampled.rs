//! Samples: stacks with the time that each stands for, and the changes of memory that they are charged with.

use rustc_hash::FxHashMap;

use super::thread::Thread;
use super::{CallSink, SamplingCost};
use crate::charge::Cost;
use crate::event::{FunctionId, Origin, Sample, SampledStack, Slot};
use crate::functions::{Functions, Row};
use crate::report::Sampling;
use crate::summary::{FunctionSums, Samples, Summary};

/// A call path of samples: a function, and the path that it was called from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampledPath {
    /// Its number, from 1 on; larger than that of the path it goes on from.
    pub path: u32,
    /// That one; 0: the outermost function.
    pub caller: u32,
    /// The function.
    pub function: FunctionId,
}

/// A sample as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenSample {
    /// When.
    pub time_ns: u64,
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// What the thread was doing.
    pub origin: Origin,
    /// Its call path; 0: no Python function.
    pub path: u32,
    /// How many samples this is.
    pub samples: u64,
    /// The time that they stand for.
    pub weight_ns: u64,
    /// Change of resident memory, of [`Origin::Memory`].
    pub rss_bytes: i64,
}

/// What a thread was last known to execute, for its changes of memory.
#[derive(Clone, Debug, Default)]
struct Stack {
    /// Outermost first.
    rows: Vec<Row>,
    top: Option<FunctionId>,
    path: u32,
}

/// The samples of a recording.
#[derive(Clone, Debug)]
pub(super) struct Sampled {
    period_ns: u64,
    stacks: FxHashMap<Slot, Stack>,
    paths: FxHashMap<(u32, FunctionId), u32>,
    /// Of threads that ran no Python function, by the number of their process.
    no_frame: FxHashMap<usize, FunctionSums>,
    account: Sampling,
}

impl Sampled {
    pub(super) fn new(rate: u32) -> Self {
        Self {
            period_ns: 1_000_000_000 / u64::from(rate.max(1)),
            stacks: FxHashMap::default(),
            paths: FxHashMap::default(),
            no_frame: FxHashMap::default(),
            account: Sampling { rate_hz: rate, ..Sampling::default() },
        }
    }

    /// Takes in a sample.
    pub(super) fn add<S: CallSink>(
        &mut self,
        sample: &Sample,
        thread: &Thread,
        (functions, summary): (&mut Functions, &mut Summary),
        sink: &mut S,
    ) {
        let stack = match &sample.stack {
            SampledStack::Functions { functions: ids, cut } => {
                self.account.cut += u64::from(*cut);
                Some(self.stack(ids, thread.process, functions, sink))
            }
            SampledStack::UnknownThread | SampledStack::Unreadable => None,
        };
        if sample.origin != Origin::OffCpu {
            // As the kernel side has it: it sends a stack for memory only if that is not the last one sent.
            self.stacks.insert(sample.thread, stack.clone().unwrap_or_default());
        }
        if sample.origin == Origin::Memory {
            return;
        }
        let Some(stack) = stack else {
            self.unread(sample);
            return;
        };
        let weight_ns = sample.weight_ns.unwrap_or(self.period_ns);
        let (cost, samples) = amounts(sample.origin, sample.samples, weight_ns);
        self.account.samples += samples.cpu;
        self.account.off_cpu_samples += samples.off_cpu;
        if stack.rows.is_empty() {
            let sums = self.no_frame.entry(thread.process).or_default();
            sums.own += cost;
            sums.samples += samples;
        } else {
            summary.add_sample(&stack.rows, cost, samples);
        }
        sink.sample(&TakenSample {
            time_ns: sample.time_ns,
            pid: thread.pid,
            tid: thread.tid,
            origin: sample.origin,
            path: stack.path,
            samples: sample.samples,
            weight_ns,
            rss_bytes: 0,
        });
    }

    /// Charges a thread with a change of memory, and returns the function on top of it.
    pub(super) fn charge<S: CallSink>(
        &self,
        (slot, thread): (Slot, &Thread),
        (time_ns, rss_bytes): (u64, i64),
        summary: &mut Summary,
        sink: &mut S,
    ) -> Option<FunctionId> {
        let stack = self.stacks.get(&slot)?;
        if rss_bytes != 0 {
            summary.add_sample(&stack.rows, Cost { rss_bytes, ..Cost::default() }, Samples::default());
            let (pid, tid, origin) = (thread.pid, thread.tid, Origin::Memory);
            let path = stack.path;
            sink.sample(&TakenSample {
                time_ns,
                pid,
                tid,
                origin,
                path,
                samples: 0,
                weight_ns: 0,
                rss_bytes,
            });
        }
        stack.top
    }

    /// A thread has ended: its slot may be another one's soon.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.stacks.remove(&slot);
    }

    /// What was sampled of threads that ran no Python function, by the number of their process.
    pub(super) fn no_frame(&self) -> impl Iterator<Item = (usize, FunctionSums)> {
        self.no_frame.iter().map(|(&process, &sums)| (process, sums))
    }

    /// How many samples there are, and what they took.
    pub(super) fn account(&self) -> Sampling {
        self.account
    }

    pub(super) fn set_cost(&mut self, cost: SamplingCost) {
        self.account.taken = cost.taken;
        self.account.cost_ns = cost.cost_ns;
    }

    fn unread(&mut self, sample: &Sample) {
        let count = match (sample.origin, &sample.stack) {
            (Origin::OffCpu, _) => &mut self.account.off_cpu_unread,
            (_, SampledStack::UnknownThread) => &mut self.account.unknown_thread,
            _ => &mut self.account.unreadable,
        };
        *count += sample.samples;
    }

    /// The stack of these functions, innermost first, without those that are not wanted.
    fn stack<S: CallSink>(
        &mut self,
        ids: &[FunctionId],
        process: usize,
        functions: &mut Functions,
        sink: &mut S,
    ) -> Stack {
        let mut stack = Stack::default();
        for &function in ids.iter().rev() {
            let Some(row) = functions.row(function, process) else { continue };
            stack.rows.push(row);
            stack.top = Some(function);
            let caller = stack.path;
            let next = self.paths.len() as u32 + 1;
            stack.path = *self.paths.entry((caller, function)).or_insert(next);
            if stack.path == next {
                sink.path(&SampledPath { path: next, caller, function });
            }
        }
        stack
    }
}

/// What so many samples stand for.
pub(crate) fn amounts(origin: Origin, samples: u64, weight_ns: u64) -> (Cost, Samples) {
    let part = |wanted| if origin == wanted { weight_ns } else { 0 };
    let off_cpu = origin == Origin::OffCpu;
    let cost = Cost { wall_ns: weight_ns, off_cpu_ns: part(Origin::OffCpu), ..Cost::default() };
    let samples = Samples {
        cpu: if off_cpu { 0 } else { samples },
        off_cpu: if off_cpu { samples } else { 0 },
        native_ns: part(Origin::Native),
        system_ns: part(Origin::System),
    };
    (cost, samples)
}
