//! One test for each rule, named for it.

use super::*;
use crate::aggregate::Aggregate;
use crate::charge::{Began, Cost, Ended, FinishedCall, ProcessMemory, RssChange};
use crate::event::{Cause, FrameEvent, Function, FunctionId, Member, UnseenEnd};
use crate::filter::FunctionFilter;
use crate::functions::OTHERS;
use crate::report::{Account, FunctionReport, OwnCost};
use crate::summary::FunctionSums;

/// Keeps what it is told.
#[derive(Default)]
struct Kept {
    calls: Vec<FinishedCall>,
    rss: Vec<RssChange>,
    functions: Vec<FunctionId>,
}

impl CallSink for Kept {
    fn function(&mut self, id: FunctionId, _: (usize, u32), _: &Function, _: u32) {
        self.functions.push(id);
    }

    fn finished(&mut self, call: &FinishedCall) {
        self.calls.push(*call);
    }

    fn rss(&mut self, change: &RssChange) {
        self.rss.push(*change);
    }
}

/// A pipeline with one process (index 1, pid 100), functions 1 f, 2 g, 3 h, and one thread (slot 1, tid 101)
/// since 1000, which is also where the window begins.
struct Run {
    pipeline: Pipeline<Kept>,
}

const SLOT: Slot = 1;

impl Run {
    fn new() -> Self {
        Self::filtered(&[])
    }

    fn filtered(names: &[&str]) -> Self {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let filter = FunctionFilter::new(&names, &[]).unwrap();
        let options = PipelineOptions { window_start_ns: 1000, filter, ..PipelineOptions::default() };
        let mut run = Self { pipeline: Pipeline::new(options, Kept::default()) };
        let about = ProcessAbout {
            version: Some("3.11.2".into()),
            source: Some("eval loop".into()),
            ..ProcessAbout::default()
        };
        run.pipeline.process(1, 100, about);
        for (id, name) in [(1, "f"), (2, "g"), (3, "h")] {
            run.function(id, name);
        }
        run.thread(SLOT, 101, 1000);
        run
    }

    fn function(&mut self, id: FunctionId, name: &str) {
        let function = Function { name: name.into(), file: "m.py".into(), line: 1 };
        self.apply(&Event::Function { id, process: 1, function, code: 0, code_flags: 0 });
    }

    fn thread(&mut self, thread: Slot, tid: u32, time_ns: u64) {
        self.apply(&Event::Thread { time_ns, thread, process: 1, pid: 100, tid });
    }

    fn apply(&mut self, event: &Event) {
        self.pipeline.apply(event);
    }

    fn frame(&mut self, time_ns: u64, frame: u64, what: FrameEvent) {
        self.apply(&Event::Frame { time_ns, thread: SLOT, frame, what });
    }

    fn start(&mut self, time_ns: u64, frame: u64, function: FunctionId) {
        self.frame(time_ns, frame, FrameEvent::Start { resumed: false, function });
    }

    fn end(&mut self, time_ns: u64, frame: u64) {
        self.frame(time_ns, frame, FrameEvent::End);
    }

    /// Outermost first.
    fn held(&mut self, time_ns: u64, frames: &[(u64, FunctionId)], complete: bool) {
        for &(frame, function) in frames.iter().rev() {
            self.frame(time_ns, frame, FrameEvent::Held { function });
        }
        self.apply(&Event::HeldEnd { time_ns, thread: SLOT, complete });
    }

    fn lose(&mut self, time_ns: u64, lost: u64) {
        self.apply(&Event::Loss { time_ns, thread: SLOT, lost });
    }

    fn rss(&mut self, time_ns: u64, cause: Cause, delta_bytes: i64) {
        self.apply(&Event::Rss { time_ns, process: 1, cause, member: Member::Anon, delta_bytes });
    }

    fn finish(&mut self, end_ns: u64) -> Report {
        self.pipeline.finish(&Ending { end_ns, ..Ending::default() });
        self.pipeline.report()
    }

