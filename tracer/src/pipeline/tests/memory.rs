//! Whom a change of resident memory is charged to.

use super::{Run, SLOT, row};
use crate::event::{Cause, Event, Member};

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
