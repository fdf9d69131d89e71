//! Processes in other PID, mount and user namespaces than pytracer, and pytracer in a PID namespace of its own.

use std::{collections::BTreeSet, process::Command};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::{
    Python, Target, Tracer, kernel,
    namespaces::{Namespaces, pids, unshare, youngest},
    on_all_pythons, program, tracer, truth,
};

on_all_pythons!(
    a_target_elsewhere,
    both_in_the_same,
    children_in_the_same,
    becomes_another_program_by_a_thread
);

/// Adds an interpreter and a program to a command.
fn running<'a>(command: &'a mut Command, python: Python, name: &str) -> &'a mut Command {
    command.args(python.words()).arg(program(name))
}

/// Adds a command of pytracer to a command.
fn pytracer<'a>(command: &'a mut Command, arguments: &[&str]) -> &'a mut Command {
    command.arg(tracer::binary()).args(arguments)
}

/// The rows of `ps`, run by a command.
fn listed(command: &mut Command) -> Vec<Value> {
    let output = pytracer(command, &["ps", "--json"]).output().expect("run pytracer");
    let list: Value = serde_json::from_slice(&output.stdout).expect("ps prints JSON");
    list["processes"].as_array().expect("a list").clone()
}

/// Ends a recording that was started by a command that waits for it.
fn interrupt(tracer: &Tracer) {
    let pid = i32::try_from(youngest(tracer.pid())).ok().and_then(Pid::from_raw).expect("a PID fits");
    kill_process(pid, Signal::INT).expect("signal pytracer");
}

/// Attaches from outside; both ids are shown.
fn attach_from_outside(target: &mut Target, python: Python, name: &str) {
    let inner: Vec<_> = pids(target.pid())[1..].to_vec();
    let rows = listed(Command::new("env").arg("--"));
    let row = rows.iter().find(|row| row["pid"] == target.pid()).expect("ps lists it");
    assert_eq!((&row["inner_pids"], &row["exact"]), (&inner.clone().into(), &true.into()), "{row}");
    let mut tracer = Tracer::record(&["--json", "-p", &target.pid().to_string()]);
    let line = tracer.note("attached");
    assert!(
        line.contains(&format!("process {} ({} in its PID namespace)", target.pid(), inner[0])),
        "{line}"
    );
    target.work();
    let outcome = tracer.interrupt();
    outcome.report().assert_lossless();
    truth::assert_equal(&truth::of(python, name, &[]), &truth::counted(&outcome.report()));
    let report: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(report["processes"][0]["inner_pids"], Value::from(inner));
}

fn a_target_elsewhere(python: Python) {
    let mut target = Target::spawn_inside(running(&mut unshare(&[]), python, "calls.py"));
    attach_from_outside(&mut target, python, "calls.py");
    target.end();
}

#[test]
fn a_target_in_another_user_namespace_too() {
    let mut command = unshare(&["--user", "--map-root-user"]);
    let mut target = Target::spawn_inside(running(&mut command, Python::DEBIAN_3_11, "calls.py"));
    attach_from_outside(&mut target, Python::DEBIAN_3_11, "calls.py");
    target.end();
}

/// pytracer is given and shows the ids of its own namespace; threads and memory are charged as everywhere.
fn both_in_the_same(python: Python) {
    let namespaces = Namespaces::new();
    let mut target = Target::spawn_inside(running(&mut namespaces.command(), python, "threads.py"));
    let inner = pids(target.pid())[1];
    let rows = listed(&mut namespaces.command());
    assert_eq!(rows.iter().map(|row| row["pid"].clone()).collect::<Vec<_>>(), [Value::from(inner)]);
    assert_eq!(rows[0]["inner_pids"], Value::Array(Vec::new()));
    let mut command = namespaces.command();
    let mut tracer = Tracer::spawn(pytracer(&mut command, &["record", "--json", "-p", &inner.to_string()]));
    tracer.attached();
    target.work();
    interrupt(&tracer);
    let report = tracer.finish().report();
    target.end();
    report.assert_lossless();
    truth::assert_equal(&truth::of(python, "threads.py", &[]), &truth::counted(&report));
    let process = report.process(inner);
    assert!(process.rss_start_bytes > 0 && process.rss_peak_bytes >= process.rss_start_bytes, "{process:?}");
    assert_eq!(report.account.repaired, 0, "{:?}", report.account);
}

/// Children are known by the ids of that namespace from their fork on.
fn children_in_the_same(python: Python) {
    let namespaces = Namespaces::new();
    let mut command = namespaces.command();
    let command = running(&mut command, python, "children.py").args(["fork", "--rounds", "2"]);
    let mut target = Target::spawn_inside(command);
    let inner = pids(target.pid())[1];
    let mut command = namespaces.command();
    let arguments = ["record", "--json", "-v", "-p", &inner.to_string()];
    let mut tracer = Tracer::spawn(pytracer(&mut command, &arguments));
    tracer.attached();
    let known = target.work();
    let mut waiting: BTreeSet<_> = known.iter().map(|fact| fact.pid).collect();
    while !waiting.is_empty() {
        let line = tracer.note("is followed from its fork on");
        waiting.retain(|pid| !line.contains(&format!("process {pid} is followed")));
    }
    target.work();
    target.end();
    let report = tracer.finish().report();
    report.assert_lossless();
    assert_eq!(report.processes.len(), 5);
    for fact in &known {
        assert_eq!(report.process(fact.pid).parent, Some(inner));
        assert_eq!(report.calls_in(fact.pid, "step"), fact.calls);
    }
    assert_eq!(report.calls_in(inner, "step"), 14);
}