    /// Of the finished calls: function, start, end, how it ended.
    fn calls(&mut self) -> Vec<(FunctionId, u64, u64, Ended)> {
        let calls = &self.pipeline.sink_mut().calls;
        calls.iter().map(|call| (call.function, call.start_ns, call.end_ns, call.ended)).collect()
    }

    fn call(&mut self, at: usize) -> FinishedCall {
        self.pipeline.sink_mut().calls[at]
    }
}

fn row<'a>(report: &'a Report, name: &str) -> &'a FunctionReport {
    report.functions.iter().find(|row| row.function == name).unwrap()
}

#[test]
fn a_call_is_charged_its_time_less_that_of_its_callees() {
    let mut run = Run::new();
    run.start(2000, 0x10, 1);
    run.start(2100, 0x20, 2);
    run.end(2400, 0x20);
    run.end(2500, 0x10);
    let report = run.finish(3000);
    let (f, g) = (row(&report, "f"), row(&report, "g"));
    assert_eq!((f.calls, f.self_wall_ns, f.cum_wall_ns, f.calls_made), (1, 200, 500, 1));
    assert_eq!((g.calls, g.self_wall_ns, g.cum_wall_ns, g.calls_made), (1, 300, 300, 0));
    let inner = run.call(0);
    assert_eq!((inner.caller, inner.depth, inner.began), (Some(1), 1, Began::Call));
    assert_eq!(run.calls(), [(2, 2100, 2400, Ended::Returned), (1, 2000, 2500, Ended::Returned)]);
}

#[test]
fn time_off_cpu_and_faults_go_to_the_top_up_to_the_event_they_come_with() {
    let mut run = Run::new();
    run.start(2000, 0x10, 1);
    run.apply(&Event::Counters { time_ns: 2100, thread: SLOT, off_cpu_ns: 60, faults: 3 });
    run.start(2100, 0x20, 2);
    run.apply(&Event::Counters { time_ns: 2400, thread: SLOT, off_cpu_ns: 70, faults: 4 });
    run.end(2400, 0x20);
    run.end(2500, 0x10);
    let report = run.finish(3000);
    let (f, g) = (row(&report, "f"), row(&report, "g"));
    assert_eq!((f.self_cpu_ns, f.cum_cpu_ns, f.page_faults), (140, 430, 3));
    assert_eq!((g.self_cpu_ns, g.cum_cpu_ns, g.page_faults), (290, 290, 1));
}

#[test]
fn recursion_is_counted_once_in_cumulative_time() {
    let mut run = Run::new();
    for depth in 0..3 {
        run.start(2000 + depth * 100, 0x10 + depth, 1);
    }
    for depth in (0..3).rev() {
        run.end(2600 - depth * 100, 0x10 + depth);
    }
    let report = run.finish(3000);
    let f = row(&report, "f");
    assert_eq!((f.calls, f.self_wall_ns, f.cum_wall_ns), (3, 600, 600));
    assert_eq!([0, 1, 2].map(|at| run.call(at).recursive), [true, true, false]);
}

#[test]
fn ids_of_the_same_function_are_one_function() {
    let mut run = Run::new();
    run.function(9, "f");
    run.start(2000, 0x10, 1);
    run.start(2100, 0x20, 9);
    run.end(2200, 0x20);
    run.end(2500, 0x10);
    let report = run.finish(3000);
    assert_eq!(report.functions.len(), 1);
    assert_eq!((report.functions[0].calls, report.functions[0].cum_wall_ns), (2, 500));
}

#[test]
fn a_function_without_a_name_is_still_counted() {
    let mut run = Run::new();
    run.start(2000, 0x10, 77);
    run.end(2500, 0x10);
    assert_eq!(row(&run.finish(3000), crate::report::UNNAMED).calls, 1);
}

#[test]
fn a_name_that_comes_late_joins_its_namesakes() {
    let mut run = Run::new();
    run.start(2000, 0x10, 1);
    run.end(2100, 0x10);
    run.start(2200, 0x10, 77);
    run.end(2300, 0x10);
    run.function(77, "f");
    let report = run.finish(3000);
    assert_eq!((report.functions.len(), row(&report, "f").calls), (1, 2));
}

