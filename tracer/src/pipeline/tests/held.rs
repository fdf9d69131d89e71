//! Frames that the interpreter holds: at attach, and after a loss.

use super::{Run, SLOT, row};
use crate::charge::Ended;
use crate::event::{Event, FrameEvent};

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
