//! The interpreters themselves, before anything is traced: a failure here is one of the set-up.

use tests::{Python, Target, kernel, on_all_pythons, scratch, truth};

on_all_pythons!(keeps_its_pid, sees_the_workspace_and_tmp);

fn keeps_its_pid(python: Python) {
    kernel::need_privilege();
    let mut target = Target::start(python, "busy.py", &["--size", "10"]);
    let link = std::fs::read_link(format!("/proc/{}/exe", target.pid())).expect("read the link");
    assert!(link.to_string_lossy().ends_with(&format!("python{}", python.version())), "{}", link.display());
    target.work();
    target.end();
}

fn sees_the_workspace_and_tmp(python: Python) {
    kernel::need_privilege();
    assert!(!truth::of(python, "calls.py", &[]).is_empty());
    assert!(scratch().path().starts_with("/tmp"));
}
