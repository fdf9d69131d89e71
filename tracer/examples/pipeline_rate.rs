//! How many frame events per second the stages take on one core: `cargo run --release --example pipeline_rate`.

use std::path::Path;
use std::time::Instant;

use tracer::event::{Event, FrameEvent, Function, Slot};
use tracer::log::{LogKind, LogOptions, LogWriter};
use tracer::pipeline::{CallSink, Ending, NoSink, Pipeline, PipelineOptions};

const FUNCTIONS: u32 = 1_000;
const THREADS: Slot = 4;
const EVENTS: usize = 20_000_000;
/// Longer than one trace.
const ROUND_NS: u64 = 1 << 30;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for base_depth in [10, 100, 900] {
        measure(&format!("depth {base_depth}, no log"), &trace(base_depth, 1_000_000), NoSink);
    }
    for kind in [LogKind::Calls, LogKind::Events] {
        let dir = tempfile::tempdir()?;
        let log = LogWriter::create(dir.path(), LogOptions { kind, arguments: Vec::new() })?;
        measure(&format!("depth 10, log of {kind:?}"), &trace(10, 1_000_000), log);
        let started = Instant::now();
        let reading = tracer::log::read(dir.path())?;
        let calls: u64 = reading.report.functions.iter().map(|row| row.calls).sum();
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "  {:.2} bytes per event; read back at {:.1} M calls/s",
            bytes(dir.path())? as f64 / EVENTS as f64,
            calls as f64 / seconds / 1e6
        );
    }
    Ok(())
}

fn measure(what: &str, events: &[Event], sink: impl CallSink) {
    let mut pipeline = Pipeline::new(PipelineOptions::default(), sink);
    announce(&mut pipeline);
    let started = Instant::now();
    for round in 0..EVENTS / events.len() {
        for event in events {
            pipeline.apply(&later(event, round as u64 * ROUND_NS));
        }
    }
    pipeline.finish(&Ending { end_ns: 1 << 40, ..Ending::default() });
    let seconds = started.elapsed().as_secs_f64();
    let account = pipeline.report().account;
    println!(
        "{what}: {:.1} M events/s ({} repaired)",
        account.events as f64 / seconds / 1e6,
        account.repaired
    );
}

#[inline]
fn later(event: &Event, by_ns: u64) -> Event {
    match *event {
        Event::Frame { time_ns, thread, frame, what } => {
            Event::Frame { time_ns: time_ns + by_ns, thread, frame, what }
        }
        ref event => event.clone(),
    }
}

/// Size of a folder.
fn bytes(dir: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() { bytes(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(sum)
}

fn announce(pipeline: &mut Pipeline<impl CallSink>) {
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
    let mut time_ns = 0;
    for number in 0..len as u64 {
        time_ns += 100 + next() % 900;
        let thread = 1 + (number / 200 % u64::from(THREADS)) as Slot;
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
            events.push(Event::Frame { time_ns, thread, frame, what: FrameEvent::End });
        }
    }
    events
}
