//! Bad input: one line that says what is wrong and what to do, and a status that says whose fault it is.

use std::{
    fs,
    process::{Command, Output},
};

use tests::{Python, Target, kernel, scratch, tracer};

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
