//! Random programs: what the kernel side would send of them, and by a naive count what the report must say.

mod program;
mod truth;

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use tracer::event::{Event, FunctionId, ProcessIndex};
use tracer::filter::FunctionFilter;
use tracer::pipeline::{CallSink, Ending, Pipeline, PipelineOptions, ProcessAbout};

use program::Simulation;
pub(crate) use truth::Truth;

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
            ..PipelineOptions::default()
        }
    }

    /// Feeds a pipeline to the end; `at` is called after each event.
    pub(crate) fn play<S: CallSink>(
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
