//! Many processes, threads and functions at once: every call is counted, and pytracer stays small.

use std::{fs, process::Command, thread};

use tests::{Python, Target, Tracer, copies::Copies, scratch};

/// What `width.py` has.
const PROCESSES: usize = 200;
const THREADS: usize = 5;
const FUNCTIONS: usize = 250;
const CALLS: usize = 3;

/// Most resident memory that pytracer may take.
const MOST_BYTES: u64 = 300_000_000;

/// The interpreter is a copy: nobody else on the machine runs it, so all its processes share their probes.
#[test]
fn two_hundred_processes_share_their_probes() {
    let folder = scratch();
    let interpreter = folder.path().join("python");
    fs::copy(Python::DEBIAN_3_11.image(), &interpreter).expect("copy the interpreter");
    let copies = Copies::of("width.py");
    let program = copies.program("width.py");
    let mut command = Command::new(&interpreter);
    let mut target = Target::spawn(command.env("PYTHONHOME", "/usr").arg(&program));

    let mut tracer = Tracer::record(&["--json", "--name", &program.display().to_string()]);
    tracer.note(&format!("attached to {PROCESSES} processes"));
    let pid = tracer.pid();
    let peak = thread::spawn(move || peak_bytes(pid));
    let known = target.work();
    let outcome = tracer.interrupt();
    target.end();

    let report = outcome.report();
    report.assert_lossless();
    assert_eq!(report.processes.len(), PROCESSES);
    assert_eq!(known.len(), PROCESSES);
    for fact in &known {
        assert_eq!(report.calls_in(fact.pid, &fact.function), fact.calls, "{fact:?}");
    }
    let steps: Vec<_> = report.functions.iter().filter(|row| row.function.starts_with("step_")).collect();
    assert_eq!(steps.len(), PROCESSES * FUNCTIONS);
    for step in steps {
        assert_eq!(step.calls, (THREADS * CALLS) as u64, "{step:?}");
    }
    let notes = report.account.notes.join("\n");
    assert!(notes.contains("had the same probes"), "{notes}");
    let peak = peak.join().expect("look at pytracer");
    assert!(peak < MOST_BYTES, "{peak} bytes");
}

/// The most resident memory that a process has had by its end.
fn peak_bytes(pid: u32) -> u64 {
    let mut peak = 0;
    while let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) {
        let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { break };
        let kilobytes = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB");
        peak = kilobytes * 1024;
        thread::sleep(std::time::Duration::from_millis(5));
    }
    peak
}
