//! Perfetto's protobuf: a beginning and an end for each call, counters for memory, flows between the steps of a coroutine.
//! Packets are written one by one; names are sent once, when they are first used.

mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::{self, Write};

use anyhow::Result;
use serde_json::Value;

use super::memory::Counter;
use super::trace::{Trace, cut};
use super::{Export, Measure};
use crate::analysis::Source;
use crate::analysis::timeline::{Edge, Span};
use crate::correction::Corrected;
use crate::functions::Row;
use schema::{
    Annotation, Clock, ClockSnapshot, CounterDescriptor, Event, EventName, Interned, Packet, PacketDefaults,
    ProcessDescriptor, SourceLocation, ThreadDescriptor, TrackDescriptor,
};

/// The format.
pub(super) struct Perfetto;

/// The track that has the word on the whole.
const ABOUT: u64 = 1;
/// Names of arguments that all calls share: their number is their place.
const ARGUMENTS: [&str; 8] = [
    "rss_bytes",
    "off_cpu_ns",
    "faults",
    "instance",
    "resumed",
    "corrected_ns",
    "corrected_at_most_ns",
    "cut_at",
];
const CATEGORY: u64 = 1;

impl Export for Perfetto {
    fn write(&self, source: &mut Source, _measure: Measure, out: &mut dyn Write) -> Result<()> {
        let mut trace = Trace::read(source)?;
        let mut packets = Packets { out, buffer: Vec::new(), named: Vec::new() };
        packets.clocks(&trace)?;
        packets.about(&trace)?;
        for pid in trace.pids() {
            packets.process(&trace, pid)?;
        }
        for (number, ids) in trace.threads() {
            packets.thread(ids, trace.thread_name(number))?;
            trace.timeline.edges(number, |edge| packets.edge(&trace, thread_track(ids), edge))?;
        }
        let mut known = BTreeSet::new();
        trace.memory(|point| {
            let counter = (point.pid, point.counter);
            if known.insert(counter) {
                packets.counter(counter)?;
            }
            let event = Event { counter_value: Some(point.bytes), ..Event::new(schema::COUNTER) };
            Ok(packets.event(point.time_ns, counter_track(counter), event)?)
        })
    }
}

/// Packets on their way out.
struct Packets<'w> {
    out: &'w mut dyn Write,
    buffer: Vec<u8>,
    /// Functions whose names have been sent, by row.
    named: Vec<bool>,
}

