//! Memory over time, and what stayed of it.

use tracer::analysis::scope::Scope;
use tracer::views::View;

use super::{all, json, list, number, options, report, sum};

#[test]
fn memory_over_time_begins_and_ends_where_the_process_did() {
    let report = report(Scope::default());
    let process = &report.processes[0];
    let view = json(&options(View::Memory));
    let parts = list(&list(&view, "memory")[0], "parts");
    assert_eq!(parts.len(), 20);
    assert_eq!(number(parts.last().unwrap(), "rss_bytes"), process.rss_end_bytes);
    assert_eq!(parts.iter().map(|part| number(part, "peak_bytes")).max(), Some(process.rss_peak_bytes));
    let moved: i64 = parts.iter().map(|part| sum(list(part, "moved"), "bytes")).sum();
    assert_eq!(moved, process.rss_end_bytes - process.rss_start_bytes);
    let kinds: i64 =
        ["anonymous_bytes", "file_bytes", "shared_bytes"].iter().map(|kind| sum(parts, kind)).sum();
    assert_eq!(kinds, moved);
    let touched =
        parts.iter().flat_map(|part| list(part, "moved")).filter(|moved| moved["function"] == "touch");
    assert_eq!(touched.map(|moved| number(moved, "bytes")).sum::<i64>(), 3 << 20);
}

#[test]
fn what_is_given_back_is_no_leak() {
    let view = json(&all(options(View::Leaks)));
    let nodes = list(&list(&view, "trees")[0], "nodes");
    let node = |name: &str| nodes.iter().find(|node| node["function"] == name).unwrap();
    let keep = node("keep");
    assert_eq!((number(keep, "stayed_bytes"), number(keep, "shrank_bytes")), (1 << 20, 0));
    assert_eq!((number(keep, "ended_larger"), number(keep, "calls")), (4, 4));
    // What it adds it gives back: with nothing that stayed it is not in the tree.
    assert!(!nodes.iter().any(|node| node["function"] == "give_back"));
    let tops = nodes.iter().filter(|node| node["parent"].is_null());
    let functions = report(Scope::default()).functions;
    let charged: i64 = functions.iter().filter(|row| row.is_function()).map(|row| row.self_rss_bytes).sum();
    assert_eq!(tops.map(|node| number(node, "stayed_bytes")).sum::<i64>(), charged);
}
