//! What a call is charged, and how it begins and ends.

use super::{Run, SLOT, row};
use crate::charge::{Began, Ended};
use crate::event::{Event, FrameEvent};

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
