//! The account, and the report as a whole.

use super::{Run, SLOT, row};
use crate::aggregate::Aggregate;
use crate::charge::{Cost, Ended, ProcessMemory};
use crate::functions::OTHERS;
use crate::pipeline::{Ending, ProcessTotals, ThreadTotals};
use crate::report::{Account, OwnCost};
use crate::summary::FunctionSums;

#[test]
fn calls_open_at_the_end_are_cut_off_and_counted() {
    let mut run = Run::new();
    run.start(2000, 0x10, 1);
    run.start(2100, 0x20, 2);
    let ending = Ending {
        end_ns: 3000,
        threads: vec![ThreadTotals { thread: SLOT, off_cpu_ns: 850, faults: 5 }],
        processes: vec![ProcessTotals { process: 1, lost: 4, duplicates: 3, mismatches: 2, no_slot: 1 }],
        lost_tasks: 0,
        probe_hits: 10,
        probe_cost_ns: 4000,
        own: Some(OwnCost { cpu_ns: 7, peak_rss_bytes: 8 }),
        sampling: None,
        windowing: None,
        notes: vec!["note".into()],
    };
    run.pipeline.finish(&ending);
    let report = run.pipeline.report();
    assert_eq!(run.calls(), [(2, 2100, 3000, Ended::OpenAtDetach), (1, 2000, 3000, Ended::OpenAtDetach)]);
    let g = row(&report, "g");
    assert_eq!((g.self_cpu_ns, g.page_faults, row(&report, "f").self_cpu_ns), (50, 5, 100));
    let account = Account {
        events: report.account.events,
        lost: 4,
        open_at_detach: 2,
        probe_hits: 10,
        probe_cost_ns: 4000,
        own: Some(OwnCost { cpu_ns: 7, peak_rss_bytes: 8 }),
        duplicates: 3,
        mismatches: 2,
        no_slot: 1,
        notes: vec!["note".into()],
        ..Account::default()
    };
    assert_eq!(report.account, account);
    assert_eq!(report.window.duration_ns, 2000);
}

#[test]
fn losses_told_by_threads_and_by_the_kernel_side_are_the_same_losses() {
    let mut run = Run::new();
    run.lose(2000, 5);
    let totals = ProcessTotals { process: 1, lost: 9, ..ProcessTotals::default() };
    run.pipeline.finish(&Ending { end_ns: 3000, processes: vec![totals], ..Ending::default() });
    assert_eq!(run.pipeline.report().account.lost, 9);
}

#[test]
fn lost_records_about_threads_are_losses_too() {
    let mut run = Run::new();
    run.lose(2000, 5);
    run.pipeline.finish(&Ending { end_ns: 3000, lost_tasks: 3, ..Ending::default() });
    let account = run.pipeline.report().account;
    assert_eq!(account.lost, 8);
    assert!(account.notes.iter().any(|note| note.starts_with("3 records about processes and threads")));
}

#[test]
fn a_report_in_mid_run_counts_open_calls_and_changes_nothing() {
    let mut run = Run::new();
    run.start(2000, 0x10, 1);
    run.start(2100, 0x20, 2);
    run.end(2400, 0x20);
    let report = run.pipeline.report();
    assert_eq!((row(&report, "f").cum_wall_ns, row(&report, "f").calls), (400, 1));
    run.end(2500, 0x10);
    assert_eq!(row(&run.finish(3000), "f").cum_wall_ns, 500);
}

#[test]
fn what_the_kernel_side_added_up_is_part_of_the_report() {
    let mut run = Run::new();
    // A silent thread is told of by events all the same.
    run.held(1000, &[(0x10, 1)], true);
    let mut aggregate = Aggregate::default();
    let own = Cost { wall_ns: 40, ..Cost::default() };
    let sums =
        FunctionSums { calls: 3, activations: 3, ends: 3, own, cumulative: own, ..FunctionSums::default() };
    aggregate.functions = vec![(1, Some(1), sums), (1, None, sums), (1, Some(2), sums), (1, Some(2), sums)];
    aggregate.counts.events = 12;
    aggregate.memory = vec![(1, ProcessMemory::added_up([4096; 4], [1, 2, 4, 8], 16, 32, 64))];
    run.pipeline.aggregate(&aggregate);
    let report = run.finish(1100);
    let row = |name: &str| report.functions.iter().find(|row| row.function == name).unwrap().clone();
    assert_eq!((row("f").calls, row("f").open_at_attach, row("f").self_wall_ns), (3, 1, 140));
    assert_eq!((row("g").calls, row("g").self_wall_ns), (6, 80));
    assert_eq!((row(OTHERS).calls, row(OTHERS).file.as_str()), (3, ""));
    assert!(report.account.events >= 12);
    let process = &report.processes[0];
    assert_eq!((process.rss_start_bytes, process.rss_end_bytes), (3 * 4096, 3 * 4096 + 11));
    assert_eq!((process.rss_peak_bytes, process.swap_bytes), (3 * 4096 + 16, 4096 + 4));
    assert_eq!((process.no_frame_rss_bytes, process.outside_rss_bytes), (32, 64));
}

#[test]
fn the_json_keys_are_a_contract() {
    let mut run = Run::new();
    run.start(2000, 0x10, 1);
    run.end(2500, 0x10);
    let json = run.finish(3000).to_json().unwrap();
    let wanted = [
        r#"{"schema":1,"window":{"start_unix_ns":0,"duration_ns":2000},"processes":[{"process":0,"pid":100,"parent":null,"command":null,"version":"3.11.2","#,
        r#""source":"eval loop","rss_start_bytes":0,"rss_end_bytes":0,"rss_peak_bytes":0,"#,
        r#""functions":[{"process":0,"pid":100,"function":"f","file":"m.py","line":1,"calls":1,"resumes":0,"#,
        r#""self_wall_ns":500,"cum_wall_ns":500,"self_cpu_ns":500,"cum_cpu_ns":500,"#,
        r#""self_rss_bytes":0,"cum_rss_bytes":0,"page_faults":0,"#,
        r#""account":{"events":6,"lost":0,"repaired":0,"late_ends":0,"open_at_attach":0,"#,
        r#""open_at_detach":0,"probe_hits":0,"probe_cost_ns":0,"#,
    ];
    for part in wanted {
        assert!(json.contains(part), "{part}\n{json}");
    }
}