#[test]
fn a_duplicate_start_is_ignored_and_counted() {
    let mut run = Run::new();
    run.start(2000, 0x10, 1);
    run.start(2010, 0x10, 1);
    run.end(2500, 0x10);
    let report = run.finish(3000);
    assert_eq!((row(&report, "f").calls, report.account.duplicates, report.account.repaired), (1, 1, 0));
}

#[test]
fn a_frame_that_starts_again_has_ended_unseen_with_all_above_it() {
    let mut run = Run::new();
    run.start(2000, 0x10, 1);
    run.start(2100, 0x20, 2);
    run.start(2200, 0x10, 3);
    let report = run.finish(3000);
    assert_eq!(
        run.calls(),
        [
            (2, 2100, 2200, Ended::Unseen),
            (1, 2000, 2200, Ended::Unseen),
            (3, 2200, 3000, Ended::OpenAtDetach)
        ]
    );
    assert_eq!(report.account.repaired, 2);
}

#[test]
fn an_end_further_out_ends_all_above_it() {
    let mut run = Run::new();
    run.start(2000, 0x10, 1);
    run.start(2100, 0x20, 2);
    run.end(2200, 0x10);
    assert_eq!(run.calls(), [(2, 2100, 2200, Ended::Unseen), (1, 2000, 2200, Ended::Returned)]);
    assert_eq!(run.finish(3000).account.repaired, 1);
}

#[test]
fn an_end_of_no_open_frame_is_counted_but_no_repair() {
    let mut run = Run::new();
    run.end(2000, 0x10);
    let account = run.finish(3000).account;
    assert_eq!((account.unmatched_ends, account.repaired), (1, 0));
}

#[test]
fn a_frame_whose_last_event_was_an_exception_was_left_by_it() {
    let mut run = Run::new();
    run.start(2000, 0x10, 1);
    run.start(2100, 0x20, 2);
    run.frame(2200, 0x20, FrameEvent::Raise { function: 2 });
    run.end(2200, 0x20);
    run.frame(2300, 0x10, FrameEvent::Raise { function: 1 });
    run.start(2400, 0x20, 3);
    run.end(2500, 0x20);
    run.end(2600, 0x10);
    let ended: Vec<_> = run.calls().into_iter().map(|call| (call.0, call.3)).collect();
    assert_eq!(ended, [(2, Ended::Raised), (3, Ended::Returned), (1, Ended::Returned)]);
}

#[test]
fn an_exception_further_out_ends_all_above_it() {
    let mut run = Run::new();
    run.start(2000, 0x10, 1);
    run.start(2100, 0x20, 2);
    run.frame(2200, 0x10, FrameEvent::Raise { function: 1 });
    run.end(2300, 0x10);
    assert_eq!(run.calls(), [(2, 2100, 2200, Ended::Unseen), (1, 2000, 2300, Ended::Raised)]);
}

#[test]
fn a_generator_is_called_suspended_and_resumed() {
    let mut run = Run::new();
    run.start(2000, 0x99, 1);
    run.frame(2100, 0x99, FrameEvent::Yield);
    run.frame(2500, 0x99, FrameEvent::Start { resumed: true, function: 1 });
    run.end(2600, 0x99);
    let report = run.finish(3000);
    let f = row(&report, "f");
    assert_eq!((f.calls, f.resumes, f.activations, f.cum_wall_ns), (1, 1, 2, 200));
    assert_eq!(run.calls(), [(1, 2000, 2100, Ended::Suspended), (1, 2500, 2600, Ended::Returned)]);
}

#[test]
fn a_frame_thrown_into_is_resumed() {
    let mut run = Run::new();
    run.start(2000, 0x10, 1);
    run.frame(2100, 0x99, FrameEvent::Raise { function: 2 });
    run.end(2200, 0x99);
    run.end(2300, 0x10);
    let report = run.finish(3000);
    let g = row(&report, "g");
    assert_eq!((g.calls, g.resumes, g.self_wall_ns), (0, 1, 100));
    assert_eq!(run.call(0).ended, Ended::Raised);
    assert_eq!(report.account.repaired, 0);
}

