//! Which processes a recording takes, by name, control group, container and user.
//!
//! Every selector here is of this test alone: no other process on the machine may be taken.

use std::{collections::BTreeSet, os::unix::process::CommandExt as _, process::Output};

use serde_json::Value;
use tests::{
    Python, Target, Tracer, cgroup::Cgroup, copies::Copies, kernel, on_all_pythons, report::Report, tracer,
};

on_all_pythons!(by_name, later_ones_are_taken_up, children_are_followed_once);

/// How often `calls.py` calls this one.
const DOG: (&str, u64) = ("Dog.speak", 600);

/// Starts the copy of `calls.py`.
fn start(python: Python, copies: &Copies) -> Target {
    Target::spawn(python.command().arg(copies.program("calls.py")))
}

/// A glob that only programs of this folder match.
fn glob(copies: &Copies) -> String {
    format!("{}/*", copies.folder().display())
}

/// Has a recording take what the options select, lets all targets work, and checks that it took the first ones only.
fn assert_taken(options: &[&str], wanted: &mut [Target], others: &mut [Target]) -> Report {
    let mut tracer = Tracer::record(&[&["--json"], options].concat());
    tracer.note("new ones are taken up");
    for target in wanted.iter_mut().chain(others) {
        target.work();
    }
    let report = tracer.report();
    report.assert_lossless();
    let pids: BTreeSet<_> = report.processes.iter().map(|process| process.pid).collect();
    assert_eq!(pids, wanted.iter().map(Target::pid).collect());
    for target in wanted.iter() {
        assert_eq!(report.calls_in(target.pid(), DOG.0), DOG.1, "process {}", target.pid());
    }
    let listed: Value =
        serde_json::from_slice(&tracer::run([&["ps", "--json"], options].concat()).stdout).expect("JSON");
    let listed = listed["processes"].as_array().expect("a list").iter().filter_map(|row| row["pid"].as_u64());
    assert_eq!(listed.map(|pid| pid as u32).collect::<BTreeSet<_>>(), pids, "ps agrees");
    report
}

fn by_name(python: Python) {
    let (copies, other) = (Copies::of("calls.py"), Copies::of("calls.py"));
    let mut wanted = [start(python, &copies), start(python, &copies)];
    assert_taken(&["--name", &glob(&copies)], &mut wanted, &mut [start(python, &other)]);
}

/// Those that start later are traced from when that is said, and no others.
fn later_ones_are_taken_up(python: Python) {
    let (copies, other) = (Copies::of("calls.py"), Copies::of("calls.py"));
    let mut tracer = Tracer::record(&["--json", "--wait", "--name", &glob(&copies)]);
    tracer.note("attached to 0 processes");
    let (mut late, mut unasked) = (start(python, &copies), start(python, &other));
    tracer.note(&format!("attached to process {}", late.pid()));
    unasked.work();
    late.work();
    let report = tracer.report();
    assert_eq!(report.calls_in(late.pid(), DOG.0), DOG.1);
    assert_eq!(report.processes.len(), 1, "{:?}", report.processes);
}

/// What a selected process forks is followed as its child, also when it calls exec and is selected itself.
fn children_are_followed_once(python: Python) {
    for kind in ["fork", "subprocess"] {
        let copies = Copies::of("children.py");
        let mut tracer = Tracer::record(&["--json", "-v", "--wait", "--name", &glob(&copies)]);
        tracer.note("attached to 0 processes");
        let mut command = python.command();
        command.arg(copies.program("children.py")).args([kind, "--rounds", "2"]);
        let mut parent = Target::spawn(&mut command);
        tracer.note(&format!("attached to process {}", parent.pid()));
        let known = parent.work();
        let mut waiting: BTreeSet<_> = known.iter().map(|fact| fact.pid).collect();
        while !waiting.is_empty() {
            let words = if kind == "fork" { "from its fork on" } else { "into another program" };
            let line = tracer.note(words);
            waiting.retain(|pid| !line.contains(&format!("process {pid} is followed")));
        }
        parent.work();
        let report = tracer.report();
        report.assert_lossless();
        assert_eq!(report.processes.len(), 5);
        for fact in &known {
            assert_eq!(report.process(fact.pid).parent, Some(parent.pid()));
            assert_eq!(report.calls_in(fact.pid, "step"), fact.calls, "{kind}");
        }
        assert_eq!(report.calls_in(parent.pid(), "step"), 14);
    }
}