/// The kernel names the thread that called exec by an id that nobody in the namespace knows.
fn becomes_another_program_by_a_thread(python: Python) {
    let namespaces = Namespaces::new();
    let mut target = Target::spawn_inside(running(&mut namespaces.command(), python, "execs_in_thread.py"));
    let inner = pids(target.pid())[1];
    let mut command = namespaces.command();
    let arguments = ["record", "--json", "-v", "-p", &inner.to_string()];
    let mut tracer = Tracer::spawn(pytracer(&mut command, &arguments));
    tracer.attached();
    target.go();
    tracer.note("is followed into another program");
    let pid = youngest(tracer.pid());
    assert_eq!(kernel::map_entries(pid, "PROCESS_OF"), 1);
    assert!(kernel::map_entries(pid, "TASKS") <= 1);
    target.go();
    let report = tracer.finish().report();
    report.assert_lossless();
    assert_eq!((report.calls("before"), report.calls("step")), (50, 100));
}

/// A target in a namespace below that of pytracer.
#[test]
fn one_below_the_other() {
    let namespaces = Namespaces::new();
    let mut command = namespaces.command();
    command.args(["unshare", "--fork", "--kill-child", "--pid", "--mount-proc", "--"]);
    let mut target = Target::spawn_inside(running(&mut command, Python::DEBIAN_3_11, "calls.py"));
    let inner = pids(target.pid());
    assert_eq!(inner.len(), 3);
    let mut command = namespaces.command();
    let mut tracer =
        Tracer::spawn(pytracer(&mut command, &["record", "--json", "-p", &inner[1].to_string()]));
    let line = tracer.note("attached");
    assert!(line.contains(&format!("process {} ({} in its PID namespace)", inner[1], inner[2])), "{line}");
    target.work();
    interrupt(&tracer);
    let report = tracer.finish().report();
    target.end();
    truth::assert_equal(&truth::of(Python::DEBIAN_3_11, "calls.py", &[]), &truth::counted(&report));
}

/// Ids from another namespace's `/proc` would be of other processes.
#[test]
fn a_proc_of_another_namespace_is_refused() {
    let mut command = Command::new("unshare");
    command.args(["--fork", "--kill-child", "--pid", "--"]);
    let output = pytracer(&mut command, &["record", "-p", "1"]).output().expect("run pytracer");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains("/proc shows another PID namespace"), "{stderr}");
}

/// Where the monotonic clock is another than the kernel's own, times are right.
#[test]
fn a_clock_of_its_own() {
    for (offset, adder) in
        [("100000", "kernel"), ("-1000", "kernel"), ("100000", "stream"), ("-1000", "stream")]
    {
        let mut target = Target::start(Python::DEBIAN_3_11, "busy.py", &["--size", "100000"]);
        let mut command = Command::new("unshare");
        command.args(["--time", "--monotonic", offset, "--fork", "--kill-child", "--"]);
        let pid = target.pid().to_string();
        let words = ["record", "--json", "--untraced", "0s", "--aggregate", adder, "-p", &pid];
        let mut tracer = Tracer::spawn(pytracer(&mut command, &words));
        tracer.attached();
        let known = target.work();
        interrupt(&tracer);
        let report = tracer.finish().report();
        target.end();
        report.assert_lossless();
        let row = report.functions.iter().find(|row| row.function == "loop").expect("it ran");
        assert_eq!(report.calls("callee"), 100_000, "{offset}, {adder}");
        let truth = known[0].total_ns;
        assert!((truth / 2..=truth).contains(&row.cum_wall_ns), "{offset}, {adder}: {row:?}, truth {truth}");
    }
}

/// Processes that pytracer can't see are none of its own, though they run the interpreter that it hooks.
#[test]
fn all_are_those_of_the_namespace() {
    let namespaces = Namespaces::new();
    let mut outside = Target::start(Python::DEBIAN_3_11, "calls.py", &[]);
    let mut inside =
        Target::spawn_inside(running(&mut namespaces.command(), Python::DEBIAN_3_11, "calls.py"));
    let inner = pids(inside.pid())[1];
    let mut command = namespaces.command();
    let mut tracer = Tracer::spawn(pytracer(&mut command, &["record", "--json", "--all"]));
    tracer.note("new ones are taken up");
    let mut later = Target::spawn_inside(running(&mut namespaces.command(), Python::DEBIAN_3_11, "calls.py"));
    let later_inner = pids(later.pid())[1];
    for target in [&mut outside, &mut inside, &mut later] {
        target.work();
    }
    interrupt(&tracer);
    let report = tracer.finish().report();
    let mut seen: Vec<_> = report.processes.iter().map(|process| process.pid).collect();
    seen.sort_unstable();
    assert_eq!(seen, [inner, later_inner]);
    for pid in seen {
        assert_eq!(report.calls_in(pid, "Dog.speak"), 600);
    }
    outside.end();
}
