//! pytracer is killed, stopped, or ended for want of memory while it traces at full load, in each of its modes: the target
//! runs on and computes what it should, and nothing is left of the tracer.
//!
//! `cargo xtask faults` repeats each fault a hundred times ([`TIMES`]).

use std::{fs, os::unix::process::ExitStatusExt as _, path::Path, process::Command, thread, time::Duration};

use rustix::process::Signal;
use tests::{
    Python, Target, Tracer,
    cgroup::MemoryGroup,
    kernel::{Holdings, breakpoints, has_open_window},
    on_pythons, scratch, tracer, wait,
};

on_pythons!([killed, stopped_for_a_while, killed_while_stopped, ended_for_want_of_memory]
    cpython_3_11_debian: DEBIAN_3_11,
);
on_pythons!([killed]
    cpython_3_14_sid: SID_3_14,
);

/// By this variable: how often each fault is repeated in each mode. Otherwise there is one.
const TIMES: &str = "PYTRACER_FAULTS";

/// How pytracer traces. Those with a log get `-o` besides.
struct Mode {
    name: &'static str,
    arguments: &'static [&'static str],
    logs: bool,
    hooks: bool,
}

const MODES: [Mode; 4] = [
    Mode { name: "kernel", arguments: &["--aggregate", "kernel"], logs: false, hooks: true },
    Mode { name: "stream with log", arguments: &["--aggregate", "stream"], logs: true, hooks: true },
    Mode { name: "samples", arguments: &["--source", "sample"], logs: true, hooks: false },
    Mode { name: "budget", arguments: &["--max-overhead", "100%"], logs: false, hooks: true },
];

fn times() -> u64 {
    std::env::var(TIMES).map_or(1, |times| times.parse().expect("a number of times"))
}

/// One recording of the busy program, about to go wrong.
struct Recording<'a> {
    tracer: Tracer,
    target: &'a mut Target,
    mode: &'a Mode,
}