impl Packets<'_> {
    fn send(&mut self, packet: &Packet) -> io::Result<()> {
        self.buffer.clear();
        schema::encode(packet, &mut self.buffer);
        self.out.write_all(&self.buffer)
    }

    /// Says what times are of, and that nothing was sent before.
    fn clocks(&mut self, trace: &Trace<'_>) -> io::Result<()> {
        let start_ns = trace.start_ns();
        let clock = |clock_id, timestamp| Clock { clock_id: Some(clock_id), timestamp: Some(timestamp) };
        let clocks = vec![
            clock(schema::MONOTONIC, start_ns),
            clock(schema::REALTIME, start_ns.wrapping_add(trace.clock_offset_ns())),
        ];
        self.send(&Packet {
            clock_snapshot: Some(ClockSnapshot { clocks, primary_trace_clock: Some(schema::MONOTONIC) }),
            ..Packet::default()
        })?;
        let names = (1..).zip(ARGUMENTS).map(|(iid, name)| EventName::new(iid, name));
        self.send(&Packet {
            interned_data: Some(Interned {
                event_categories: vec![EventName::new(CATEGORY, "call")],
                debug_annotation_names: names.collect(),
                ..Interned::default()
            }),
            sequence_flags: Some(schema::STATE_CLEARED),
            defaults: Some(PacketDefaults { timestamp_clock_id: Some(schema::MONOTONIC) }),
            ..Packet::of_sequence()
        })
    }

    /// What is to be said of the whole, as arguments of an event at the beginning.
    fn about(&mut self, trace: &Trace<'_>) -> Result<()> {
        self.track(TrackDescriptor { name: Some("pytracer".into()), ..TrackDescriptor::new(ABOUT) })?;
        let about = serde_json::to_value(trace.about())?;
        let annotations = about.as_object().into_iter().flatten();
        let debug_annotations =
            annotations.map(|(name, value)| Annotation::named(name, text(value))).collect();
        let event =
            Event { name: Some("recording".into()), debug_annotations, ..Event::new(schema::INSTANT) };
        Ok(self.event(trace.start_ns(), ABOUT, event)?)
    }

    fn process(&mut self, trace: &Trace<'_>, pid: u32) -> io::Result<()> {
        self.track(TrackDescriptor {
            process: Some(ProcessDescriptor {
                pid: Some(pid as i32),
                cmdline: trace.process(pid).and_then(|process| process.command.clone()).into_iter().collect(),
                process_name: Some(trace.process_name(pid)),
            }),
            ..TrackDescriptor::new(process_track(pid))
        })
    }

    fn thread(&mut self, ids: (u32, u32), name: String) -> io::Result<()> {
        self.track(TrackDescriptor {
            thread: Some(ThreadDescriptor {
                pid: Some(ids.0 as i32),
                tid: Some(i64::from(ids.1)),
                thread_name: Some(name),
            }),
            ..TrackDescriptor::new(thread_track(ids))
        })
    }

    fn counter(&mut self, counter: (u32, Counter)) -> io::Result<()> {
        self.track(TrackDescriptor {
            name: Some(counter.1.name().into()),
            parent_uuid: Some(process_track(counter.0)),
            counter: Some(CounterDescriptor { unit: Some(schema::BYTES) }),
            ..TrackDescriptor::new(counter_track(counter))
        })
    }

    fn track(&mut self, track: TrackDescriptor) -> io::Result<()> {
        self.send(&Packet { track_descriptor: Some(track), ..Packet::of_sequence() })
    }

    fn edge(&mut self, trace: &Trace<'_>, on: u64, edge: Edge<'_>) -> io::Result<()> {
        match edge {
            Edge::Begin(span) => {
                self.name(trace, span.row)?;
                let corrected = trace.source.correction().map(|correction| span.corrected(correction));
                self.event(span.start_ns, on, begin(span, trace.coroutine(span), corrected))
            }
            Edge::End(span) => self.event(span.end_ns, on, Event::new(schema::SLICE_END)),
        }
    }

    /// Sends the names of a function, if that was not done.
    fn name(&mut self, trace: &Trace<'_>, row: Row) -> io::Result<()> {
        let at = row as usize;
        if self.named.get(at).is_some_and(|&named| named) {
            return Ok(());
        }
        self.named.resize(self.named.len().max(at + 1), false);
        self.named[at] = true;
        let iid = number(row);
        let location = trace.function(row).map(|function| SourceLocation {
            iid: Some(iid),
            file_name: Some(function.file.clone()),
            function_name: Some(function.name.clone()),
            line_number: Some(function.line),
        });
        self.send(&Packet {
            interned_data: Some(Interned {
                event_names: vec![EventName::new(iid, trace.name(row))],
                source_locations: location.into_iter().collect(),
                ..Interned::default()
            }),
            sequence_flags: Some(schema::NEEDS_STATE),
            ..Packet::of_sequence()
        })
    }

    fn event(&mut self, time_ns: u64, track: u64, event: Event) -> io::Result<()> {
        self.send(&Packet {
            timestamp: Some(time_ns),
            track_event: Some(Event { track_uuid: Some(track), ..event }),
            sequence_flags: Some(schema::NEEDS_STATE),
            ..Packet::of_sequence()
        })
    }
}

/// The beginning of a call. What has no argument is 0, or not so.
fn begin(span: &Span, coroutine: Option<u64>, corrected: Option<Corrected>) -> Event {
    let numbers = [
        span.rss_bytes,
        span.off_cpu_ns as i64,
        i64::from(span.faults),
        span.instance as i64,
        i64::from(span.is_resumed()),
        corrected.and_then(Corrected::estimate_ns).unwrap_or(0) as i64,
        corrected.and_then(Corrected::at_most_ns).unwrap_or(0) as i64,
    ];
    let numbers = (1..).zip(numbers).filter(|&(_, value)| value != 0);
    let mut annotations: Vec<_> = numbers.map(|(name, value)| Annotation::number(name, value)).collect();
    annotations.extend(cut(span).map(|cut| Annotation::text(ARGUMENTS.len() as u64, cut)));
    Event {
        category_iids: vec![CATEGORY],
        name_iid: Some(number(span.row)),
        source_location_iid: Some(number(span.row)),
        debug_annotations: annotations,
        flow_ids: coroutine.into_iter().collect(),
        ..Event::new(schema::SLICE_BEGIN)
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The number of a function's names; 0 is none.
fn number(row: Row) -> u64 {
    u64::from(row) + 1
}

fn process_track(pid: u32) -> u64 {
    u64::from(pid) << 32
}

fn thread_track((pid, tid): (u32, u32)) -> u64 {
    process_track(pid) | u64::from(tid)
}

fn counter_track((pid, counter): (u32, Counter)) -> u64 {
    let number = match counter {
        Counter::Resident => 0,
        Counter::Gained(kind) => 1 + kind as u64,
        Counter::Swapped => 4,
    };
    process_track(pid) | 1 << 63 | number
}
