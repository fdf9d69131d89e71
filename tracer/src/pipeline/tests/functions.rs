//! Which function a call is of, and which functions are wanted.

use super::{Run, row};
use crate::event::FrameEvent;

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
