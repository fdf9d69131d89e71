//! Events that do not fit the open frames: what they prove.

use super::{Run, row};
use crate::charge::Ended;
use crate::event::FrameEvent;

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
fn an_exception_further_out_ends_all_above_it() {
    let mut run = Run::new();
    run.start(2000, 0x10, 1);
    run.start(2100, 0x20, 2);
    run.frame(2200, 0x10, FrameEvent::Raise { function: 1 });
    run.end(2300, 0x10);
    assert_eq!(run.calls(), [(2, 2100, 2200, Ended::Unseen), (1, 2000, 2300, Ended::Raised)]);
}
