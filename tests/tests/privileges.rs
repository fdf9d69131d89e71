//! With how few privileges pytracer does its work, and that it gives up the others.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use serde_json::Value;
use tempfile::TempDir;
use tests::{Python, Target, Tracer, copies::Copies, kernel, scratch, tracer, wait};

/// Numbers of `include/uapi/linux/capability.h`.
const SYS_PTRACE: u64 = 1 << 19;
const SYS_ADMIN: u64 = 1 << 21;
const PERFMON: u64 = 1 << 38;
const BPF: u64 = 1 << 39;
/// Those over files, `CAP_SYS_RESOURCE` and `CAP_CHECKPOINT_RESTORE`.
const OTHERS: u64 = 1 << 1 | 1 << 2 | 1 << 24 | 1 << 40;

/// Threads that only compute; the second one only where there is a log.
const COMPUTING: [&str; 2] = ["pytracer-engine", "pytracer-log"];

/// The ways to trace, and what each keeps once it has begun.
const MODES: [(&[&str], u64); 4] = [
    (&[], BPF | PERFMON | SYS_PTRACE | OTHERS),
    (&["--aggregate", "stream"], BPF | PERFMON | SYS_PTRACE | OTHERS),
    (&["--source", "sample"], BPF | SYS_PTRACE | OTHERS),
    (&["--max-overhead", "50%"], BPF | PERFMON | SYS_PTRACE | OTHERS),
];

/// As an ordinary user: says what is missing.
#[test]
fn without_privilege() {
    kernel::need_privilege();
    let target = Target::start(Python::DEBIAN_3_11, "calls.py", &[]);
    let (_folder, binary) = for_anyone();
    let pid = target.pid().to_string();
    let output =
        nobody().arg("--no-new-privs").arg(binary).args(["record", "--duration", "1s", "-p", &pid]).output();
    let output = output.expect("start setpriv");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.trim_end().lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains("CAP_BPF") && output.stdout.is_empty(), "{stderr}");
}

/// As an ordinary user with no more capabilities than are needed, on a process of the same user.
#[test]
fn with_few_capabilities() {
    for (mode, _) in MODES {
        let copies = Copies::of("calls.py");
        let mut command = nobody();
        command.args(Python::DEBIAN_3_11.words()).arg(copies.program("calls.py"));
        with_capabilities(&mut command, kernel::capabilities(), mode);
    }
}

/// With one more also on a process of another user.
#[test]
fn with_one_more_capability() {
    for (mode, _) in MODES {
        let mut command = Python::DEBIAN_3_11.command();
        command.arg(tests::program("calls.py"));
        with_capabilities(&mut command, &format!("{},+sys_ptrace", kernel::capabilities()), mode);
    }
}

/// Traces a program as an ordinary user with some capabilities.
fn with_capabilities(program: &mut Command, capabilities: &str, mode: &[&str]) {
    kernel::need_privilege();
    let (_folder, binary) = for_anyone();
    let mut target = Target::spawn(program);
    let mut command = nobody();
    command.args([format!("--inh-caps={capabilities}"), format!("--ambient-caps={capabilities}")]);
    command.arg(binary).args(["record", "--json", "--untraced", "0s", "-p", &target.pid().to_string()]);
    let mut tracer = Tracer::spawn(command.args(mode));
    tracer.attached();
    target.work();
    let outcome = tracer.interrupt();
    target.end();
    assert!(outcome.status.success(), "{mode:?}: {}", outcome.stderr);
    let report: Value = serde_json::from_str(&outcome.stdout).expect("a report is JSON");
    assert_eq!(report["account"]["lost"], 0, "{mode:?}: {report}");
    if report["functions"][0]["calls"].is_u64() {
        let report = outcome.report();
        assert_eq!((report.calls("Cat.speak"), report.calls("Dog.speak")), (300, 600), "{mode:?}");
    }
}

/// As root: each thread has what it needs at most, and nothing that it executes could have more.
#[test]
fn the_rest_is_given_up() {
    let target = Target::start(Python::DEBIAN_3_11, "calls.py", &[]);
    for (mode, kept) in MODES {
        let folder = scratch();
        let log = folder.path().join("log").display().to_string();
        let logs = !mode.contains(&"--max-overhead");
        let log: &[&str] = if logs { &["-o", &log] } else { &[] };
        let tracer = Tracer::attach(&[&target], &[mode, log].concat());
        // It is the first thing that these do.
        let computing: &[&str] = if logs { &COMPUTING } else { &COMPUTING[..1] };
        let threads = wait::until_some("those that only compute have given everything up", || {
            let threads = threads(tracer.pid());
            let has_nothing = |name: &&str| {
                threads.get(*name).is_some_and(|of| of.number("CapPrm") == 0 && of.number("NoNewPrivs") == 1)
            };
            computing.iter().all(has_nothing).then_some(threads)
        });
        assert_eq!(threads.contains_key("pytracer-log"), logs, "{threads:?}");
        for (name, status) in threads {
            let most = if COMPUTING.contains(&name.as_str()) { 0 } else { kept };
            assert_eq!(status.number("CapPrm") & !most, 0, "{mode:?}: {name}: {status:?}");
            assert_eq!(status.number("CapInh") | status.number("CapAmb"), 0, "{mode:?}: {name}: {status:?}");
            assert_eq!(status.number("NoNewPrivs"), 1, "{mode:?}: {name}: {status:?}");
        }
        assert!(tracer.interrupt().status.success());
    }
    target.end();
}

