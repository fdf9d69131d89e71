//! How many frame events per second the stages take on one core: `cargo run --release --example pipeline_rate`.

use std::time::Instant;

use tracer::event::{Event, FrameEvent, Function, Slot};
use tracer::pipeline::{Ending, NoSink, Pipeline, PipelineOptions};

const FUNCTIONS: u32 = 1_000;
const THREADS: Slot = 4;
const EVENTS: usize = 20_000_000;

fn main() {
    for base_depth in [10, 100, 900] {
        let events = trace(base_depth, 1_000_000);
        let mut pipeline = Pipeline::new(PipelineOptions::default(), NoSink);
        announce(&mut pipeline);
        let started = Instant::now();
        for _ in 0..EVENTS / events.len() {
            for event in &events {
                pipeline.apply(event);
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        pipeline.finish(&Ending { end_ns: u64::MAX, ..Ending::default() });
        let account = pipeline.report().account;
        println!(
            "depth {base_depth}..{}: {:.1} M events/s ({} repaired)",
            base_depth + 20,
            account.events as f64 / seconds / 1e6,
            account.repaired
        );
    }
}

fn announce(pipeline: &mut Pipeline<NoSink>) {
    for id in 1..=FUNCTIONS {
        let function = Function { name: format!("f{id}"), file: "m.py".into(), line: id };
        pipeline.apply(&Event::Function { id, process: 1, function, code: 0, code_flags: 0 });
    }
    for thread in 1..=THREADS {
        let tid = u32::from(thread);
        pipeline.apply(&Event::Thread { time_ns: 0, thread, process: 1, pid: 1, tid });
    }
}

/// A trace that ends as it began: calls that go up and down at random, threads switching every 200 events.
fn trace(base_depth: u64, len: usize) -> Vec<Event> {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut events = Vec::with_capacity(len + 8 * 1024);
    let mut depth = [0_u64; THREADS as usize + 1];
    for time_ns in 0..len as u64 {
        let thread = 1 + (time_ns / 200 % u64::from(THREADS)) as Slot;
        let at = &mut depth[usize::from(thread)];
        let call = *at < base_depth || (*at < base_depth + 20 && next() % 2 == 0);
        let what = if call {
            *at += 1;
            FrameEvent::Start { resumed: false, function: 1 + (next() % u64::from(FUNCTIONS)) as u32 }
        } else {
            FrameEvent::End
        };
        let frame = 0x7f00_0000_0000
            + u64::from(thread) * 0x10_0000
            + (*at - u64::from(!call)) * 0x60
            + u64::from(!call) * 0x60;
        events.push(Event::Frame { time_ns, thread, frame, what });
        *at -= u64::from(!call);
    }
    for thread in 1..=THREADS {
        for level in (1..=depth[usize::from(thread)]).rev() {
            let frame = 0x7f00_0000_0000 + u64::from(thread) * 0x10_0000 + level * 0x60;
            events.push(Event::Frame { time_ns: len as u64, thread, frame, what: FrameEvent::End });
        }
    }
    events
}
