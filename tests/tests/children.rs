//! Children of a traced process: they are traced too, each as a process of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use tests::{
    Python, Target, Tracer, kernel, on_all_pythons, program,
    program::Known,
    report::{Function, Report},
    scratch, tracer, wait,
};

on_all_pythons!(
    forked,
    forked_while_all_are_traced,
    forked_by_a_command,
    forked_by_many_parents,
    multiprocessing_forks,
    multiprocessing_spawns,
    multiprocessing_has_a_fork_server,
    subprocesses,
    left_alone_on_request,
    becomes_another_program_by_a_thread,
    outlives_its_parent,
);

/// Calls of each process, in the order in which they are listed.
fn calls<'a>(report: &'a Report, name: &str) -> Vec<(u32, &'a Function)> {
    let rows = report.functions.iter().filter(|row| row.function == name);
    rows.map(|row| (row.pid, row)).collect()
}

/// Waits until the probes of all these are in place.
fn followed(tracer: &mut Tracer, known: &[Known]) {
    let mut waiting: BTreeSet<u32> = known.iter().map(|fact| fact.pid).collect();
    while !waiting.is_empty() {
        let line = tracer.note("is followed");
        waiting.retain(|pid| !line.contains(&format!("process {pid} is followed")));
    }
}

/// What each child has done, and the parent, which calls `step` seven times in each round.
fn assert_counts(report: &Report, parent: u32, known: &[Known]) {
    report.assert_lossless();
    assert_eq!(known.len(), 4);
    for fact in known {
        assert_eq!(report.calls_in(fact.pid, "step"), fact.calls, "{:?}", calls(report, "step"));
    }
    assert_eq!(report.calls_in(parent, "step"), 14);
}

fn children(python: Python, kind: &str) -> (Report, u32, Vec<Known>) {
    children_of(Target::start(python, "children.py", &[kind, "--rounds", "2"]))
}

/// The report, the parent's PID, and what is known of its children.
fn children_of(mut target: Target) -> (Report, u32, Vec<Known>) {
    let mut tracer = Tracer::attach(&[&target], &["-v"]);
    let known = target.work();
    followed(&mut tracer, &known);
    target.work();
    let (parent, report) = (target.pid(), tracer.report());
    target.end();
    assert_counts(&report, parent, &known);
    (report, parent, known)
}

fn forked(python: Python) {
    let (report, parent, known) = children(python, "fork");
    assert_eq!(report.processes.len(), 5);
    for fact in &known {
        let child = report.process(fact.pid);
        assert_eq!(child.parent, Some(parent));
        assert!(child.runs(python.version()));
        // The caller was on the stack that the child has of its parent, and is no call of its own.
        let begin =
            report.functions.iter().find(|row| row.pid == fact.pid && row.function == "Workload.begin");
        assert_eq!(begin.expect("the frames of the fork are the child's too").calls, 0);
    }
    assert_eq!(report.process(parent).parent, None);
    let note = report.account.notes.iter().find(|note| note.contains("followed from their fork on"));
    let note = note.expect("the account tells of them");
    assert!(note.starts_with("4 processes were") && note.contains("(median)"), "{note}");
}

/// Nothing has to be put in place: not a call is missed.
fn forked_while_all_are_traced(python: Python) {
    let mut target = Target::start(python, "children.py", &["fork", "--rounds", "2"]);
    let mut tracer = Tracer::record(&["--all", "--json"]);
    tracer.note("new ones are taken up");
    let known = target.work();
    target.work();
    let (parent, report) = (target.pid(), tracer.report());
    target.end();
    assert_counts(&report, parent, &known);
    assert!(known.iter().all(|fact| report.process(fact.pid).parent == Some(parent)));
}

fn forked_by_a_command(python: Python) {
    let folder = scratch();
    let output = folder.path().join("known");
    let mut words = vec!["--json".to_owned(), "--".to_owned()];
    words.extend(["/bin/sh".to_owned(), "-c".to_owned(), "exec \"$@\" > $0".to_owned()]);
    words.push(output.display().to_string());
    words.extend(python.words());
    words.push(program("children.py").display().to_string());
    words.extend(["fork", "--rounds", "2", "--at-once"].map(str::to_owned));
    let report = Tracer::record(&words).finish().report();
    let known = fs::read_to_string(output).expect("what the command printed");
    let known = known.lines().filter_map(|line| line.strip_prefix("known "));
    let known: Vec<Known> = known.map(|fact| serde_json::from_str(fact).expect("a fact")).collect();
    assert_eq!(known.len(), 4);
    for fact in known {
        assert!(report.process(fact.pid).parent.is_some());
        // Nothing waits for their probes here.
        assert!(report.calls_in(fact.pid, "step") <= fact.calls);
    }
}