#[test]
fn frames_held_at_attach_are_open_since_the_slot_and_are_no_calls() {
    let mut run = Run::new();
    run.apply(&Event::Counters { time_ns: 2000, thread: SLOT, off_cpu_ns: 400, faults: 0 });
    run.held(2000, &[(0x10, 1), (0x20, 2)], true);
    run.start(2000, 0x30, 3);
    run.end(2100, 0x30);
    run.end(2200, 0x20);
    run.end(2300, 0x10);
    let report = run.finish(3000);
    assert_eq!((report.account.open_at_attach, report.account.repaired), (2, 0));
    assert_eq!(
        run.calls().iter().map(|call| (call.0, call.1, call.2)).collect::<Vec<_>>(),
        [(3, 2000, 2100), (2, 1000, 2200), (1, 1000, 2300)]
    );
    let g = row(&report, "g");
    assert_eq!((g.calls, g.activations, g.self_wall_ns, g.self_cpu_ns), (0, 1, 1100, 700));
    assert_eq!(["f", "g", "h"].map(|name| row(&report, name).open_at_attach), [1, 1, 0]);
    assert_eq!(row(&report, "f").calls_made, 0);
    assert_eq!(g.calls_made, 1);
}

#[test]
fn a_slot_older_than_the_window_counts_from_the_window_on() {
    let mut run = Run::new();
    run.thread(2, 102, 10);
    run.apply(&Event::Frame {
        time_ns: 1500,
        thread: 2,
        frame: 0x10,
        what: FrameEvent::Held { function: 1 },
    });
    run.apply(&Event::HeldEnd { time_ns: 1500, thread: 2, complete: true });
    run.apply(&Event::Frame { time_ns: 1600, thread: 2, frame: 0x10, what: FrameEvent::End });
    assert_eq!(run.calls(), [(1, 1000, 1600, Ended::Returned)]);
}

#[test]
fn after_a_loss_the_held_frames_are_the_truth() {
    let mut run = Run::new();
    run.start(2000, 0x10, 1);
    run.start(2100, 0x20, 2);
    run.lose(2500, 7);
    run.held(2500, &[(0x10, 1), (0x20, 3), (0x30, 2)], true);
    run.end(2600, 0x30);
    run.end(2700, 0x20);
    run.end(2800, 0x10);
    let report = run.finish(3000);
    assert_eq!(
        run.calls(),
        [
            (2, 2100, 2500, Ended::Unseen),
            (2, 2500, 2600, Ended::Returned),
            (3, 2500, 2700, Ended::Returned),
            (1, 2000, 2800, Ended::Returned)
        ]
    );
    let account = &report.account;
    assert_eq!((account.lost, account.repaired, account.open_at_attach), (7, 3, 0));
    let h = row(&report, "h");
    assert_eq!((h.calls, h.activations, h.open_at_attach), (0, 1, 0));
}

#[test]
fn a_loss_before_the_first_word_is_no_attach() {
    let mut run = Run::new();
    run.lose(2500, 7);
    run.held(2500, &[(0x10, 1)], true);
    let report = run.finish(3000);
    assert_eq!((report.account.open_at_attach, report.account.repaired), (0, 1));
    assert_eq!(run.calls(), [(1, 2500, 3000, Ended::OpenAtDetach)]);
}

#[test]
fn a_truth_cut_off_further_out_keeps_what_lies_below_it() {
    let mut run = Run::new();
    run.start(2000, 0x10, 1);
    run.start(2100, 0x20, 2);
    run.start(2200, 0x30, 3);
    run.lose(2500, 1);
    run.held(2500, &[(0x20, 2), (0x40, 3)], false);
    run.finish(3000);
    assert_eq!(
        run.calls(),
        [
            (3, 2200, 2500, Ended::Unseen),
            (3, 2500, 3000, Ended::OpenAtDetach),
            (2, 2100, 3000, Ended::OpenAtDetach),
            (1, 2000, 3000, Ended::OpenAtDetach)
        ]
    );
}

