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

    /// Counts a sample whose stack is not known.
    pub(super) fn unread(&mut self, sample: &Sample) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Cause, Event, Function, Member};
    use crate::pipeline::{Ending, Pipeline, PipelineOptions};
    use crate::report::{FunctionReport, Report};

    const PERIOD_NS: u64 = 10_000_000;

    /// Keeps what it is told.
    #[derive(Default)]
    struct Kept {
        paths: Vec<SampledPath>,
        samples: Vec<TakenSample>,
    }

    impl CallSink for Kept {
        fn path(&mut self, path: &SampledPath) {
            self.paths.push(*path);
        }

        fn sample(&mut self, sample: &TakenSample) {
            self.samples.push(*sample);
        }
    }

    /// 100 samples a second of a process (index 1, pid 100) with functions 1 f and 2 g and a thread (slot 1, tid 101).
    fn pipeline() -> Pipeline<Kept> {
        let options = PipelineOptions { sample_rate: Some(100), ..PipelineOptions::default() };
        let mut pipeline = Pipeline::new(options, Kept::default());
        pipeline.process(1, 100, crate::pipeline::ProcessAbout::default());
        for (id, name) in [(1, "f"), (2, "g")] {
            let function = Function { name: name.into(), file: "m.py".into(), line: id };
            pipeline.apply(&Event::Function { id, process: 1, function, code: 0, code_flags: 0 });
        }
        pipeline.apply(&Event::Thread { time_ns: 0, thread: 1, process: 1, pid: 100, tid: 101 });
        pipeline
    }

    fn sample(origin: Origin, weight_ns: Option<u64>, stack: SampledStack) -> Event {
        Event::Sample(Sample { time_ns: 5, thread: 1, origin, samples: 1, weight_ns, stack })
    }

    fn functions(innermost_first: &[FunctionId]) -> SampledStack {
        SampledStack::Functions { functions: innermost_first.to_vec(), cut: false }
    }

    fn report(pipeline: &mut Pipeline<Kept>) -> Report {
        pipeline.finish(&Ending { end_ns: 100, ..Ending::default() });
        pipeline.report()
    }

    fn row<'a>(report: &'a Report, name: &str) -> &'a FunctionReport {
        report.functions.iter().find(|row| row.function == name).unwrap()
    }

    #[test]
    fn a_sample_counts_for_the_functions_of_its_stack() {
        let mut pipeline = pipeline();
        for event in [
            sample(Origin::Python, None, functions(&[2, 1])),
            sample(Origin::Native, None, functions(&[2, 2, 1])),
            sample(Origin::System, None, functions(&[1])),
            sample(Origin::OffCpu, Some(7), functions(&[1])),
        ] {
            pipeline.apply(&event);
        }
        let report = report(&mut pipeline);
        let (f, g) = (row(&report, "f"), row(&report, "g"));
        assert_eq!((f.self_wall_ns, f.self_cpu_ns), (PERIOD_NS + 7, PERIOD_NS));
        assert_eq!((f.cum_wall_ns, f.cum_cpu_ns), (3 * PERIOD_NS + 7, 3 * PERIOD_NS));
        assert_eq!((g.self_cpu_ns, g.cum_cpu_ns), (2 * PERIOD_NS, 2 * PERIOD_NS), "recursion counts once");
        let (f, g) = (f.sampled.unwrap(), g.sampled.unwrap());
        assert_eq!((f.samples, f.off_cpu_samples, f.self_system_ns), (1, 1, PERIOD_NS));
        assert_eq!((g.samples, g.self_python_ns, g.self_native_ns), (2, PERIOD_NS, PERIOD_NS));
        assert!((g.cpu_share - 2.0 / 3.0).abs() < 1e-9);
        let kept = pipeline.into_sink();
        let paths: Vec<_> = kept.paths.iter().map(|path| (path.path, path.caller, path.function)).collect();
        assert_eq!(paths, [(1, 0, 1), (2, 1, 2), (3, 2, 2)]);
        assert_eq!(kept.samples.iter().map(|sample| sample.path).collect::<Vec<_>>(), [2, 3, 1, 1]);
    }

    #[test]
    fn memory_is_charged_to_the_stack_that_was_told_last() {
        let mut pipeline = pipeline();
        let change = |delta_bytes| Event::Rss {
            time_ns: 6,
            process: 1,
            cause: Cause::Thread(1),
            member: Member::Anon,
            delta_bytes,
        };
        for event in [
            sample(Origin::Memory, None, functions(&[2, 1])),
            change(4096),
            change(8192),
            sample(Origin::Python, None, functions(&[1])),
            change(-4096),
            sample(Origin::OffCpu, Some(7), functions(&[2, 1])),
            change(16384),
        ] {
            pipeline.apply(&event);
        }
        let report = report(&mut pipeline);
        let rss = |name| (row(&report, name).self_rss_bytes, row(&report, name).cum_rss_bytes);
        assert_eq!((rss("f"), rss("g")), ((12288, 24576), (12288, 12288)));
        let kept = pipeline.into_sink();
        let changes = kept.samples.iter().filter(|sample| sample.origin == Origin::Memory);
        let changes: Vec<_> = changes.map(|sample| (sample.path, sample.rss_bytes)).collect();
        assert_eq!(changes, [(2, 4096), (2, 8192), (1, -4096), (1, 16384)]);
    }

    #[test]
    fn what_can_not_be_read_is_counted_and_in_no_row() {
        let mut pipeline = pipeline();
        for event in [
            sample(Origin::Python, None, SampledStack::Unreadable),
            sample(Origin::Python, None, SampledStack::UnknownThread),
            sample(Origin::OffCpu, Some(9), SampledStack::Unreadable),
            sample(Origin::Native, None, functions(&[])),
        ] {
            pipeline.apply(&event);
        }
        let report = report(&mut pipeline);
        let sampling = report.account.sampling.unwrap();
        assert_eq!((sampling.unreadable, sampling.unknown_thread, sampling.off_cpu_unread), (1, 1, 1));
        assert_eq!((sampling.samples, sampling.off_cpu_samples), (1, 0));
        let [outside] = &report.functions[..] else { panic!("{:?}", report.functions) };
        assert_eq!((&*outside.function, outside.self_cpu_ns), (crate::report::NO_FRAME, PERIOD_NS));
    }
}
