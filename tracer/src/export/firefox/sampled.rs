//! A profile of samples. What a thread was doing is the category of its innermost frame; of waiting it is `Idle`, which
//! the profiler knows as such.

use std::io::Write;

use anyhow::Result;
use fxprof_processed_profile::{
    CategoryColor, CategoryHandle, Profile, SamplingInterval, StackHandle, ThreadHandle,
};
use rustc_hash::FxHashMap;

use super::super::json;
use super::super::trace::{SampledTrace, Trace};
use super::{Builder, Samples, refuse};
use crate::analysis::Source;
use crate::analysis::paths::PathId;
use crate::event::Origin;

/// Four for each call that there may be: a sample has no marker, and is a fraction of what a call is.
const MOST_SAMPLES: usize = 4_000_000;
const ADVICE: &str = "choose a part with --time, --pid or --tid, or export as speedscope";

/// Writes a recording of samples.
pub(super) fn write(source: &mut Source, out: &mut dyn Write) -> Result<()> {
    let mut trace = Trace::read_samples(source)?;
    let samples = trace.threads().map(|(number, _)| trace.timeline.len(number)).sum();
    refuse(samples, MOST_SAMPLES, "samples", ADVICE)?;
    let mut builder = Builder::new(&trace);
    let rate_hz = trace.report.account.sampling.map_or(0, |sampling| sampling.rate_hz);
    builder.profile.set_interval(SamplingInterval::from_nanos(1_000_000_000 / u64::from(rate_hz.max(1))));
    let categories = Categories::new(&mut builder.profile, builder.category);
    for (number, ids) in trace.threads() {
        let thread = builder.add_thread(ids, &trace.thread_name(number));
        let stacks = Stacks { thread, categories, known: FxHashMap::default() };
        builder.samples(&trace, number, stacks)?;
    }
    builder.counters(&mut trace)?;
    builder.about(&trace)?;
    Ok(json::write(out, &builder.profile)?)
}

/// What a thread was doing.
#[derive(Clone, Copy)]
struct Categories {
    python: CategoryHandle,
    native: CategoryHandle,
    kernel: CategoryHandle,
    idle: CategoryHandle,
}

impl Categories {
    fn new(profile: &mut Profile, python: CategoryHandle) -> Self {
        Self {
            python,
            native: profile.add_category("Native code", CategoryColor::Green),
            kernel: profile.add_category("Kernel", CategoryColor::Orange),
            idle: profile.add_category("Idle", CategoryColor::Transparent),
        }
    }

    fn of(self, origin: Origin) -> CategoryHandle {
        match origin {
            Origin::Python | Origin::Memory => self.python,
            Origin::Native => self.native,
            Origin::System => self.kernel,
            Origin::OffCpu => self.idle,
        }
    }
}

/// The stacks of a thread that the profile has.
struct Stacks {
    thread: ThreadHandle,
    categories: Categories,
    known: FxHashMap<(PathId, CategoryHandle), StackHandle>,
}

impl Stacks {
    /// The stack of a path whose last function is of a category; those that it was called from run Python.
    fn of(
        &mut self,
        builder: &mut Builder,
        trace: &SampledTrace<'_>,
        path: PathId,
        category: CategoryHandle,
    ) -> Option<StackHandle> {
        let Self { thread, categories, known } = self;
        let mut missing = Vec::new();
        let (mut at, mut of) = (path, category);
        let mut stack = None;
        while let Some(row) = trace.paths.row(at) {
            stack = known.get(&(at, of)).copied();
            if stack.is_some() {
                break;
            }
            missing.push((at, of, row));
            (at, of) = (trace.paths.parent(at), categories.python);
        }
        for (path, category, row) in missing.into_iter().rev() {
            let frame = builder.frame(*thread, row, category);
            let made = builder.profile.intern_stack(*thread, stack, frame);
            known.insert((path, category), made);
            stack = Some(made);
        }
        stack
    }
}

impl Builder {
    fn samples(&mut self, trace: &SampledTrace<'_>, number: usize, mut stacks: Stacks) -> Result<()> {
        let mut samples = Samples::new(stacks.thread);
        samples.now_ns = self.start_ns;
        // What is shown is what there are samples of.
        samples.add(self, self.start_ns, None, 0);
        trace.timeline.each(number, |sample| {
            let stack = stacks.of(self, trace, sample.path, stacks.categories.of(sample.origin));
            samples.now_ns = samples.now_ns.max(sample.time_ns);
            let mut left_ns = sample.weight_ns;
            while left_ns > 0 {
                // A weight has 31 bits: 2.1 s.
                let weight = i32::try_from(left_ns).unwrap_or(i32::MAX);
                if sample.origin != Origin::OffCpu {
                    samples.cpu_ns += weight as u64;
                }
                samples.add(self, samples.now_ns, stack, weight);
                left_ns -= weight as u64;
            }
            anyhow::Ok(())
        })?;
        samples.add(self, trace.end_ns().max(samples.now_ns), None, 0);
        Ok(())
    }
}