#[test]
fn frames_of_unwanted_functions_are_left_out() {
    let mut run = Run::filtered(&["f", "h"]);
    run.held(2000, &[(0x10, 1), (0x20, 2)], true);
    run.start(2100, 0x30, 2);
    run.start(2200, 0x40, 3);
    run.end(2300, 0x40);
    run.frame(2350, 0x30, FrameEvent::Raise { function: 2 });
    run.end(2400, 0x30);
    let report = run.finish(3000);
    assert_eq!(report.account.open_at_attach, 1);
    assert_eq!(report.functions.len(), 2);
    assert_eq!(run.call(0).caller, Some(1));
    assert_eq!(row(&report, "f").self_wall_ns, 2000 - 100);
    assert_eq!(run.pipeline.sink_mut().functions, [1, 3]);
}

#[test]
fn a_thread_that_ends_takes_its_frames_along_and_frees_its_slot() {
    let mut run = Run::new();
    run.start(2000, 0x10, 1);
    run.apply(&Event::ThreadExit { time_ns: 2500, thread: SLOT });
    assert_eq!(run.calls(), [(1, 2000, 2500, Ended::WithThread)]);
    assert_eq!(run.pipeline.take_freed_slots(), [SLOT]);
    assert!(run.pipeline.take_freed_slots().is_empty());
    run.start(2600, 0x10, 1);
    let account = run.finish(3000).account;
    assert_eq!((account.unknown_thread, account.repaired, account.open_at_detach), (1, 0, 0));
}

#[test]
fn a_slot_announced_for_another_thread_is_that_thread() {
    let mut run = Run::new();
    run.start(2000, 0x10, 1);
    run.thread(SLOT, 102, 2500);
    run.start(2600, 0x10, 2);
    run.end(2700, 0x10);
    assert_eq!(run.calls(), [(1, 2000, 2500, Ended::WithThread), (2, 2600, 2700, Ended::Returned)]);
    assert_eq!(run.call(1).tid, 102);
}

#[test]
fn exec_ends_the_frames_of_its_process() {
    let mut run = Run::new();
    run.start(2000, 0x10, 1);
    run.apply(&Event::Exec { time_ns: 2500, process: Some(1), pid: 100, by_thread: false });
    assert_eq!(run.calls(), [(1, 2000, 2500, Ended::WithThread)]);
}

/// Process 2 is forked by process 1, once for each pid; its thread calls `f` and ends with it.
fn child(run: &mut Run, fork_ns: u64, pid: u32, id: FunctionId) {
    let (thread, process) = (2, 2);
    let fork = Event::Fork { time_ns: fork_ns, process, pid, parent: 100, shared_memory: false };
    run.apply(&fork);
    run.apply(&Event::Thread { time_ns: fork_ns, thread, process, pid, tid: pid });
    let function = Function { name: "f".into(), file: "m.py".into(), line: 1 };
    run.apply(&Event::Function { id, process, function, code: 0, code_flags: 0 });
    let what = FrameEvent::Start { resumed: false, function: id };
    run.apply(&Event::Frame { time_ns: fork_ns + 10, thread, frame: 0x10, what });
    run.apply(&Event::Frame { time_ns: fork_ns + 20, thread, frame: 0x10, what: FrameEvent::End });
    run.apply(&Event::ThreadExit { time_ns: fork_ns + 30, thread });
    run.apply(&Event::Exit { time_ns: fork_ns + 30, process, pid });
}