#[test]
fn by_control_group() {
    let copies = Copies::of("calls.py");
    let name = format!("/pytracer-test-{}", std::process::id());
    let (outer, inner) = (Cgroup::new(&format!("{name}/web.service")), format!("{name}/web.service/worker"));
    let inner = Cgroup::new(&inner);
    let beside = Cgroup::new(&format!("{name}/web.service2"));
    let mut wanted = [start(Python::DEBIAN_3_11, &copies), start(Python::DEBIAN_3_11, &copies)];
    let mut others = [start(Python::DEBIAN_3_11, &copies), start(Python::DEBIAN_3_11, &copies)];
    outer.add(wanted[0].pid());
    inner.add(wanted[1].pid());
    beside.add(others[0].pid());
    assert_taken(&["--cgroup", outer.path()], &mut wanted, &mut others);
}

#[test]
fn by_container() {
    let copies = Copies::of("calls.py");
    let id = format!("{:08x}{}", std::process::id(), "ab".repeat(28));
    let group = Cgroup::new(&format!("/pytracer-test-container/docker-{id}.scope"));
    let mut wanted = [start(Python::DEBIAN_3_11, &copies)];
    let mut others = [start(Python::DEBIAN_3_11, &copies)];
    group.add(wanted[0].pid());
    assert_taken(&["--container", &id[..12]], &mut wanted, &mut others);
}

#[test]
fn by_user() {
    let copies = Copies::of("calls.py");
    // Nobody has this one.
    let uid = 1_000_000 + std::process::id();
    let mut command = Python::DEBIAN_3_11.command();
    let mut wanted = [Target::spawn(command.arg(copies.program("calls.py")).uid(uid).gid(uid))];
    let mut others = [start(Python::DEBIAN_3_11, &copies)];
    assert_taken(&["--uid", &uid.to_string()], &mut wanted, &mut others);
}

#[test]
fn any_selector_is_enough() {
    let (one, two, three) = (Copies::of("calls.py"), Copies::of("calls.py"), Copies::of("calls.py"));
    let mut wanted = [&one, &two, &two].map(|copies| start(Python::DEBIAN_3_11, copies));
    let mut others = [start(Python::DEBIAN_3_11, &three)];
    let pids = [wanted[0].pid().to_string(), wanted[1].pid().to_string()];
    assert_taken(&["-p", &pids[0], "-p", &pids[1], "--name", &glob(&two)], &mut wanted, &mut others);
}

fn record(arguments: &[&str]) -> Output {
    kernel::need_privilege();
    tracer::run([&["record", "--json", "--duration", "1s"], arguments].concat())
}

#[test]
fn nothing_matches() {
    let _there = start(Python::DEBIAN_3_11, &Copies::of("calls.py"));
    for options in [["--name", "there is none of this name"], ["--cgroup", "/there/is/none"]] {
        let output = record(&options);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
        assert!(
            stderr.contains("no Python process matches (there is ") && stderr.contains("--wait"),
            "{stderr}"
        );
    }
}

#[test]
fn a_wrong_command_line() {
    let wrong: [&[&str]; 8] = [
        &["--all", "--name", "x"],
        &["--name", ""],
        &["--cgroup", ""],
        &["--container", ""],
        &["--uid", "there is no such user"],
        &["--wait"],
        &["--wait", "-p", "1"],
        &["--name", "x", "--", "python3"],
    ];
    for arguments in wrong {
        let output = record(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    }
}
