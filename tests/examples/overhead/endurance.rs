//! A long run at full speed.

use std::{
    fs,
    time::{Duration, Instant},
};

use tests::{Python, Target, Tracer};

/// Traces the loop for some seconds and returns a row of the table.
pub(crate) fn run(python: Python, seconds: u64) -> String {
    eprintln!("CPython {}, {seconds} s at full speed", python.version());
    let mut target = Target::start(python, "busy.py", &["--size", "1000000000"]);
    let tracer = Tracer::attach(&[&target], &[]);
    target.go();
    let (begin, before) = (Instant::now(), processor_time(tracer.pid()));
    std::thread::sleep(Duration::from_secs(seconds));
    let (elapsed, used) = (begin.elapsed().as_secs_f64(), processor_time(tracer.pid()) - before);
    let report = tracer.report();
    target.kill();
    format!(
        "| {} | {} | {} | {:.0} % of one | {:.0} |",
        python.version(),
        report.calls("callee"),
        report.account.lost,
        100.0 * used / elapsed,
        report.account.events as f64 / elapsed,
    )
}

/// Seconds that a process has spent on processors.
fn processor_time(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("read the times of pytracer");
    let (_, fields) = stat.rsplit_once(')').expect("the name ends");
    let ticks: f64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / rustix::param::clock_ticks_per_second() as f64
}
