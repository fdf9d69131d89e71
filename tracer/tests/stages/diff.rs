//! Two recordings compared: nothing changed from one to itself, and backward everything changed the other way.

#![expect(clippy::float_cmp, reason = "whole numbers, and the same operations on the same numbers")]

use std::path::Path;

use proptest::prelude::*;
use tracer::analysis::measure::Measure;
use tracer::analysis::{Source, scope::Scope};
use tracer::diff::flame::{Side, Stacks};
use tracer::diff::{Column, Diff, FunctionDiff, Per, Presence};
use tracer::pipeline::{NoSink, Pipeline};
use tracer::report::diff::render;
use tracer::report::table::{Sort, TableOptions};
use tracer::report::{FunctionReport, Report, Status, Sums, Window};

use super::simulate::{Run, config, kinds, programs};

const COLUMNS: [Column; 9] = [
    Column::Calls,
    Column::Resumed,
    Column::Own,
    Column::Cum,
    Column::Cpu,
    Column::CumCpu,
    Column::Rss,
    Column::CumRss,
    Column::Faults,
];

fn report_of(run: &Run) -> Report {
    let mut pipeline = Pipeline::new(run.options(), NoSink);
    run.play(&mut pipeline, |_, _| {});
    pipeline.report()
}

fn function(name: &str, line: u32, calls: u64) -> FunctionReport {
    FunctionReport {
        process: Some(0),
        function: name.into(),
        file: "m.py".into(),
        line,
        sums: Sums { calls, self_wall_ns: calls * 1000, self_rss_bytes: -4096, ..Sums::default() },
        activations: calls.max(1),
        ..FunctionReport::default()
    }
}

fn report(duration_ns: u64, functions: &[FunctionReport]) -> Report {
    let window = Window { start_unix_ns: 0, duration_ns };
    Report::new(Status { window, ..Status::default() }, functions.to_vec())
}

fn row<'a>(diff: &'a Diff, name: &str, line: u32) -> &'a FunctionDiff {
    diff.functions.iter().find(|row| row.function == name && row.line() == line).unwrap()
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn forward_and_backward_say_the_same(
        one in programs(),
        other in programs(),
        kind in kinds(),
        per in prop::sample::select(&[Per::Total, Per::Second, Per::Call]),
        sort in prop::sample::select(&COLUMNS),
    ) {
        let [one, other] = [one, other].map(|ops| report_of(&Run::new(&ops, kind)));
        let same = Diff::new(one.clone(), one.clone(), per, sort);
        prop_assert!(same.functions.iter().all(|row| !row.has_changed()));
        prop_assert_eq!(same.warnings, Vec::<String>::new());

        let forward = Diff::new(one.clone(), other.clone(), per, sort);
        let backward = Diff::new(other.clone(), one.clone(), per, sort);
        prop_assert_eq!(forward.functions.len(), backward.functions.len());
        for (there, back) in forward.functions.iter().zip(&backward.functions) {
            prop_assert_eq!((&there.function, there.before, there.after), (&back.function, back.after, back.before));
            prop_assert!(COLUMNS.iter().all(|&column| there.change[column] == -back.change[column]));
        }
        for pair in forward.functions.windows(2) {
            prop_assert!(pair[0].change[sort].abs() >= pair[1].change[sort].abs());
        }
        if per == Per::Total {
            let sum = |report: &Report| report.functions.iter().map(|row| row.self_wall_ns).sum::<u64>() as f64;
            let change: f64 = forward.functions.iter().map(|row| row.change[Column::Own]).sum();
            prop_assert_eq!(change, sum(&other) - sum(&one));
        }
    }
}

#[test]
fn a_function_whose_line_moved_is_the_same() {
    let before = report(100, &[function("f", 1, 2), function("gone", 5, 1)]);
    let after = report(100, &[function("f", 7, 3), function("new", 9, 1)]);
    let diff = Diff::new(before, after, Per::Total, Column::Calls);
    let f = row(&diff, "f", 7);
    assert_eq!((f.line_before, f.line_after, f.presence), (Some(1), Some(7), Presence::Both));
    assert_eq!((f.change[Column::Calls], f.change[Column::Own], f.change[Column::Rss]), (1.0, 1000.0, 0.0));
    assert_eq!(
        (row(&diff, "new", 9).presence, row(&diff, "gone", 5).presence),
        (Presence::New, Presence::Gone)
    );
    assert_eq!((row(&diff, "new", 9).before, row(&diff, "gone", 5).change[Column::Calls]), (None, -1.0));
}

#[test]
fn functions_of_one_name_are_told_by_their_lines() {
    let before = report(100, &[function("f", 1, 10), function("f", 5, 20), function("f", 9, 30)]);
    let after = report(
        100,
        &[function("f", 5, 21), function("f", 12, 11), function("f", 40, 31), function("f", 50, 1)],
    );
    let diff = Diff::new(before, after, Per::Total, Column::Calls);
    let lines = |line| row(&diff, "f", line).line_before;
    assert_eq!([lines(5), lines(12), lines(40), lines(50)], [Some(5), Some(1), Some(9), None]);
}