/// Does something to a recording in each mode, again and again, a little later each time; then everything is as before.
fn inject(python: Python, fault: impl Fn(Recording<'_>)) {
    inject_into(python, || Command::new(tracer::binary()), fault);
}

/// The same, pytracer being started by a command that becomes it.
fn inject_into(python: Python, command: impl Fn() -> Command, fault: impl Fn(Recording<'_>)) {
    let times = times();
    // Also while it is stopped.
    let rounds = 2 * times * MODES.len() as u64 + 2;
    let mut target = Target::start(python, "busy_threads.py", &["--rounds", &rounds.to_string()]);
    assert_works(&mut target, "untraced");
    for (time, mode) in (0..times).flat_map(|time| MODES.iter().map(move |mode| (time, mode))) {
        let folder = scratch();
        let log = folder.path().join("log");
        let mut command = command();
        command.args(["record", "--json", "--untraced", "0s", "-p", &target.pid().to_string()]);
        command.args(mode.arguments);
        if mode.logs {
            command.arg("-o").arg(&log);
        }
        let mut tracer = Tracer::spawn(&mut command);
        tracer.attached();
        assert_eq!(mode.hooks, !breakpoints(python, target.pid()).is_empty(), "{}", mode.name);
        thread::sleep(Duration::from_millis(time * 37 % 250));
        let holdings = Holdings::of(tracer.pid());
        fault(Recording { tracer, target: &mut target, mode });
        wait::until("nothing is left in the kernel", || holdings.left().is_empty());
        assert_eq!(breakpoints(python, target.pid()), [0; 0], "{}, time {time}", mode.name);
        assert_works(&mut target, mode.name);
        if mode.logs {
            assert_opens(&log);
        }
    }
    assert_works(&mut target, "at the end");
    target.kill();
}

/// All its threads make progress, and none had a wrong result.
fn assert_works(target: &mut Target, when: &str) {
    let known = target.work();
    assert_eq!(known.last().map(|fact| fact.calls), Some(4), "{when}: {known:?}");
}

/// What had been written by then can be read, and is said to be cut off, unless it is whole.
fn assert_opens(log: &Path) {
    let output = tracer::run(["report", &log.display().to_string(), "--json"]);
    let note = String::from_utf8_lossy(&output.stderr);
    let whole = output.status.success() && note.is_empty();
    assert!(whole || output.status.code() == Some(1) && note.contains("was cut off"), "{note}");
    let report: Result<serde_json::Value, _> = serde_json::from_slice(&output.stdout);
    report.expect("a report is JSON");
}

fn killed(python: Python) {
    inject(python, |recording| recording.tracer.kill());
}

/// Meanwhile the target goes on; afterwards so does the recording.
fn stopped_for_a_while(python: Python) {
    inject(python, |Recording { tracer, target, mode }| {
        tracer.signal(Signal::STOP);
        assert_works(target, mode.name);
        tracer.signal(Signal::CONT);
        let outcome = tracer.interrupt();
        assert!(outcome.status.success(), "{}: {}", mode.name, outcome.stderr);
        if mode.name == "kernel" {
            outcome.report().assert_lossless();
            assert!(outcome.report().calls("fibonacci") > 0, "{}", outcome.stdout);
        }
    });
}

/// At whatever moment it is stopped, also while probes are being put in place: it can't take them away, so others do.
#[test]
fn no_window_stays_open_while_it_is_stopped() {
    const AT_LEAST: u64 = 6;
    let python = Python::DEBIAN_3_11;
    let mut target = Target::start(python, "busy_threads.py", &["--rounds", "2"]);
    assert_works(&mut target, "untraced");
    let tracer = Tracer::attach(&[&target], &["--max-overhead", "100%"]);
    let times = times().max(AT_LEAST);
    let (mut time, mut were_open) = (0, 0);
    // Which moments those are is chance: until one was within a window.
    while time < times || were_open == 0 && time < 10 * times {
        thread::sleep(Duration::from_micros(20_000 + time * 3_700 % 25_000));
        tracer.signal(Signal::STOP);
        // What it has asked for just before is in place by then.
        thread::sleep(Duration::from_millis(100));
        were_open += usize::from(has_open_window(python, target.pid()));
        thread::sleep(Duration::from_secs(2));
        assert!(!has_open_window(python, target.pid()), "time {time}: a window stays open");
        tracer.signal(Signal::CONT);
        time += 1;
    }
    assert!(were_open > 0, "it was never stopped in a window");
    assert!(tracer.interrupt().status.success());
    assert_works(&mut target, "at the end");
    target.end();
}

fn killed_while_stopped(python: Python) {
    inject(python, |recording| {
        recording.tracer.signal(Signal::STOP);
        thread::sleep(Duration::from_millis(50));
        recording.tracer.kill();
    });
}

/// The kernel kills it, because another process of its control group wants more memory than there is.
fn ended_for_want_of_memory(python: Python) {
    const HOG: &str = "import time\nheld = bytearray(256 << 20)\ntime.sleep(1000)";
    let group = MemoryGroup::new(&format!("pytracer-test-{}", std::process::id()));
    inject_into(
        python,
        || group.command(tracer::binary()),
        |Recording { tracer, mode, .. }| {
            let kills = group.kills();
            fs::write(format!("/proc/{}/oom_score_adj", tracer.pid()), "1000")
                .expect("make it the first to go");
            group.limit_to_more(16 << 20);
            let words = python.words();
            let mut hog = group.command(&words[0]);
            let mut hog =
                hog.args(&words[1..]).args(["-c", HOG]).spawn().expect("start what takes the memory");
            let outcome = tracer.finish();
            hog.kill().expect("end what takes the memory");
            hog.wait().expect("wait for its end");
            assert_eq!(outcome.status.signal(), Some(9), "{}: {}", mode.name, outcome.stderr);
            assert!(group.kills() > kills, "{}: it was the kernel", mode.name);
            group.lift_limit();
        },
    );
}
