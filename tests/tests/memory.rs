//! Resident memory, against known allocations and against /proc.

use tests::{Python, Target, Tracer, kernel, on_all_pythons, program::Known, report::Report};

on_all_pythons!(memory);

const MIB: i64 = 1 << 20;
const PAGE: i64 = 4096;

/// /proc, which the program reads, is behind by up to 32 pages for each processor on some kernels, and the program's own
/// bookkeeping takes a few pages.
const SLACK: i64 = 256 << 10;

fn memory(python: Python) {
    let mut target = Target::start(python, "memory.py", &[]);
    let tracer = Tracer::attach(&[&target], &[]);
    let known = target.work();
    let report = tracer.report();
    report.assert_lossless();
    if !kernel::counts_memory() {
        target.end();
        return left_out(&report);
    }
    functions(&report, &known);
    threads(&report);
    faults(&report);
    process(&report, target.pid(), &known);
    target.end();
}

/// No numbers rather than wrong ones, and the report says so.
fn left_out(report: &Report) {
    assert_eq!(kernel::without_chance(&report.account.notes), kernel::usual_notes());
    let some = report.functions.iter().find(|row| row.self_rss_bytes != 0 || row.cum_rss_bytes != 0);
    assert!(some.is_none(), "{some:?}");
}

fn near(value: i64, expected: i64) -> bool {
    (value - expected).abs() <= SLACK
}

/// Each function took or gave back what /proc said.
fn functions(report: &Report, known: &[Known]) {
    for fact in known.iter().filter(|fact| !fact.function.is_empty()) {
        let (all, row) =
            (known.iter().filter(|other| other.function == fact.function), report.function(&fact.function));
        let expected = all.map(|fact| fact.rss_bytes).sum();
        assert!(near(row.cum_rss_bytes, expected), "{row:?}, known: {expected}");
    }
    let written = report.function("written");
    assert!(near(written.self_rss_bytes, (1 + 16 + 64 + 3 + 5 + 7 + 9) * MIB), "{written:?}");
    let caller = report.function("takes_64_mib");
    assert!(near(caller.self_rss_bytes, 0), "its callee took the memory: {caller:?}");
    let kept = report.function("drops_half");
    assert!(near(kept.self_rss_bytes, -8 * MIB), "{kept:?}");
}

/// Each of four threads is charged what it wrote.
fn threads(report: &Report) {
    for mebibytes in [3, 5, 7, 9] {
        let row = report.function(&format!("thread_{mebibytes}_mib"));
        assert!(near(row.cum_rss_bytes, mebibytes * MIB), "{row:?}");
    }
}

/// Every page written the first time is one fault.
fn faults(report: &Report) {
    let written = report.function("written");
    let pages = ((1 + 16 + 64 + 3 + 5 + 7 + 9) * MIB / PAGE).unsigned_abs();
    assert!((pages..pages + pages / 20).contains(&written.page_faults), "{pages} pages: {written:?}");
}

/// All rows together are the change of the process, and that is what /proc says.
fn process(report: &Report, pid: u32, known: &[Known]) {
    let process = report.process(pid);
    let change = process.rss_end_bytes - process.rss_start_bytes;
    let rows: i64 = report.functions.iter().filter(|row| row.pid == pid).map(|row| row.self_rss_bytes).sum();
    assert!(near(rows, change), "rows {rows}, process {change}");
    let fact = known.iter().find(|fact| fact.rss_end_bytes != 0).expect("the program told its size");
    assert!(near(process.rss_start_bytes, fact.rss_start_bytes), "{process:?} {fact:?}");
    assert!(process.rss_peak_bytes >= process.rss_start_bytes.max(process.rss_end_bytes), "{process:?}");
    assert!(
        process.rss_peak_bytes >= fact.rss_start_bytes + 81 * MIB - SLACK,
        "81 MiB were held at once: {process:?}"
    );
}
