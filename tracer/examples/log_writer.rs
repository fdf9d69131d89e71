//! How many calls a second the event log takes on one core, and how many bytes each becomes.
//!
//! Calls are made up, in three ways, and handed to the writer as the pipeline does. The time is CPU time of all threads,
//! with that for making the calls up.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use procfs::process::Process;
use tracer::charge::{Began, Cost, Ended, FinishedCall};
use tracer::log::{LogOptions, LogWriter};
use tracer::pipeline::{CallSink as _, Pipeline, PipelineOptions};

/// Calls of each stream, unless another number is given.
const CALLS: u64 = 20_000_000;

fn main() -> Result<()> {
    let calls = std::env::args().nth(1).map_or(Ok(CALLS), |calls| calls.parse()).context("how many calls")?;
    println!("{:<28}{:>16}{:>16}", "stream", "M calls/s", "bytes/call");
    for (name, step) in [
        ("plain calls", Stream::plain as fn(&mut Stream) -> FinishedCall),
        ("steps of generators", Stream::generators),
        ("worst case", Stream::noise),
    ] {
        let (seconds, bytes) = measure(calls, step)?;
        println!("{name:<28}{:>16.2}{:>16.2}", calls as f64 / seconds / 1e6, bytes as f64 / calls as f64);
    }
    Ok(())
}

/// CPU seconds, and bytes of the table.
fn measure(calls: u64, step: fn(&mut Stream) -> FinishedCall) -> Result<(f64, u64)> {
    let dir = tempfile::tempdir()?;
    let before = cpu_seconds()?;
    let mut log = LogWriter::create(&dir.path().join("log"), LogOptions::default())?;
    let mut stream = Stream::default();
    for _ in 0..calls {
        log.finished(&step(&mut stream));
    }
    let mut pipeline = Pipeline::new(PipelineOptions::default(), log);
    pipeline.finish(&tracer::pipeline::Ending::default());
    let report = pipeline.report();
    anyhow::ensure!(report.account.notes.is_empty(), "{:?}", report.account.notes);
    Ok((cpu_seconds()? - before, size(&dir.path().join("log/calls"))?))
}

fn cpu_seconds() -> Result<f64> {
    let stat = Process::myself()?.stat()?;
    Ok((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
}

fn size(folder: &Path) -> Result<u64> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

/// A program without end.
struct Stream {
    random: u64,
    now_ns: u64,
    /// Which call of a function's three this is.
    turn: u32,
    outer: u32,
    /// Where the outer call began.
    began_ns: u64,
    generators: [(u64, u32); 64],
    made: u64,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            random: 0x9e37_79b9_7f4a_7c15,
            now_ns: 1 << 40,
            turn: 0,
            outer: 1,
            began_ns: 1 << 40,
            generators: [(0, 0); 64],
            made: 0,
        }
    }
}

impl Stream {
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// Forty functions, some more often than others, each of which calls three of its own; times jitter as on a quiet
    /// machine, and now and then a call waits or takes memory.
    fn plain(&mut self) -> FinishedCall {
        let random = self.random();
        let gap = 120 + (random & 0x3f);
        let duration =
            250 + ((random >> 6) & 0x7f) + if random.is_multiple_of(61) { random >> 48 } else { 0 };
        let start_ns = self.now_ns + gap;
        self.now_ns = start_ns + duration;
        self.turn = (self.turn + 1) % 4;
        let (function, caller, depth, start_ns) = if self.turn == 0 {
            let finished = (self.outer, Some(201), 1, self.began_ns);
            self.outer = 1 + ((random >> 20) as u32 % 40) * ((random >> 40) as u32 % 40) / 40;
            self.began_ns = self.now_ns + 80;
            finished
        } else {
            (41 + self.outer * 4 + self.turn, Some(self.outer), 2, start_ns)
        };
        let wall_ns = self.now_ns - start_ns;
        let total = Cost {
            wall_ns,
            off_cpu_ns: if random.is_multiple_of(509) { wall_ns / 2 } else { 0 },
            rss_bytes: if random.is_multiple_of(1021) { 4096 } else { 0 },
            faults: u64::from(random.is_multiple_of(1021)),
        };
        call(function, caller, depth, (start_ns, self.now_ns), total)
    }

    /// The same, but every other call is a step of one of 64 generators, of 20 steps each.
    fn generators(&mut self) -> FinishedCall {
        let plain = self.plain();
        if self.turn.is_multiple_of(2) {
            return plain;
        }
        let at = (self.random >> 40) as usize % self.generators.len();
        let (instance, steps) = &mut self.generators[at];
        if *steps == 0 {
            self.made += 1;
            (*instance, *steps) = (self.made, 20);
        }
        *steps -= 1;
        let began = if *steps == 19 { Began::Call } else { Began::Resumed };
        FinishedCall { instance: *instance, began, ended: Ended::Suspended, ..plain }
    }

    /// Nothing repeats.
    fn noise(&mut self) -> FinishedCall {
        let random = self.random();
        let start_ns = self.now_ns + (random & 0xffff);
        self.now_ns = start_ns + ((random >> 16) & 0xffff);
        let more = self.random();
        let total = Cost {
            wall_ns: self.now_ns - start_ns,
            off_cpu_ns: more & 0xffff,
            rss_bytes: ((more >> 16) & 0xfff) as i64 * 4096,
            faults: (more >> 28) & 0xfff,
        };
        let more = self.random();
        let (function, caller) = ((more & 0x3fff) as u32, Some(((more >> 14) & 0x3fff) as u32));
        let depth = ((more >> 28) & 0x3f) as u32;
        let call = call(function, caller, depth, (start_ns, self.now_ns), total);
        FinishedCall { tid: 1 + ((more >> 34) & 0xff) as u32, instance: more >> 44, ..call }
    }
}

fn call(
    function: u32,
    caller: Option<u32>,
    depth: u32,
    (start_ns, end_ns): (u64, u64),
    total: Cost,
) -> FinishedCall {
    FinishedCall {
        pid: 4242,
        tid: 4242,
        function,
        caller,
        depth,
        start_ns,
        end_ns,
        total,
        own: total,
        calls_made: 0,
        began: Began::Call,
        ended: Ended::Returned,
        recursive: false,
        instance: 0,
    }
}
