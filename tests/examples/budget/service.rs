//! A web service under load: what a request takes of its workers' processor time.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tests::{Python, Target, program, real_programs, scratch};

use crate::{Options, program::Turns};

/// Long enough for many requests and some windows.
const INTERVAL: Duration = Duration::from_millis(250);

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
    let targets: Vec<_> = service.workers.iter().flat_map(|pid| ["-p".to_owned(), pid.to_string()]).collect();
    let targets = [vec!["--no-follow".to_owned()], targets].concat();
    let turns = Turns::take(options, &targets, || service.requests_ns(options.seconds));
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
    /// Processor time of a request, in each interval of so many seconds.
    fn requests_ns(&self, seconds: u64) -> Vec<f64> {
        let mut before = (self.cpu_ns(), self.requests());
        let interval = |_| {
            thread::sleep(INTERVAL);
            let now = (self.cpu_ns(), self.requests());
            let took = (now.0 - before.0) as f64 / (now.1 - before.1) as f64;
            before = now;
            took
        };
        (0..Duration::from_secs(seconds).div_duration_f64(INTERVAL) as u32).map(interval).collect()
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
