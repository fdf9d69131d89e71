//! Commands that are traced from their first function on, however they come to be a Python process.

use std::{fs, os::unix::fs::PermissionsExt as _};

use tests::{Python, Tracer, on_every_exact_build, scratch, tracer};

on_every_exact_build!(traced_from_the_first_function_on);

const CALLS: u64 = 1234;

fn code() -> String {
    format!("def wanted(): pass\nfor _ in range({CALLS}): wanted()")
}

/// Behind a shell; an interpreter that is a library is in the process some time after its exec.
fn traced_from_the_first_function_on(python: Python) {
    let mut words = ["--json", "--", "/bin/sh", "-c", "exec \"$@\"", "sh"].map(str::to_owned).to_vec();
    words.extend(python.words());
    words.extend(["-c".to_owned(), code()]);
    let report = Tracer::record(&words).finish().report();
    assert_eq!(report.function("wanted").calls, CALLS);
    assert_eq!((report.account.open_at_attach, report.account.open_at_detach), (0, 0));
    // What the interpreter itself runs before any program.
    let first = report
        .functions
        .iter()
        .find(|row| row.file == "<frozen importlib._bootstrap>" && row.function == "_install");
    assert_eq!(first.map(|row| row.calls), Some(1));
}

/// A program that names the library, never has it, and makes more system calls than are waited for.
#[test]
fn a_library_that_does_not_come() {
    let folder = scratch();
    let shell = folder.path().join("shell");
    let mut bytes = fs::read("/bin/sh").expect("read it");
    bytes.extend(b"libpython3.so");
    fs::write(&shell, bytes).expect("write it");
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o700)).expect("make it a program");
    let code = "i=0; while [ $i -lt 3000 ]; do umask > /dev/null; i=$((i + 1)); done; exit 7";
    let output = tracer::run(["record", "--", &shell.display().to_string(), "-c", code]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("ended with status 7 and never became a Python process"), "{said}");
}