#[test]
fn windows_of_other_lengths_are_named_and_rates_compared() {
    let (before, after) =
        (report(1_000_000_000, &[function("f", 1, 10)]), report(2_000_000_000, &[function("f", 1, 20)]));
    let total = Diff::new(before.clone(), after.clone(), Per::Total, Column::Own);
    assert_eq!(
        total.warnings,
        ["the windows are not of the same length: 1.00 s and 2.00 s, 50 % apart; compare with --per second"]
    );
    let rates = Diff::new(before.clone(), after.clone(), Per::Second, Column::Own);
    assert_eq!((rates.functions[0].change[Column::Own], rates.warnings.len()), (0.0, 0));
    let calls = Diff::new(before, after, Per::Call, Column::Own);
    assert_eq!(
        (calls.functions[0].change[Column::Own], calls.functions[0].change[Column::Calls]),
        (0.0, 10.0)
    );
    let json: serde_json::Value = serde_json::from_str(&calls.to_json().unwrap()).unwrap();
    assert_eq!(json["per"], "call");
    assert_eq!(json["functions"][0]["after"]["self_wall_ns"], 1000, "whole numbers are written as such");
}

#[test]
fn the_table_shows_before_after_and_change() {
    let mut before = report(100, &[function("f", 1, 2), function("same", 3, 2)]);
    before.account.lost = 7;
    let late = FunctionReport { late_ends: 1, ..function("f", 2, 3) };
    let after = report(100, &[late, function("same", 3, 2), function("</td>\x1b[31m", 9, 1)]);
    let diff = Diff::new(before, after, Per::Total, Column::Own);
    let options = TableOptions { sort: Sort::Own, limit: 0, width: Some(80), colour: false };
    let expected = "\
before  100 ns of 0 processes
after   100 ns of 0 processes

function       change  calls      self    cum  self cpu  self rss
</td>\\x1b[31m     new      -         -      -         -         -
  m.py:9                   1   1.00 us   0 ns      0 ns    -4 KiB
                          +1  +1.00 us      =         =    -4 KiB
f               +50 %      2  ≤2.00 us  ≤0 ns     ≤0 ns    -4 KiB
  m.py:1 -> 2              3  ≤3.00 us  ≤0 ns     ≤0 ns    -4 KiB
                          +1  +1.00 us      =         =         =

3 functions: 2 changed, 1 of them new and 0 gone

before: times include the probes' own cost: no hit was counted
before: account: 0 events, 7 lost, 0 repaired; calls open at attach 0, at detach
    0
after: times include the probes' own cost: no hit was counted
after: account: 0 events, 0 lost, 0 repaired; calls open at attach 0, at detach
    0
";
    assert_eq!(render(&diff, Column::Own, &options), expected);
    let lines = render(&diff, Column::Own, &TableOptions { width: None, limit: 1, ..options });
    assert!(lines.contains("\n1 more functions changed (--limit 0 shows all)\n"), "{lines}");
    assert!(lines.contains("\n</td>\\x1b[31m  m.py:9     new "), "{lines}");
}

fn add(stacks: &mut Stacks, side: Side, scope: Scope) -> u64 {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/portrait");
    let mut source = Source::open(&dir, scope).unwrap();
    let summary = source.summary(|_, _| {});
    stacks.add(side, &source, &summary);
    summary.report.functions.iter().map(|row| row.calls).sum()
}

#[test]
fn the_flame_graph_holds_every_stack_of_both() {
    let mut stacks = Stacks::new(Measure::Calls);
    let half = add(&mut stacks, Side::Before, Scope { time_ns: 0..100_000_000, ..Scope::default() });
    let error = stacks.write([0, 0], &[], &mut Vec::new()).unwrap_err();
    assert!(error.to_string().starts_with("nothing to draw"), "{error}");
    let whole = add(&mut stacks, Side::After, Scope::default());
    assert!(half < whole);
    assert_eq!(stacks.totals(), [half, whole], "nothing is left out");
    for least in [0, 1, 5, 1000] {
        let lines = stacks.lines(least);
        let sum = |at: usize| -> u64 {
            lines.iter().map(|line| line.rsplit(' ').nth(at).unwrap().parse::<u64>().unwrap()).sum()
        };
        assert_eq!([sum(1), sum(0)], [half, whole], "what is small is part of its caller");
    }
    assert!(stacks.lines(0).len() > stacks.lines(5).len());

    let mut svg = Vec::new();
    stacks.write([3, 0], &["before -- cut".into()], &mut svg).unwrap();
    let svg = String::from_utf8(svg).unwrap();
    assert!(
        svg.contains("events lost: 3 before, 0 after")
            && svg.contains("before \u{2010}\u{2010} cut")
            && svg.contains("fib (")
            && svg.contains(" calls, ")
    );
    assert!(svg.contains("&lt;/script&gt;&lt;b&gt;x:\\x1b[31m") && !svg.contains("</script><b>"));
    stacks.scale_before(2.0);
    assert_eq!(stacks.totals(), [2 * half, whole]);
}
