//! pytracer itself, as its users run it.

use std::{
    ffi::OsStr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    kernel,
    lines::Lines,
    program::{Known, Target},
    report::Report,
    wait, workspace,
};

/// A `pytracer record` that is running.
#[derive(Debug)]
pub struct Tracer {
    child: Child,
    stdout: Option<Lines>,
    stderr: Option<Lines>,
}

/// How a recording ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit status.
    pub status: ExitStatus,
    /// What it printed, meant to be JSON.
    pub stdout: String,
    /// Its progress and notes.
    pub stderr: String,
}

/// The binary under test: `$PYTRACER`, or the workspace's release build.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("PYTRACER")
        .map_or_else(|| workspace().join("target/release/pytracer"), PathBuf::from);
    assert!(path.exists(), "no {}: run `cargo xtask build`", path.display());
    path
}

/// A command of pytracer, run to its end.
pub fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(binary()).args(arguments).stdin(Stdio::null()).output().expect("run pytracer")
}

impl Tracer {
    /// Attaches to the targets, and returns when all probes are in place.
    pub fn attach(targets: &[&Target], arguments: &[&str]) -> Self {
        // Samples from before would only take time.
        let mut all = ["--json", "--untraced", "0s"].map(str::to_owned).to_vec();
        for target in targets {
            all.extend(["-p".to_owned(), target.pid().to_string()]);
        }
        all.extend(arguments.iter().map(ToString::to_string));
        let mut tracer = Self::record(&all);
        tracer.attached();
        tracer
    }

    /// Starts a recording, and returns at once.
    pub fn record<S: AsRef<OsStr>>(arguments: &[S]) -> Self {
        Self::spawn(Command::new(binary()).arg("record").args(arguments))
    }

    /// Starts a recording by a command that becomes pytracer, and returns at once.
    pub fn spawn(command: &mut Command) -> Self {
        kernel::need_privilege();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start pytracer");
        let stdout = child.stdout.take().map(Lines::of);
        let stderr = child.stderr.take().map(Lines::of);
        Self { child, stdout, stderr }
    }

    /// Its PID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until all probes are in place.
    pub fn attached(&mut self) {
        self.note("attached");
    }

    /// Waits for a line on stderr that holds the words, and returns it.
    pub fn note(&mut self, words: &str) -> String {
        let stderr = self.stderr.as_mut().expect("it has not been finished");
        stderr.until(words, |line| line.contains(words))
    }

    /// Ends it as Ctrl-C does, and returns how that went.
    pub fn interrupt(self) -> Outcome {
        self.signal(Signal::INT);
        self.finish()
    }

    /// Ends it as Ctrl-C does; it must have a report and a good status.
    pub fn report(self) -> Report {
        self.interrupt().report()
    }

    /// Traces one whole work of a program, of which nothing may be lost; what the program knows of it, and the report.
    pub fn work_of(mut target: Target, arguments: &[&str]) -> (Vec<Known>, Report) {
        let tracer = Self::attach(&[&target], arguments);
        let known = target.work();
        let report = tracer.report();
        target.end();
        report.assert_lossless();
        (known, report)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        crate::signal(self.pid(), signal);
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Outcome {
        // The streams first: a full pipe would keep it from ending.
        let stderr = self.stderr.take().expect("it is finished once").rest().join("\n");
        let stdout = self.stdout.take().expect("it is finished once").rest().join("\n");
        let status = wait::until_some("pytracer ends", || self.child.try_wait().expect("wait for pytracer"));
        Outcome { status, stdout, stderr }
    }

    /// Ends it with a signal that it can't answer.
    pub fn kill(mut self) {
        self.child.kill().expect("kill pytracer");
        self.child.wait().expect("wait for pytracer");
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        if thread::panicking() {
            // By then one whose streams have ended is over as well.
            thread::sleep(Duration::from_secs(1));
            match self.child.try_wait() {
                Ok(Some(status)) => eprintln!("pytracer ended with {status}"),
                _ => eprintln!("pytracer runs"),
            }
        }
        // It may have ended already: then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Outcome {
    /// The report of a recording that ended well.
    pub fn report(&self) -> Report {
        assert!(self.status.success(), "pytracer ended with {}: {}", self.status, self.stderr);
        self.any_report()
    }

    /// The report, whatever the status.
    pub fn any_report(&self) -> Report {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("no report ({error}) in {:?}; stderr: {}", self.stdout, self.stderr)
        })
    }
}
