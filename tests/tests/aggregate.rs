//! `--aggregate kernel`: the same numbers as by events, nothing lost, and tables that are too small are owned up to.
//!
//! That counts are the interpreter's own in this way too is tested with all others, in `counts.rs`.

use std::{fs, process::Command};

use tests::{
    Both, Python, Target, Tracer, kernel, on_all_pythons, on_pythons, program, report::Report, truth,
};

on_pythons! {
    [same_memory, same_in_waits, same_of_silent_threads, same_of_children, same_when_preempted]
    cpython_3_8_shared: SHARED_3_8,
    cpython_3_11_debian: DEBIAN_3_11,
    cpython_3_13_sid: SID_3_13,
    cpython_3_13_nogil: NOGIL_3_13,
    cpython_3_15_sid: SID_3_15,
}

mod small {
    use super::*;

    on_all_pythons!(
        nothing_is_lost_in_a_full_ring_buffer,
        names_are_not_lost_in_a_full_ring_buffer,
        functions_beyond_the_table_are_one_row,
        stacks_beyond_the_table_are_counted,
    );
}

const SMALL_RING: [&str; 4] = ["--aggregate", "kernel", "--ring-size", "4096"];

fn same_memory(python: Python) {
    Both::of(Target::start(python, "memory.py", &[]), &[]);
}

fn same_in_waits(python: Python) {
    Both::of(Target::start(python, "waits.py", &[]), &[]);
}

fn same_of_silent_threads(python: Python) {
    Both::of(Target::start(python, "silent.py", &[]), &[]);
}

/// Of a fork, and of one that calls exec: they have ended before the recording does.
fn same_of_children(python: Python) {
    let both = Both::of(Target::start(python, "forks.py", &[]), &[]);
    assert!(both.added_up.processes.len() >= 2, "{:?}", both.added_up.processes);
}

/// Another program wants the same processor, so that threads are switched out at any moment: on preemptible kernels amid a
/// probe, too.
fn same_when_preempted(python: Python) {
    let status = fs::read_to_string("/proc/self/status").expect("read the processors that may be used");
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("a list");
    let cpu = allowed.trim().split([',', '-']).next().expect("a number");
    let start = |name: &str, arguments: &[&str]| {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", cpu]).args(python.words()).arg(program(name)).args(arguments);
        Target::spawn(&mut command)
    };
    let mut other = start("busy.py", &["--size", "1000000000"]);
    other.go();
    Both::of(start("threads.py", &[]), &[]);
    other.kill();
}

fn nothing_is_lost_in_a_full_ring_buffer(python: Python) {
    const CALLS: u64 = 1_000_000;
    let target = Target::start(python, "busy.py", &["--size", &CALLS.to_string()]);
    let (_, report) = Tracer::work_of(target, &SMALL_RING);
    assert_eq!(report.calls("callee"), CALLS);
    assert!(report.account.events >= 2 * CALLS, "{:?}", report.account);
}

/// More functions at once than the ring buffer has room for.
fn names_are_not_lost_in_a_full_ring_buffer(python: Python) {
    let truth = truth::of(python, "generated.py", &[]);
    let (_, report) = Tracer::work_of(Target::start(python, "generated.py", &[]), &SMALL_RING);
    truth::assert_equal(&truth, &truth::counted(&report));
}

fn functions_beyond_the_table_are_one_row(python: Python) {
    const ROOM: usize = 10;
    let traced = |arguments: &[&str]| {
        Tracer::work_of(
            Target::start(python, "calls.py", &[]),
            &[&["--aggregate", "kernel"], arguments].concat(),
        )
        .1
    };
    let (whole, short) = (traced(&[]), traced(&["--kernel-functions", &ROOM.to_string()]));
    assert_eq!(kernel::without_chance(&whole.account.notes), kernel::usual_notes());
    let note = short.account.notes.iter().find(|note| note.contains("more than 10 functions"));
    assert!(note.is_some(), "{:?}", short.account.notes);
    let calls = |report: &Report| report.functions.iter().map(|row| row.calls).sum::<u64>();
    assert_eq!(calls(&short), calls(&whole));
    assert!(short.functions.len() <= ROOM + 1, "{} rows", short.functions.len());
    assert!(short.function("<other functions>").self_wall_ns > 0);
}

fn stacks_beyond_the_table_are_counted(python: Python) {
    let target = Target::start(python, "depth.py", &[]);
    let (known, report) = Tracer::work_of(target, &["--aggregate", "kernel", "--kernel-stack-pages", "3"]);
    for fact in &known {
        assert_eq!(report.calls(&fact.function), fact.calls, "{}", fact.function);
    }
    let note = report.account.notes.iter().find(|note| note.contains("counted, but not timed"));
    assert!(note.is_some(), "{:?}", report.account.notes);
    let window = report.window.duration_ns;
    assert!(
        report.functions.iter().all(|row| row.self_wall_ns <= row.cum_wall_ns && row.cum_wall_ns <= window)
    );
}
