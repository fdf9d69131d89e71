//! Programs that we did not write: benchmarks of pyperformance, and a web application of Flask under gunicorn.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::Signal;
use tests::{
    Python, Target, Tracer, on_pythons, program, real_programs, report::Report, scratch, signal, tracer,
    truth,
};

// Each benchmark where it tells something new, not all everywhere: they are long. Before 3.11 the interpreter's own count
// is taken by a slow way.
on_pythons!([richards, deltablue, raytrace, hexiom, async_tree] cpython_3_10_shared: SHARED_3_10,);

on_pythons!([richards, deltablue, raytrace, hexiom, async_tree, generators, pyflate, gunicorn]
    cpython_3_11_debian: DEBIAN_3_11,
);

// Tasks that begin at once came with 3.12.
on_pythons!([richards, deltablue, raytrace, hexiom, async_tree_of_eager_tasks]
    cpython_3_12_shared: SHARED_3_12,
    cpython_3_13_sid: SID_3_13,
);

on_pythons!(
    [richards, deltablue, raytrace, hexiom, async_tree, async_tree_of_eager_tasks, generators, pyflate, gunicorn]
    cpython_3_14_sid: SID_3_14,
    cpython_3_15_sid: SID_3_15,
);

/// A command that runs a program with the packages of the real ones.
fn command(python: Python, name: &str) -> Command {
    let mut command = python.command();
    command.env("PYTHONPATH", real_programs()).arg(program(name));
    command
}

/// Traces a benchmark, and compares every function of its own with the count of another run: they are deterministic.
fn benchmark(python: Python, words: &[&str]) {
    let run = || {
        let mut command = command(python, "benchmark.py");
        command.args(words).arg("--");
        command
    };
    let truth = truth::of_command(&mut run());
    let mut target = Target::spawn(&mut run());
    let tracer = Tracer::attach(&[&target], &[]);
    target.work();
    let report = tracer.report();
    target.end();
    report.assert_lossless();
    let in_benchmark = truth.keys().filter(|(_, file, _)| Path::new(file).starts_with(real_programs()));
    assert!(in_benchmark.count() > 1, "the interpreter counted no function of the benchmark");
    truth::assert_equal(&truth, &truth::counted(&report));
}

fn richards(python: Python) {
    benchmark(python, &["richards"]);
}

fn deltablue(python: Python) {
    benchmark(python, &["deltablue"]);
}

fn raytrace(python: Python) {
    benchmark(python, &["raytrace", "--width", "30", "--height", "30"]);
}

fn generators(python: Python) {
    benchmark(python, &["generators"]);
}

fn async_tree(python: Python) {
    benchmark(python, &["async_tree", "memoization"]);
}

fn async_tree_of_eager_tasks(python: Python) {
    benchmark(python, &["async_tree", "eager_memoization", "--task-groups"]);
}

fn hexiom(python: Python) {
    benchmark(python, &["hexiom"]);
}

fn pyflate(python: Python) {
    benchmark(python, &["pyflate"]);
}

/// Connections that `wrk` has open at once.
const CONNECTIONS: u64 = 4;

/// Calls of a view function are the requests that the application has served, in workers that were there before, that
/// came later, and that took the place of another.
fn gunicorn(python: Python) {
    let folder = scratch();
    let log = folder.path().join("log").display().to_string();
    let mut target = Target::spawn(command(python, "web_service.py").arg(folder.path()));
    let port = fs::read_to_string(folder.path().join("port")).expect("the service has a port");
    let first: Vec<u32> = target.tells(2).iter().map(|worker| worker.pid).collect();
    let mut tracer = attach(target.pid(), &first, &log);

    let mut load = Load { port, completed: 0, runs: 0 };
    load.run();
    signal(target.pid(), Signal::TTIN);
    let third = next_worker(&mut target, &mut tracer, 3);
    load.run();
    signal(first[0], Signal::TERM);
    let fourth = next_worker(&mut target, &mut tracer, 4);
    load.run();

    let master = target.pid();
    target.terminate();
    let report = tracer.finish().report();
    report.assert_lossless();
    let served = served(folder.path());
    assert_eq!(served.keys().copied().collect::<Vec<_>>(), sorted([first[0], first[1], third, fourth]));
    for (worker, requests) in &served {
        assert_eq!(report.process(*worker).parent, (!first.contains(worker)).then_some(master));
        assert_eq!(report.calls_in(*worker, "order"), *requests, "requests of {worker} among {served:?}");
        assert_eq!(report.calls_in(*worker, "price"), ITEMS * requests);
    }
    assert_eq!(report.calls_in(master, "order"), 0);
    let all: u64 = served.values().sum();
    assert_eq!(merged(&log).function("order").calls, all);
    // What it had not got an answer to when it ended is served too.
    let most = load.completed + load.runs * CONNECTIONS;
    assert!((load.completed..=most).contains(&all), "{all} served, {} completed", load.completed);
}

/// Items of each order that is asked for.
const ITEMS: u64 = 5;

fn sorted(mut pids: [u32; 4]) -> [u32; 4] {
    pids.sort_unstable();
    pids
}

/// Traces the master and the workers that there are.
fn attach(master: u32, workers: &[u32], log: &str) -> Tracer {
    let pids = [&[master], workers].concat();
    let mut arguments = ["-v", "--json", "-o", log].map(str::to_owned).to_vec();
    arguments.extend(pids.iter().flat_map(|pid| ["-p".to_owned(), pid.to_string()]));
    let mut tracer = Tracer::record(&arguments);
    tracer.attached();
    tracer
}

/// Waits until a worker has begun and its probes are in place.
fn next_worker(target: &mut Target, tracer: &mut Tracer, workers: usize) -> u32 {
    let worker = target.tells(workers)[workers - 1].pid;
    tracer.note(&format!("process {worker} is followed"));
    worker
}

/// How many requests each worker has served.
fn served(folder: &Path) -> BTreeMap<u32, u64> {
    let files = fs::read_dir(folder).expect("list the counts").map(|entry| entry.expect("list the counts"));
    let size = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, entry.metadata().expect("the count is there").len()))
    };
    files.filter_map(size).collect()
}

fn merged(log: &str) -> Report {
    let output = tracer::run(["report", log, "--merge", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a report is JSON")
}

/// What asks for orders.
struct Load {
    port: String,
    /// Requests that were answered.
    completed: u64,
    runs: u64,
}

impl Load {
    /// Lets `wrk` ask for a second. When this returns, a worker has taken up each of its requests.
    fn run(&mut self) {
        let connections = CONNECTIONS.to_string();
        let url = format!("http://127.0.0.1:{}/orders/{ITEMS}", self.port);
        let mut wrk = Command::new("wrk");
        wrk.args(["--threads", "1", "--duration", "1s", "--connections", &connections, &url]);
        let output = wrk.stdin(Stdio::null()).output().expect("start wrk: run `cargo xtask setup`");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && !said.contains("Non-2xx"), "{said}");
        let count =
            said.lines().find_map(|line| line.split_once(" requests in ")?.0.trim().parse::<u64>().ok());
        self.completed += count.unwrap_or_else(|| panic!("wrk tells how many requests: {said}"));
        self.runs += 1;
        self.ask();
    }

    /// One more request: connections are taken up in their order, those that `wrk` has left before this one.
    fn ask(&mut self) {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{}", self.port)).expect("connect");
        let request = format!("GET /orders/{ITEMS} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("ask");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read the answer");
        assert!(answer.contains(" 200 OK") && answer.contains("\"total\":30"), "{answer}");
        self.completed += 1;
    }
}
