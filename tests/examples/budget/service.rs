//! A web service under load: what a request takes of its workers' processor time.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tests::{Python, Target, program, real_programs, scratch, tracer};

use crate::{Options, program::Turns};

/// What the start of a recording takes.
const SETTLE: Duration = Duration::from_millis(1500);

struct Service<'a> {
    folder: &'a Path,
    workers: Vec<u32>,
}

/// Turns with and without a tracer, as of other programs.
pub(crate) fn turns(python: Python, options: &Options) -> Turns {
    let folder = scratch();
    let mut command = python.command();
    command.env("PYTHONPATH", real_programs()).arg(program("web_service.py")).arg(folder.path());
    let mut target = Target::spawn(&mut command);
    let port = fs::read_to_string(folder.path().join("port")).expect("the service has a port");
    let workers = target.tells(2).iter().map(|worker| worker.pid).collect();
    let mut load = load(&port);
    let service = Service { folder: folder.path(), workers };
    let mut turns = Turns { costs: Vec::new(), reports: Vec::new() };
    let mut before = service.alone(options.seconds);
    for _ in 0..options.turns {
        let arguments = service.arguments(options);
        let recording = thread::spawn(move || {
            let output = tracer::run(arguments);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            serde_json::from_slice(&output.stdout).expect("a report is JSON")
        });
        let traced = service.request_ns(options.seconds);
        turns.reports.push(recording.join().expect("the recording ends"));
        let after = service.alone(options.seconds);
        turns.costs.push(traced / f64::midpoint(before, after) - 1.0);
        before = after;
    }
    load.kill().expect("end wrk");
    load.wait().expect("wait for wrk");
    target.terminate();
    turns
}

/// Requests without a pause.
fn load(port: &str) -> Child {
    let url = format!("http://127.0.0.1:{port}/orders/20");
    let mut wrk = Command::new("wrk");
    wrk.args(["--threads", "1", "--duration", "100h", "--connections", "4", &url]);
    let wrk = wrk.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    wrk.expect("start wrk: run `cargo xtask setup`")
}

impl Service<'_> {
    fn arguments(&self, options: &Options) -> Vec<String> {
        let length = Duration::from_secs(options.seconds) + 2 * SETTLE;
        let mut arguments = ["record", "--json", "--no-follow", "--duration"].map(str::to_owned).to_vec();
        arguments.push(format!("{}ms", length.as_millis()));
        arguments.extend(["--max-overhead".to_owned(), format!("{}%", options.share)]);
        arguments.extend(self.workers.iter().flat_map(|pid| ["-p".to_owned(), pid.to_string()]));
        arguments
    }

    fn alone(&self, seconds: u64) -> f64 {
        self.request_ns(seconds)
    }

    /// Processor time of a request, over so many seconds from a little later on.
    fn request_ns(&self, seconds: u64) -> f64 {
        thread::sleep(SETTLE);
        let (cpu_ns, requests) = (self.cpu_ns(), self.requests());
        thread::sleep(Duration::from_secs(seconds));
        (self.cpu_ns() - cpu_ns) as f64 / (self.requests() - requests) as f64
    }

    fn cpu_ns(&self) -> u64 {
        let of_worker = |pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("the worker runs");
            stat.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).expect("its time is a number")
        };
        self.workers.iter().map(of_worker).sum()
    }

    fn requests(&self) -> u64 {
        let served = |pid: &u32| fs::metadata(self.folder.join(pid.to_string())).map_or(0, |file| file.len());
        self.workers.iter().map(served).sum()
    }
}