/// A command is not pytracer: it has what the user has.
#[test]
fn a_command_keeps_what_it_has() {
    kernel::need_privilege();
    let own = Status::of(&format!("/proc/{}/status", std::process::id()));
    let mut words = vec!["--json".to_owned(), "--".to_owned()];
    words.extend(Python::DEBIAN_3_11.words());
    let folder = scratch();
    let copy = folder.path().join("status").display().to_string();
    words.extend(
        ["-c", "import shutil, sys; shutil.copy('/proc/self/status', sys.argv[1])", &copy].map(str::to_owned),
    );
    assert!(Tracer::record(&words).finish().status.success());
    let status = Status::of(&copy);
    for key in ["CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd", "NoNewPrivs"] {
        assert_eq!(status.number(key), own.number(key), "{key}");
    }
    assert!(status.number("CapEff") & SYS_ADMIN != 0, "it is root's");
}

/// The kernel's word for what pytracer asked of it: nothing that writes to, stops or signals another process.
#[test]
fn the_target_is_only_read() {
    const CALLS: &str = "process_vm_writev,ptrace,process_madvise,kill,tkill,tgkill,pidfd_send_signal,pidfd_getfd,\
                         rt_sigqueueinfo,open,openat,openat2,process_vm_readv";
    kernel::need_privilege();
    for (mode, _) in MODES {
        let folder = scratch();
        let log = folder.path().join("calls");
        let mut target = Target::start(Python::DEBIAN_3_11, "silent.py", &[]);
        let mut command = Command::new("strace");
        command.args([
            "--follow-forks",
            "--quiet=all",
            "--signal=none",
            "-e",
            &format!("trace={CALLS}"),
            "-o",
        ]);
        command.arg(&log).arg(tracer::binary()).args([
            "record",
            "--json",
            "--untraced",
            "0s",
            "--duration",
            "1s",
        ]);
        let tracer = Tracer::spawn(command.args(["-p", &target.pid().to_string()]).args(mode));
        target.go();
        assert!(tracer.finish().status.success());
        let calls = fs::read_to_string(&log).expect("what strace saw");
        // Arguments are in the line where a call begins.
        let name = |line: &str| {
            let (_, call) = line.split_once(' ')?;
            (!call.trim_start().starts_with("<...")).then(|| call.trim_start().to_owned())
        };
        let own =
            |call: &String| ["open(", "openat(", "process_vm_readv("].iter().any(|own| call.starts_with(own));
        let (own, others): (Vec<_>, Vec<_>) = calls.lines().filter_map(name).partition(own);
        assert_eq!(others, [""; 0], "{mode:?}");
        let of_processes = own.iter().filter(|call| call.contains("\"/proc/")).collect::<Vec<_>>();
        assert!(
            of_processes.iter().any(|call| call.contains(&format!("/proc/{}/", target.pid()))),
            "it is seen"
        );
        let writes = |call: &&&String| call.contains("O_WRONLY") || call.contains("O_RDWR");
        let writes: Vec<_> =
            of_processes.iter().filter(writes).filter(|call| !call.contains("oom_score_adj")).collect();
        assert!(writes.is_empty(), "{mode:?}: {writes:?}");
        target.kill();
    }
}

/// What `/proc` says of a thread.
#[derive(Debug)]
struct Status(BTreeMap<String, String>);

impl Status {
    fn of(path: &str) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        Self(lines.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect())
    }

    /// A hexadecimal number.
    fn number(&self, key: &str) -> u64 {
        u64::from_str_radix(&self.0[key], 16).expect("a number")
    }
}

/// The threads of a process, by name; of several with the same the last.
fn threads(pid: u32) -> BTreeMap<String, Status> {
    let folder = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let statuses = folder.map(|entry| {
        let status = entry.expect("a thread").path().join("status");
        Status::of(&status.display().to_string())
    });
    statuses.map(|status| (status.0["Name"].clone(), status)).collect()
}

/// A command that runs its arguments as an ordinary user.
fn nobody() -> Command {
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    setpriv
}

/// A folder that anyone can read, and in it a pytracer that anyone can run.
fn for_anyone() -> (TempDir, PathBuf) {
    let folder = scratch();
    let binary = folder.path().join("pytracer");
    fs::copy(tracer::binary(), &binary).expect("copy pytracer");
    for path in [folder.path(), &binary] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("open it to all");
    }
    (folder, binary)
}