fn multiprocessing_forks(python: Python) {
    children(python, "multiprocessing-fork");
}

fn multiprocessing_spawns(python: Python) {
    children(python, "multiprocessing-spawn");
}

/// The children are the server's.
fn multiprocessing_has_a_fork_server(python: Python) {
    let (report, parent, known) = children(python, "multiprocessing-forkserver");
    let servers: BTreeSet<_> = known.iter().filter_map(|fact| report.process(fact.pid).parent).collect();
    assert_eq!(servers.len(), 1);
    assert!(!servers.contains(&parent));
}

fn subprocesses(python: Python) {
    let (report, parent, known) = children(python, "subprocess");
    assert!(known.iter().all(|fact| report.process(fact.pid).parent == Some(parent)));
    assert_eq!(report.processes.len(), 5);
}

fn left_alone_on_request(python: Python) {
    let mut target = Target::start(python, "children.py", &["fork", "--rounds", "2"]);
    let tracer = Tracer::attach(&[&target], &["--no-follow"]);
    target.work();
    target.work();
    let report = tracer.report();
    target.end();
    report.assert_lossless();
    assert_eq!((report.processes.len(), report.calls("step")), (1, 14));
}

/// The log tells the processes apart as the recording does; merged, each function has the sum of its rows.
#[test]
fn merged_there_is_one_row_for_each_function() {
    let folder = scratch();
    let log = folder.path().join("log").display().to_string();
    let mut target = Target::start(Python::DEBIAN_3_11, "children.py", &["fork", "--rounds", "2"]);
    let tracer = Tracer::attach(&[&target], &["-o", &log]);
    target.work();
    target.work();
    let recorded = tracer.report();
    target.end();
    let read = |arguments: &[&str]| -> Report {
        let output = tracer::run([&["report", &log, "--json"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("a report is JSON")
    };
    assert_eq!(read(&[]), recorded);
    let merged = read(&["--merge"]);
    assert_eq!(merged.processes, recorded.processes);
    assert!(merged.functions.iter().all(|row| row.process.is_none() && row.pid == 0));
    let sums = |report: &Report| {
        let mut sums = BTreeMap::new();
        for row in &report.functions {
            let sum: &mut (u64, u64) =
                sums.entry((row.function.clone(), row.file.clone(), row.line)).or_default();
            *sum = (sum.0 + row.calls, sum.1 + row.self_wall_ns);
        }
        sums
    };
    assert_eq!(sums(&merged), sums(&recorded));
    assert_eq!(sums(&merged).len(), merged.functions.len());
    assert!(merged.functions.len() < recorded.functions.len());
}

/// By the plan of the file that each runs.
#[test]
fn of_another_python() {
    let other = Python::SID_3_14;
    let mut command = Python::DEBIAN_3_11.command();
    command.arg(program("children.py")).args(["subprocess", "--rounds", "2"]);
    command.env("OTHER_PYTHON", serde_json::to_string(&other.words()).expect("words are JSON"));
    let (report, _, known) = children_of(Target::spawn(&mut command));
    assert!(known.iter().all(|fact| report.process(fact.pid).runs(other.version())));
}

/// The threads' slots are handed back: of the one that called exec too, whose id is another one then.
fn becomes_another_program_by_a_thread(python: Python) {
    let mut target = Target::start(python, "execs_in_thread.py", &[]);
    let mut tracer = Tracer::attach(&[&target], &["-v"]);
    target.go();
    tracer.note("is followed into another program");
    assert_eq!(kernel::map_entries(tracer.pid(), "PROCESS_OF"), 1);
    assert!(kernel::map_entries(tracer.pid(), "TASKS") <= 1);
    target.go();
    let report = tracer.finish().report();
    report.assert_lossless();
    assert_eq!((report.calls("before"), report.calls("step")), (50, 100));
}

/// The recording goes on as long as there is anyone left.
fn outlives_its_parent(python: Python) {
    let mut target = Target::start(python, "leaves.py", &[]);
    let tracer = Tracer::attach(&[&target], &[]);
    target.go();
    let report = tracer.finish().report();
    report.assert_lossless();
    assert!(report.calls("step") > 0);
    assert_eq!(report.calls("last"), 1);
    assert_eq!(report.processes[1].parent, Some(target.pid()));
}

/// What runs no Python is no process of the report.
#[test]
fn other_programs_are_let_go() {
    let mut target = Target::start(Python::DEBIAN_3_11, "other_programs.py", &[]);
    let tracer = Tracer::attach(&[&target], &[]);
    target.work();
    let report = tracer.report();
    target.end();
    report.assert_lossless();
    assert_eq!(report.calls("step"), 20);
    assert_eq!(report.processes.len(), 1, "{:?}", report.processes);
}

/// More children than there are indices: all are handed back, and the last one has its own numbers.
fn churn(arguments: &[&str]) {
    const CHILDREN: usize = 1_200;
    let words = ["--size", &CHILDREN.to_string(), "--rounds", "2"];
    let mut target = Target::start(Python::DEBIAN_3_11, "churn.py", &words);
    let mut words: Vec<_> = arguments.iter().map(|word| (*word).to_owned()).collect();
    if words.is_empty() {
        words.extend(["-p".to_owned(), target.pid().to_string(), "-v".to_owned()]);
    }
    let mut tracer = Tracer::record(&[words, vec!["--json".to_owned()]].concat());
    tracer.note(if arguments.is_empty() { "attached" } else { "new ones are taken up" });
    let held = |tracer: &Tracer| {
        let files = fs::read_dir(Path::new("/proc").join(tracer.pid().to_string()).join("fd"));
        let maps = ["PROCESS_OF", "TASKS"].map(|map| kernel::map_entries(tracer.pid(), map));
        [files.expect("it runs").count(), maps[0], maps[1]]
    };
    let before = held(&tracer);
    let known = target.work();
    // With `--all` other processes of the machine come and go meanwhile.
    let back = |now: usize, before: usize| now < before + CHILDREN / 10;
    wait::until("all that the children took has been given back", || {
        held(&tracer).into_iter().zip(before).all(|(now, before)| back(now, before))
    });
    if arguments.is_empty() {
        followed(&mut tracer, &known);
    }
    target.work();
    let (parent, report) = (target.pid(), tracer.report());
    target.end();
    report.assert_lossless();
    let children = report.processes.iter().filter(|process| process.parent == Some(parent));
    assert_eq!(children.count(), CHILDREN);
    let pids: BTreeSet<_> = report.processes.iter().map(|process| process.pid).collect();
    assert_eq!(pids.len(), report.processes.len(), "each is one process");
    let missed = report.account.notes.iter().find(|note| note.contains("not followed"));
    assert_eq!(missed, None);
    let last = &known[0];
    assert_eq!(report.calls_in(last.pid, "step"), last.calls);
    let most = calls(&report, "step").iter().map(|(_, row)| row.calls).max();
    assert_eq!(most, Some(10), "no child has another's calls");
}

/// Also where the kernel switches threads while its tracepoints run programs.
fn forked_by_many_parents(python: Python) {
    const PARENTS: usize = 6;
    const CHILDREN_OF_EACH: usize = 20;
    let size = CHILDREN_OF_EACH.to_string();
    let mut target = Target::start(python, "many_forks.py", &["--size", &size]);
    let tracer = Tracer::attach(&[&target], &[]);
    let known = target.work();
    assert_eq!(known[0].calls, (PARENTS * CHILDREN_OF_EACH) as u64, "the program has as many");
    let (first, report) = (target.pid(), tracer.report());
    target.end();
    report.assert_lossless();
    let strangers: Vec<_> = report.processes.iter().filter(|process| process.parent.is_none()).collect();
    assert_eq!(strangers.iter().map(|process| process.pid).collect::<Vec<_>>(), [first], "{strangers:#?}");
    let mut children: BTreeMap<_, usize> = BTreeMap::new();
    for process in &report.processes {
        *children.entry(process.parent).or_default() += 1;
    }
    children.remove(&None);
    assert_eq!(children.remove(&Some(first)), Some(PARENTS));
    assert_eq!(children.into_values().collect::<Vec<_>>(), [CHILDREN_OF_EACH; PARENTS]);
}

#[test]
fn a_thousand_children_leave_nothing_behind() {
    churn(&[]);
}

#[test]
fn a_thousand_children_leave_nothing_behind_while_all_are_traced() {
    churn(&["--all"]);
}
