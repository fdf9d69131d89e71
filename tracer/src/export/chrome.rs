//! The JSON of Chrome's trace viewer, which Perfetto's UI opens too: a complete event for each call, counters for memory,
//! and arrows between the steps of a coroutine. Times are microseconds of the monotonic clock, with nanoseconds behind
//! the point.

use std::io::Write;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use super::json::{self, Array};
use super::memory::Point;
use super::trace::{Trace, cut};
use super::{Export, Measure};
use crate::analysis::Source;
use crate::analysis::timeline::Span;
use crate::correction::Corrected;

/// The format.
pub(super) struct Chrome;

/// A call.
#[derive(Serialize)]
struct Call<'a> {
    ph: &'static str,
    cat: &'static str,
    name: &'a str,
    pid: u32,
    tid: u32,
    ts: f64,
    dur: f64,
    args: Arguments<'a>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    flow: Option<Flow>,
}

/// What is not there is 0, or not so.
#[derive(Serialize)]
struct Arguments<'a> {
    function: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    rss_bytes: i64,
    #[serde(skip_serializing_if = "is_zero")]
    off_cpu_ns: u64,
    #[serde(skip_serializing_if = "is_zero")]
    faults: u32,
    #[serde(skip_serializing_if = "is_zero")]
    instance: u64,
    #[serde(skip_serializing_if = "is_zero")]
    resumed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_at: Option<&'static str>,
    #[serde(flatten)]
    corrected: Option<Corrected>,
}

/// Ties the steps of a coroutine together.
#[derive(Serialize)]
struct Flow {
    bind_id: String,
    #[serde(rename = "flow_out")]
    begins: bool,
    #[serde(rename = "flow_in", skip_serializing_if = "is_zero")]
    goes_on: bool,
}

impl Export for Chrome {
    fn write(&self, source: &mut Source, _measure: Measure, out: &mut dyn Write) -> Result<()> {
        let mut trace = Trace::read(source)?;
        out.write_all(b"{\"displayTimeUnit\":\"ns\",\"otherData\":")?;
        json::write(out, &trace.about())?;
        out.write_all(b",\n\"traceEvents\":")?;
        let mut events = Array::begin(out)?;
        for pid in trace.pids() {
            events.push(&name("process_name", (pid, pid), &trace.process_name(pid)))?;
        }
        let labels = trace.labels();
        let correction = trace.source.correction();
        for (number, ids) in trace.threads() {
            events.push(&name("thread_name", ids, &trace.thread_name(number)))?;
            trace.timeline.each(number, |span| {
                let names = (trace.name(span.row), &*labels[span.row as usize]);
                let corrected = correction.map(|correction| span.corrected(correction));
                events.push(&call(ids, span, names, trace.coroutine(span), corrected))
            })?;
        }
        trace.memory(|point| Ok(events.push(&counter(point))?))?;
        events.end()?;
        Ok(out.write_all(b"}\n")?)
    }
}

fn name(of: &str, (pid, tid): (u32, u32), name: &str) -> Value {
    json!({"ph": "M", "name": of, "pid": pid, "tid": tid, "args": {"name": name}})
}

fn counter(Point { time_ns, pid, counter, bytes }: Point) -> Value {
    let name = counter.name();
    json!({"ph": "C", "name": name, "pid": pid, "ts": microseconds(time_ns), "args": {"bytes": bytes}})
}

fn call<'a>(
    (pid, tid): (u32, u32),
    span: &Span,
    (name, label): (&'a str, &'a str),
    coroutine: Option<u64>,
    corrected: Option<Corrected>,
) -> Call<'a> {
    Call {
        ph: "X",
        cat: "call",
        name,
        pid,
        tid,
        ts: microseconds(span.start_ns),
        dur: microseconds(span.end_ns - span.start_ns),
        args: Arguments {
            function: label,
            rss_bytes: span.rss_bytes,
            off_cpu_ns: span.off_cpu_ns,
            faults: span.faults,
            instance: span.instance,
            resumed: span.is_resumed(),
            cut_at: cut(span),
            corrected,
        },
        flow: coroutine.map(|instance| Flow {
            bind_id: format!("{instance:#x}"),
            begins: true,
            goes_on: span.is_resumed(),
        }),
    }
}

/// Exact up to 104 days: a number of JSON has 53 bits.
fn microseconds(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
