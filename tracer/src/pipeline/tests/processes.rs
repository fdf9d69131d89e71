//! Threads and processes that come, change and go.

use super::{Run, SLOT};
use crate::charge::Ended;
use crate::event::{Event, FrameEvent, Function, FunctionId};
use crate::pipeline::ProcessAbout;

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
