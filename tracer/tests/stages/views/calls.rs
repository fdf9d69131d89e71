//! Single calls, and percentiles of all.

use std::collections::BTreeMap;

use tracer::analysis::Visit;
use tracer::analysis::scope::Scope;
use tracer::charge::Began;
use tracer::report::table::Sort;
use tracer::views::View;

use super::{json, list, number, options, source, text};

/// All calls of the recording.
fn visits() -> Vec<Visit> {
    let mut visits = Vec::new();
    source(Scope::default()).calls(|visit, _| visits.push(*visit));
    visits
}

#[test]
fn percentiles_are_those_of_all_calls() {
    let mut durations: BTreeMap<(u32, bool), Vec<u64>> = BTreeMap::new();
    for visit in visits() {
        assert!(matches!(visit.call.began, Began::Call | Began::Resumed));
        durations.entry((visit.row, visit.call.instance != 0)).or_default().push(visit.call.total.wall_ns);
    }
    let mut expected: Vec<_> = durations
        .into_values()
        .map(|mut durations| {
            durations.sort_unstable();
            let rank = |percent: usize| durations[(durations.len() * percent).div_ceil(100) - 1];
            (durations.iter().sum::<u64>(), durations.len() as u64, [rank(50), rank(90), rank(99), rank(100)])
        })
        .collect();
    let view = json(&options(View::Latency));
    let mut known: Vec<_> = list(&view, "latencies")
        .iter()
        .map(|row| {
            let of = |key| number(row, key) as u64;
            let error = number(row, "error_percent");
            let percentiles = ["p50_ns", "p90_ns", "p99_ns", "max_ns"].map(of);
            (of("sum_ns"), of("count"), percentiles, error)
        })
        .collect();
    expected.sort_unstable();
    known.sort_unstable();
    assert_eq!(expected.len(), known.len());
    for (expected, known) in expected.into_iter().zip(known) {
        assert_eq!((expected.0, expected.1, expected.2[3]), (known.0, known.1, known.2[3]));
        for (expected, known_ns) in expected.2.into_iter().zip(known.2) {
            let error = expected as i64 * known.3 / 100;
            assert!((expected as i64 - known_ns as i64).abs() <= error, "{expected} {known:?}");
        }
        assert_eq!(known.3 > 0, known.1 > 256, "{known:?}");
    }
}

#[test]
fn the_largest_calls_are_those_of_all_calls() {
    type Amount = fn(&Visit) -> i64;
    let cases: [(View, Sort, &str, Amount); 4] = [
        (View::Slowest, Sort::Cum, "duration_ns", |visit| visit.call.total.wall_ns as i64),
        (View::Slowest, Sort::Own, "self_ns", |visit| visit.call.own.wall_ns as i64),
        (View::Slowest, Sort::OffCpu, "self_off_cpu_ns", |visit| visit.call.own.off_cpu_ns as i64),
        (View::Growth, Sort::Own, "self_rss_bytes", |visit| visit.call.own.rss_bytes),
    ];
    for (view, sort, key, amount) in cases {
        let mut options = options(view);
        (options.table.sort, options.table.limit) = (sort, 25);
        let mut expected: Vec<_> = visits().iter().map(amount).filter(|&amount| amount > 0).collect();
        expected.sort_unstable_by(|left, right| right.cmp(left));
        expected.truncate(25);
        let view = json(&options);
        let known: Vec<_> = list(&view, "calls").iter().map(|call| number(call, key)).collect();
        assert_eq!(known, expected);
    }
}

#[test]
fn a_single_call_has_its_stack_and_time_of_day() {
    let mut options = options(View::Slowest);
    options.table.sort = Sort::Own;
    let view = json(&options);
    let nap = list(&view, "calls").iter().find(|call| call["function"] == "nap").unwrap();
    assert_eq!(nap["stack"][0]["function"], "work");
    assert_eq!(
        number(nap, "start_unix_ns"),
        number(&view["window"], "start_unix_ns") + number(nap, "start_ns")
    );
    let text = text(&options);
    let (_, call) = text.split_once("nap  /srv/app/portrait.py:53\n").unwrap();
    let lines: Vec<_> = call.lines().take(3).map(str::trim).collect();
    assert!(lines[0].starts_with("self 20.") && lines[0].contains("off CPU 2") && lines[0].contains("fault"));
    assert!(lines[1].contains(" (+") && lines[1].contains("process 20457, thread 2048"), "{}", lines[1]);
    assert_eq!(lines[2], "work");
}
