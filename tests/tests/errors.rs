//! Bad input: one line that says what is wrong and what to do, and a status that says whose fault it is.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Output},
};

use tempfile::TempDir;
use tests::{Python, Target, Tracer, kernel, program, scratch, tracer};

/// Exit 1, nothing on stdout, one line on stderr that holds the words.
fn assert_one_line(output: &Output, words: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    assert!(stderr.contains(words), "{words:?} is not in {stderr}");
    assert!(output.stdout.is_empty());
}

fn record(arguments: &[&str]) -> Output {
    kernel::need_privilege();
    tracer::run([&["record", "--json", "--duration", "1s"], arguments].concat())
}

#[test]
fn a_pid_that_does_not_exist() {
    // The largest PID that Linux gives is below this one.
    assert_one_line(&record(&["-p", "4194305"]), "4194305");
}

#[test]
fn a_process_that_is_not_python() {
    let mut sleep = Command::new("sleep").arg("1000").spawn().expect("start sleep");
    let pid = sleep.id().to_string();
    let output = record(&["-p", &pid]);
    sleep.kill().expect("kill sleep");
    sleep.wait().expect("wait for sleep");
    assert_one_line(&output, &pid);
    assert!(String::from_utf8_lossy(&output.stderr).to_lowercase().contains("python"));
}

#[test]
fn a_log_folder_that_is_not_empty() {
    let target = Target::start(Python::DEBIAN_3_11, "calls.py", &[]);
    let folder = scratch();
    fs::write(folder.path().join("mine.txt"), "precious").expect("write a file");
    let path = folder.path().display().to_string();
    assert_one_line(&record(&["-p", &target.pid().to_string(), "-o", &path]), &path);
    assert_eq!(fs::read_to_string(folder.path().join("mine.txt")).expect("it is still there"), "precious");
    assert_eq!(fs::read_dir(folder.path()).expect("list the folder").count(), 1);
}

#[test]
fn a_log_folder_that_can_not_be_written() {
    let target = Target::start(Python::DEBIAN_3_11, "calls.py", &[]);
    assert_one_line(&record(&["-p", &target.pid().to_string(), "-o", "/proc/log"]), "/proc/log");
}

#[test]
fn a_glob_that_is_none() {
    let target = Target::start(Python::DEBIAN_3_11, "calls.py", &[]);
    for option in ["--function", "--file"] {
        assert_one_line(&record(&["-p", &target.pid().to_string(), option, "a[b"]), "a[b");
    }
}

#[test]
fn a_command_that_does_not_exist() {
    assert_one_line(&record(&["--", "/does/not/exist"]), "/does/not/exist");
}

#[test]
fn a_log_that_is_none() {
    let folder = scratch();
    let path = folder.path().display().to_string();
    assert_one_line(&tracer::run(["report", &path]), &path);
    assert_one_line(&tracer::run(["report", "/does/not/exist"]), "/does/not/exist");
    fs::write(folder.path().join("calls"), "not a table").expect("write a file");
    assert_one_line(&tracer::run(["report", &path]), &path);
}

#[test]
fn a_wrong_command_line() {
    let wrong: [&[&str]; 5] = [
        &["record"],
        &["record", "-p", "x"],
        &["record", "--nonsense"],
        &["nonsense"],
        &["record", "-p", "1", "--all"],
    ];
    for arguments in wrong {
        let output = tracer::run(arguments);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// As an ordinary user: says what is missing.
#[test]
fn without_privilege() {
    kernel::need_privilege();
    let target = Target::start(Python::DEBIAN_3_11, "calls.py", &[]);
    let (_folder, binary) = for_anyone();
    let pid = target.pid().to_string();
    let output =
        nobody().arg("--no-new-privs").arg(binary).args(["record", "--duration", "1s", "-p", &pid]).output();
    assert_one_line(&output.expect("start setpriv"), "CAP_BPF");
}

/// As an ordinary user with the two capabilities that are needed, on a process of the same user.
#[test]
fn with_two_capabilities() {
    kernel::need_privilege();
    let (folder, binary) = for_anyone();
    for name in ["calls.py", "protocol.py", "truth.py"] {
        fs::copy(program(name), folder.path().join(name))
            .expect("copy a program to where anyone can read it");
    }
    let mut target =
        Target::spawn(nobody().args(Python::DEBIAN_3_11.words()).arg(folder.path().join("calls.py")));
    let pid = target.pid().to_string();
    let mut tracer = Tracer::spawn(
        nobody()
            .args(["--inh-caps=-all,+bpf,+perfmon", "--ambient-caps=-all,+bpf,+perfmon"])
            .arg(binary)
            .args(["record", "--json", "-p", &pid]),
    );
    tracer.attached();
    target.work();
    let report = tracer.report();
    report.assert_lossless();
    assert_eq!((report.calls("Cat.speak"), report.calls("Dog.speak")), (300, 600));
    target.end();
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
