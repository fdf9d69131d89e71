//! Calls in the order in which they began, against the calls as the log gives them.

use std::collections::BTreeMap;
use std::io;

use proptest::prelude::*;
use tracer::analysis::timeline::{Edge, Span, Timeline};
use tracer::analysis::{Source, scope::Scope};
use tracer::log::{LogKind, LogOptions, LogWriter};
use tracer::pipeline::Pipeline;

use super::simulate::{Run, START_NS, config, kinds, programs};

fn spans(timeline: &Timeline, thread: usize) -> Vec<Span> {
    let mut spans = Vec::new();
    let each = timeline.each(thread, |span| {
        spans.push(*span);
        io::Result::Ok(())
    });
    each.unwrap();
    spans
}

/// Wall time of each function without what it called, by edges alone: balanced, nested and in order, or this fails.
fn own_by_edges(timeline: &Timeline, thread: usize) -> BTreeMap<u32, u64> {
    let (mut own, mut open, mut now): (BTreeMap<u32, u64>, Vec<Span>, u64) = Default::default();
    let edges = timeline.edges(thread, |edge| {
        let (Edge::Begin(span) | Edge::End(span)) = edge;
        let at = if matches!(edge, Edge::Begin(_)) { span.start_ns } else { span.end_ns };
        assert!(at >= now, "edges are in the order of time");
        if let Some(top) = open.last() {
            *own.entry(top.row).or_default() += at - now;
        }
        now = at;
        if matches!(edge, Edge::Begin(_)) {
            assert_eq!(span.depth as usize, open.len());
            open.push(*span);
        } else {
            assert_eq!(open.pop().as_ref(), Some(span), "what began last ends first");
        }
        io::Result::Ok(())
    });
    edges.unwrap();
    assert!(open.is_empty(), "what began ends");
    own
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn edges_are_the_calls_of_the_log(
        ops in programs(),
        kind in kinds(),
        events: bool,
        part in prop::option::of((0_u64..4_000, 1_u64..20_000)),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let run = Run::new(&ops, kind);
        let options = LogOptions { kind: if events { LogKind::Events } else { LogKind::Calls }, ..LogOptions::default() };
        let mut pipeline = Pipeline::new(run.options(), LogWriter::create(&dir.path().join("log"), options).unwrap());
        run.play(&mut pipeline, |number, pipeline| {
            if number % 50 == 49 {
                pipeline.sink_mut().close_segments();
            }
        });
        let mut scope = Scope::default();
        if let Some((start_ns, length_ns)) = part {
            scope.time_ns = start_ns..start_ns + length_ns;
        }
        let mut source = Source::open(&dir.path().join("log"), scope).unwrap();
        let mut expected: BTreeMap<u32, Vec<(u64, u64, u32)>> = BTreeMap::new();
        let mut own: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        source.calls(|visit, _| {
            let call = &visit.call;
            expected.entry(visit.thread).or_default().push((call.start_ns, call.end_ns, call.depth));
            *own.entry((visit.thread, visit.row)).or_default() += call.own.wall_ns;
        });
        own.retain(|_, ns| *ns > 0);
        let (timeline, summary) = source.timeline_and_summary().unwrap();
        let functions = summary.report.functions.iter().filter(|row| row.is_function());
        prop_assert_eq!(functions.map(|row| row.self_wall_ns).sum::<u64>(), own.values().sum::<u64>());
        let mut seen = BTreeMap::new();
        for thread in 0..timeline.threads().len() {
            // The log gives callees before callers: in reverse, calls begin in order, callers first.
            let mut expected = expected.remove(&(thread as u32)).unwrap_or_default();
            expected.reverse();
            let spans = spans(&timeline, thread);
            prop_assert_eq!(spans.iter().map(|span| (span.start_ns, span.end_ns, span.depth)).collect::<Vec<_>>(), expected);
            prop_assert!(spans.iter().all(|span| span.start_ns >= START_NS));
            seen.extend(own_by_edges(&timeline, thread).into_iter().map(|(row, ns)| ((thread as u32, row), ns)));
        }
        seen.retain(|_, ns| *ns > 0);
        prop_assert_eq!(seen, own);
    }
}