#[test]
fn each_child_is_a_process_of_its_own_though_pid_and_index_are_used_again() {
    let mut run = Run::new();
    run.start(1500, 0x10, 1);
    run.end(1600, 0x10);
    child(&mut run, 2000, 200, 11);
    child(&mut run, 3000, 200, 12);
    let report = run.finish(4000);
    let rows: Vec<_> =
        report.functions.iter().map(|row| (row.process, row.pid, row.calls, row.self_wall_ns)).collect();
    assert_eq!(rows, [(Some(0), 100, 1, 100), (Some(1), 200, 1, 10), (Some(2), 200, 1, 10)]);
    let parents: Vec<_> = report.processes.iter().map(|process| process.parent).collect();
    assert_eq!(parents, [None, Some(100), Some(100)]);

    let merged = report.merged();
    let rows: Vec<_> = merged.functions.iter().map(|row| (row.process, row.pid, row.calls)).collect();
    assert_eq!((rows, merged.processes.len()), (vec![(None, 0, 3)], 3));
}

#[test]
fn a_child_that_runs_no_python_is_no_process_of_the_report() {
    let mut run = Run::new();
    let fork = |process, pid| Event::Fork { time_ns: 2000, process, pid, parent: 100, shared_memory: true };
    for (process, pid) in [(2, 200), (3, 300)] {
        run.apply(&fork(process, pid));
    }
    run.pipeline.process(3, 300, ProcessAbout::default());
    child(&mut run, 3000, 400, 11);
    run.pipeline.let_go(2, 400);
    let pids: Vec<_> = run.finish(4000).processes.iter().map(|process| process.pid).collect();
    assert_eq!(pids, [100, 300, 400], "one that has run some stays");
}

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
fn resident_memory_goes_to_the_top_of_the_thread_that_caused_it() {
    let mut run = Run::new();
    run.apply(&Event::RssBase { time_ns: 1000, process: 1, bytes: [1000, 2000, 77, 0] });
    run.rss(1100, Cause::Thread(SLOT), 1);
    run.held(1200, &[], true);
    run.start(2000, 0x10, 1);
    run.rss(2050, Cause::Thread(SLOT), 10);
    run.start(2100, 0x20, 2);
    run.rss(2150, Cause::Thread(SLOT), 200);
    run.rss(2160, Cause::Outside, -3);
    run.apply(&Event::Rss {
        time_ns: 2170,
        process: 1,
        cause: Cause::Thread(SLOT),
        member: Member::Swap,
        delta_bytes: 50,
    });
    run.end(2200, 0x20);
    run.rss(2250, Cause::Thread(SLOT), -150);
    run.end(2300, 0x10);
    let report = run.finish(3000);
    let process = &report.processes[0];
    assert_eq!((process.rss_start_bytes, process.rss_end_bytes, process.rss_peak_bytes), (3000, 3058, 3211));
    assert_eq!((process.outside_rss_bytes, process.no_frame_rss_bytes, process.swap_bytes), (-3, 1, 127));
    let rss = |name| (row(&report, name).self_rss_bytes, row(&report, name).cum_rss_bytes);
    assert_eq!([rss("f"), rss("g")], [(-140, 60), (200, 200)]);
    assert_eq!([rss(crate::report::OUTSIDE).0, rss(crate::report::NO_FRAME).0], [-3, 1]);
    assert_eq!(report.functions.iter().map(|row| row.self_rss_bytes).sum::<i64>(), 58);
    let causes: Vec<_> = run.pipeline.sink_mut().rss.iter().map(|rss| (rss.tid, rss.function)).collect();
    assert_eq!(
        causes,
        [(101, None), (101, Some(1)), (101, Some(2)), (0, None), (101, Some(2)), (101, Some(1))]
    );
}

#[test]
fn memory_of_a_thread_that_is_not_followed_is_without_a_frame() {
    let mut run = Run::new();
    run.apply(&Event::RssBase { time_ns: 1000, process: 1, bytes: [0, 1000, 0, 0] });
    run.rss(1100, Cause::Unfollowed, 5);
    run.rss(1200, Cause::Thread(SLOT + 7), 6);
    run.rss(1300, Cause::Outside, 70);
    let report = run.finish(3000);
    let process = &report.processes[0];
    assert_eq!((process.no_frame_rss_bytes, process.outside_rss_bytes), (11, 70));
    let tids: Vec<_> = run.pipeline.sink_mut().rss.iter().map(|rss| rss.tid as i32).collect();
    assert_eq!(tids, [-1, -1, 0]);
}

