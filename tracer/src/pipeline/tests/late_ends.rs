//! Ends that the source does not see.

use super::{Run, row};
use crate::charge::Ended;
use crate::event::{FrameEvent, UnseenEnd};

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
