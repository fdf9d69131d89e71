//! What one would write with bpftrace: calls, total and own time per function, with a stack per thread.
//!
//! It gets the sites from pytracer's plan, without which it could not count calls on 3.11 at all, and tells functions
//! apart by address, which is cheaper than by name. It repairs nothing.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread::JoinHandle,
};

use rustix::process::{Pid, Signal, kill_process};
use tests::{python::in_root, workspace};
use tracer::python::plan::{Meaning, Plan, ProbeSite};
use tracer_common::site::Register;

/// A script that is running; it is killed with its value.
pub(crate) struct Bpftrace {
    child: Child,
    sums: JoinHandle<Vec<String>>,
}

impl Bpftrace {
    /// Starts the script and waits until its probes are in place.
    pub(crate) fn attach(plan: &Plan, interpreter: &Path, pid: u32) -> Self {
        let root = in_root(&workspace().join("target/bpftrace"));
        let mut child = Command::new(&root[0])
            .args(&root[1..])
            .args([
                "bpftrace",
                "--unsafe",
                "-B",
                "line",
                "-p",
                &pid.to_string(),
                "-e",
                &script(plan, interpreter, pid),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // It warns of every address, whatever it is told.
            .stderr(Stdio::null())
            .spawn()
            .expect("start bpftrace");
        let stdout = child.stdout.take().expect("it is a pipe");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        assert!(lines.any(|line| line == "ready"), "bpftrace did not attach");
        // It prints its sums at the end: without a reader it would not end.
        let sums = std::thread::spawn(move || lines.collect());
        Self { child, sums }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it print its sums: how often the function was called that was called most often.
    pub(crate) fn end(mut self) -> u64 {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a PID fits");
        kill_process(pid, Signal::INT).expect("end bpftrace");
        self.child.wait().expect("wait for bpftrace");
        let sums = self.sums.join().expect("read what bpftrace prints");
        let counts = sums.iter().filter(|line| line.starts_with("@calls["));
        counts.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).max().unwrap_or(0)
    }
}

/// `BEGIN` runs before the other probes are attached, so the first tick of a clock says that they are.
fn script(plan: &Plan, interpreter: &Path, pid: u32) -> String {
    let mut script = String::from("interval:ms:200 /!@ready/ { @ready = 1; printf(\"ready\\n\"); }\n");
    for site in &plan.sites {
        if site.meaning == Meaning::Start {
            let (place, register) = (place(interpreter, pid, site), name(site.frame));
            let code = plan.layout.frame_code;
            let _ = writeln!(
                script,
                "{place} {{ $d = @depth[tid] + 1; @depth[tid] = $d; @code[tid, $d] = *(uint64 *)(reg(\"{register}\") + {code}); \
                 @inner[tid, $d] = (uint64)0; @start[tid, $d] = nsecs; }}"
            );
        }
    }
    let ends = plan.sites.iter().filter(|site| matches!(site.meaning, Meaning::End | Meaning::Yield));
    for place in ends.map(|site| place(interpreter, pid, site)).collect::<BTreeSet<_>>() {
        let _ = writeln!(
            script,
            "{place} {{ $d = @depth[tid]; if ($d > 0) {{ $t = nsecs - @start[tid, $d]; $c = @code[tid, $d]; \
             @calls[$c] = count(); @total[$c] = sum($t); @own[$c] = sum($t - @inner[tid, $d]); \
             @inner[tid, $d - 1] = @inner[tid, $d - 1] + $t; @depth[tid] = $d - 1; }} }}"
        );
    }
    script
}

/// A site behind a semaphore has to be named, for bpftrace to raise the semaphore. Of the others it wants the offset
/// in the file: only addresses inside of exported functions would be taken as such.
fn place(interpreter: &Path, pid: u32, site: &ProbeSite) -> String {
    if site.semaphore_offset.is_some() {
        return format!("usdt:/proc/{pid}/exe:python:function__return");
    }
    let program = fs::read_link(format!("/proc/{pid}/exe")).expect("it runs");
    // As the process has it: bpftrace has a root of its own.
    let path =
        if program == interpreter { "exe".to_owned() } else { format!("root{}", interpreter.display()) };
    format!("uprobe:/proc/{pid}/{path}:{:#x}", site.file_offset)
}

fn name(register: Register) -> &'static str {
    const NAMES: [&str; 16] = [
        "ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
    ];
    NAMES[register as usize]
}
