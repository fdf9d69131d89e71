//! What `pytracer ps` says of processes, held against what is known of them.

use std::os::unix::process::CommandExt as _;

use serde_json::Value;
use tests::{Python, Target, cgroup::Cgroup, on_all_pythons, program, tracer, wait};

on_all_pythons!(known_by_what_it_is, explained);

/// The entry of a process in the list.
fn listed(pid: u32) -> Value {
    wait::until_some("ps lists the process", || {
        let output = tracer::run(["ps", "--json"]);
        let list: Value = serde_json::from_slice(&output.stdout).expect("ps prints JSON");
        list["processes"].as_array().expect("a list").iter().find(|row| row["pid"] == pid).cloned()
    })
}

fn known_by_what_it_is(python: Python) {
    let target = Target::start(python, "calls.py", &[]);
    let row = listed(target.pid());
    assert_eq!(row["script"], program("calls.py").display().to_string(), "{row}");
    assert_eq!((&row["uid"], &row["user"]), (&0.into(), &"root".into()), "{row}");
    assert_eq!((&row["effective_uid"], &row["effective_user"]), (&0.into(), &"root".into()), "{row}");
    assert_eq!(row["version_from"], "Py_Version in the file", "{row}");
    assert_eq!((&row["build"]["library"], &row["build"]["free_threaded"]), (&false.into(), &false.into()));
    assert_eq!(row["build"]["dtrace"], true, "{row}");
    assert_eq!(row["build"]["function_probes"], python != Python::SID_3_14, "{row}");
    assert_eq!(row["build"]["jit"], python != Python::DEBIAN_3_11, "{row}");
    assert!(row["inner_pids"].as_array().is_some_and(Vec::is_empty), "{row}");
    assert!(row["call_cost_ns"].as_u64().is_some_and(|cost| cost > 0), "{row}");
    assert!(row["container"].is_null() && row["reason"].is_null(), "{row}");
    target.end();
}

fn explained(python: Python) {
    let target = Target::start(python, "calls.py", &[]);
    let pid = target.pid().to_string();
    let output = tracer::run(["ps", "--explain", &pid, "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).expect("an explanation is JSON");
    let text = String::from_utf8(tracer::run(["ps", "--explain", &pid]).stdout).expect("text");
    let sites = json["sites"].as_array().expect("a list of sites");
    assert_eq!(json["process"]["sites"], sites.len(), "{json}");
    for meaning in ["Start", "End", "Raise", "CodeFreed"] {
        assert!(sites.iter().any(|site| site["meaning"] == meaning), "no {meaning} in {json}");
    }
    for site in sites {
        assert!(text.contains(site["address"].as_str().expect("an address")), "{site} is not in {text}");
    }
    target.end();
}

/// With the compiler on calls are missed, and `ps` says so.
#[test]
fn a_jit_that_is_on() {
    let mut command = Python::SID_3_15.command();
    let target = Target::spawn(command.arg(program("calls.py")).env("PYTHON_JIT", "1"));
    let row = listed(target.pid());
    assert_eq!((&row["jit"], &row["exact"]), (&"on".into(), &false.into()), "{row}");
    assert!(row["limits"].to_string().contains("JIT"), "{row}");
    target.end();
}

#[test]
fn another_user() {
    let mut command = Python::DEBIAN_3_11.command();
    let target = Target::spawn(command.arg(program("calls.py")).uid(65534).gid(65534));
    let row = listed(target.pid());
    assert_eq!((&row["uid"], &row["effective_user"]), (&65534.into(), &"nobody".into()), "{row}");
    target.end();
}

#[test]
fn a_container_and_a_unit() {
    let id = format!("{:08x}{}", std::process::id(), "ab".repeat(28));
    let scope = Cgroup::new(&format!("/pytracer-test-ps/docker-{id}.scope"));
    let service = Cgroup::new("/pytracer-test-ps/web.service");
    let contained = Target::start(Python::DEBIAN_3_11, "calls.py", &[]);
    let served = Target::start(Python::DEBIAN_3_11, "calls.py", &[]);
    scope.add(contained.pid());
    service.add(served.pid());
    let row = listed(contained.pid());
    assert_eq!(
        (&row["container"]["id"], &row["container"]["engine"]),
        (&id.into(), &"docker".into()),
        "{row}"
    );
    assert_eq!((&row["cgroup"], &row["unit"]), (&scope.path().into(), &Value::Null), "{row}");
    let row = listed(served.pid());
    assert_eq!((&row["cgroup"], &row["unit"]), (&service.path().into(), &"web.service".into()), "{row}");
    assert!(row["container"].is_null(), "{row}");
    contained.end();
    served.end();
}