#[test]
fn memory_from_before_the_first_sync_belongs_to_the_frame_found_on_top() {
    let mut run = Run::new();
    run.apply(&Event::RssBase { time_ns: 1000, process: 1, bytes: [0, 1000, 0, 0] });
    run.rss(1100, Cause::Thread(SLOT), 500);
    run.rss(1150, Cause::Thread(SLOT), -100);
    run.held(2000, &[(0x10, 1), (0x20, 2)], true);
    run.end(2200, 0x20);
    let report = run.finish(3000);
    let rss = |name| (row(&report, name).self_rss_bytes, row(&report, name).cum_rss_bytes);
    assert_eq!([rss("f"), rss("g")], [(0, 400), (400, 400)]);
    assert_eq!(report.processes[0].no_frame_rss_bytes, 0);
    let causes: Vec<_> =
        run.pipeline.sink_mut().rss.iter().map(|rss| (rss.time_ns, rss.function, rss.total_bytes)).collect();
    assert_eq!(causes, [(1100, Some(2), 1500), (1150, Some(2), 1400)]);
}

#[test]
fn a_new_address_space_is_charged_to_the_outside() {
    let mut run = Run::new();
    run.apply(&Event::RssBase { time_ns: 1000, process: 1, bytes: [1000, 2000, 0, 0] });
    run.apply(&Event::RssBase { time_ns: 2000, process: 1, bytes: [100, 50, 0, 0] });
    let report = run.finish(3000);
    let process = &report.processes[0];
    assert_eq!(
        (process.rss_start_bytes, process.rss_end_bytes, process.outside_rss_bytes),
        (3000, 150, -2850)
    );
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

#[test]
fn a_suspension_that_is_not_seen_comes_out_at_the_callers_next_call() {
    let unseen = UnseenEnd::Suspended;
    let called = |function, caller| FrameEvent::Called { resumed: false, function, caller, unseen };
    let mut run = Run::new();
    run.frame(2000, 0x10, called(1, 0));
    run.frame(2100, 0x20, called(2, 0x10));
    run.frame(2300, 0x30, called(3, 0x10));
    run.end(2350, 0x30);
    // The generator goes on, and is left again when its consumer ends.
    run.frame(2400, 0x20, FrameEvent::Called { resumed: true, function: 2, caller: 0x10, unseen });
    run.end(2600, 0x10);
    let report = run.finish(3000);
    let suspended = Ended::SuspendedUnseen;
    assert_eq!(run.calls()[0], (2, 2100, 2300, suspended));
    assert_eq!(run.calls()[2], (2, 2400, 2600, suspended));
    let g = row(&report, "g");
    assert_eq!((g.calls, g.resumes, g.ends, g.late_ends), (1, 1, 2, 2));
    assert_eq!((row(&report, "f").ends, row(&report, "h").late_ends), (1, 0));
    assert_eq!((report.account.late_ends, report.account.repaired), (2, 0));
}

#[test]
fn an_unwind_that_is_not_seen_ends_where_the_exception_reached_the_frame() {
    let unseen = UnseenEnd::Raised;
    let called = |function, caller| FrameEvent::Called { resumed: false, function, caller, unseen };
    let thrown = |function, caller| FrameEvent::Thrown { suspended: false, function, caller, unseen };
    let mut run = Run::new();
    run.frame(2000, 0x10, called(1, 0));
    run.frame(2100, 0x20, called(2, 0x10));
    run.frame(2200, 0x20, thrown(2, 0x10));
    run.frame(2250, 0x10, thrown(1, 0));
    run.end(2500, 0x10);
    let report = run.finish(3000);
    assert_eq!(run.calls()[0], (2, 2100, 2200, Ended::RaisedUnseen));
    assert_eq!(run.calls()[1].3, Ended::Raised);
    let (f, g) = (row(&report, "f"), row(&report, "g"));
    assert_eq!((f.self_wall_ns, g.self_wall_ns, g.late_ends), (400, 100, 1));
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
