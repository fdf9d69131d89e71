//! What happens to a traced process and its files: pytracer reports what there was, and goes on where there is more.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;
use tests::{Python, Target, Tracer, kernel::Holdings, on_pythons, program, scratch, tracer, wait};

on_pythons!([crashes, becomes_itself_again_and_again, two_tracers]
    cpython_3_11_debian: DEBIAN_3_11,
    cpython_3_14_sid: SID_3_14,
);

/// By a fault inside of a traced function: its core is its own, and the recording ends by itself.
fn crashes(python: Python) {
    for mode in [&["--aggregate", "kernel"][..], &["--aggregate", "stream"]] {
        let mut target = Target::start(python, "crashes.py", &[]);
        let tracer = Tracer::attach(&[&target], mode);
        let holdings = Holdings::of(tracer.pid());
        target.go();
        let report = tracer.finish().report();
        report.assert_lossless();
        assert_eq!((report.calls("fine"), report.calls("fault")), (1000, 7), "{mode:?}");
        wait::until("it is gone", || !target.lives());
        wait::until("nothing is left in the kernel", || holdings.left().is_empty());
    }
}

/// Each time its probes are put in place anew; no index, slot or probe is left of the times before.
fn becomes_itself_again_and_again(python: Python) {
    const TIMES: u64 = 30;
    let mut target = Target::start(python, "execs_often.py", &["--size", &TIMES.to_string()]);
    let tracer = Tracer::attach(&[&target], &[]);
    let open = |tracer: &Tracer| fs::read_dir(format!("/proc/{}/fd", tracer.pid())).expect("it runs").count();
    let before = open(&tracer);
    target.work();
    wait::until("what was open before is closed", || open(&tracer) <= before + 4);
    let report = tracer.report();
    target.end();
    report.assert_lossless();
    // What it does until its probes are there again is missing.
    let calls = report.calls("step");
    assert!((1000..=1000 * (TIMES + 1)).contains(&calls), "{calls}");
}

/// Neither disturbs the other, whichever ends first.
fn two_tracers(python: Python) {
    let mut target = Target::start(python, "calls.py", &["--rounds", "3"]);
    let first = Tracer::attach(&[&target], &[]);
    target.work();
    let second = Tracer::attach(&[&target], &["--aggregate", "stream"]);
    target.work();
    let first = first.report();
    target.work();
    let second = second.report();
    target.end();
    for report in [&first, &second] {
        report.assert_lossless();
        assert_eq!((report.calls("Cat.speak"), report.calls("Dog.speak")), (600, 1200));
    }
}

/// A program under a copy of its interpreter.
struct Copied {
    target: Target,
    interpreter: PathBuf,
    _folder: TempDir,
}

impl Copied {
    fn start() -> Self {
        let folder = scratch();
        let interpreter = folder.path().join("python3.11");
        fs::copy(Python::DEBIAN_3_11.image(), &interpreter).expect("copy the interpreter");
        let mut command = Command::new(&interpreter);
        let target = Target::spawn(command.arg(program("calls.py")).args(["--rounds", "2"]));
        Self { target, interpreter, _folder: folder }
    }

    /// Two rounds, something being done to the file before or between; all calls are counted.
    fn traced(mut self, early: bool, change: fn(&Path)) {
        if early {
            change(&self.interpreter);
        }
        let tracer = Tracer::attach(&[&self.target], &[]);
        self.target.work();
        if !early {
            change(&self.interpreter);
        }
        self.target.work();
        let report = tracer.report();
        self.target.end();
        report.assert_lossless();
        assert_eq!((report.calls("Cat.speak"), report.calls("Dog.speak")), (600, 1200), "early: {early}");
    }
}

/// As a package manager replaces it, by a file that is another program.
#[test]
fn its_interpreter_is_replaced() {
    for early in [true, false] {
        Copied::start().traced(early, |interpreter| {
            let beside = interpreter.with_extension("new");
            fs::copy("/bin/true", &beside).expect("copy another program");
            fs::rename(beside, interpreter).expect("put it in the place of the interpreter");
        });
    }
}

#[test]
fn its_interpreter_is_deleted() {
    for early in [true, false] {
        Copied::start()
            .traced(early, |interpreter| fs::remove_file(interpreter).expect("delete the interpreter"));
    }
}

/// The kernel does not let a file be written to that is being executed.
#[test]
fn its_interpreter_can_not_be_rewritten() {
    let copied = Copied::start();
    let error =
        fs::OpenOptions::new().write(true).open(&copied.interpreter).expect_err("it is being executed");
    assert_eq!(error.kind(), std::io::ErrorKind::ExecutableFileBusy);
}

/// pytracer is no Python, nor is what it is started by here.
#[test]
fn pytracer_itself() {
    let target = Target::start(Python::DEBIAN_3_11, "calls.py", &[]);
    let tracer = Tracer::attach(&[&target], &[]);
    let pid = tracer.pid().to_string();
    let output = tracer::run(["record", "-p", &pid]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains(&format!("process {pid}")) && stderr.contains("does not run Python"), "{stderr}");
    assert!(tracer.interrupt().status.success());
    target.end();
}

/// A Python that starts pytracer on itself, waits for its report, and goes on.
#[test]
fn its_own_parent() {
    const CODE: &str = "import os, subprocess, sys\n\
        def step(n): return n\n\
        tracer = subprocess.Popen([sys.argv[1], 'record', '--json', '--untraced', '0s', '-p', str(os.getpid())],\n\
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)\n\
        while 'attached' not in tracer.stderr.readline(): pass\n\
        for n in range(1000): step(n)\n\
        tracer.send_signal(2)\n\
        report, _ = tracer.communicate()\n\
        sys.stdout.write(report)\n";
    tests::kernel::need_privilege();
    let mut command = Python::DEBIAN_3_11.command();
    let output = command.args(["-c", CODE]).arg(tracer::binary()).stdin(Stdio::null()).output();
    let output = output.expect("start Python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: tests::report::Report = serde_json::from_slice(&output.stdout).expect("a report is JSON");
    report.assert_lossless();
    assert_eq!(report.calls("step"), 1000);
}
