//! `pytracer diff`: what it draws is shown by a browser, and what it prints for scripts can be read by them.

use serde_json::Value;
use tests::{Browser, portrait, scratch, tracer};

#[test]
fn a_browser_shows_the_flame_graph() {
    let folder = scratch();
    let svg = folder.path().join("changed.svg");
    let recording = portrait().display().to_string();
    let arguments =
        ["diff", &recording, &recording, "--of", "calls", "--flamegraph", &svg.display().to_string()];
    let output = tracer::run(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(" functions: 0 changed, 0 of them new and 0 gone\n"), "{text}");

    let nothing = folder.path().join("nothing.svg");
    let path = nothing.display().to_string();
    let output = tracer::run(["diff", &recording, &recording, "--function", "no", "--flamegraph", &path]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && error.contains("nothing to draw"), "{error}");
    assert!(!nothing.exists(), "no file without a drawing");

    let mut browser = Browser::start();
    browser.open(&svg);
    let titles = browser.value("[...document.querySelectorAll('title')].map(title => title.textContent)");
    let titles: Vec<&str> = titles.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(titles.iter().any(|title| title.starts_with("fib (")), "{titles:?}");
    assert!(titles.iter().any(|title| title.starts_with("</script><b>x:\\x1b[31m'\"&\\x0a (")), "{titles:?}");
    assert_eq!(browser.complaints(), [""; 0]);
    assert_eq!(browser.requests(), [format!("file://{}", svg.display())]);
}

#[test]
fn the_json_form_can_be_read() {
    let recording = portrait().display().to_string();
    let output = tracer::run(["diff", &recording, &recording, "--json", "--time", "..150ms"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let diff: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!((&diff["schema"], &diff["before"]["window"]["duration_ns"]), (&1.into(), &150_000_000.into()));
    let functions = diff["functions"].as_array().expect("a list");
    assert!(functions.iter().all(|row| row["change"]["calls"] == 0));
    let fib = functions.iter().find(|row| row["function"] == "fib").expect("it ran by then");
    assert!(fib["before"] == fib["after"] && fib["before"]["calls"].as_u64() > Some(0), "{fib}");
    let missing = tracer::run(["diff", &recording, "/nowhere"]);
    let error = String::from_utf8_lossy(&missing.stderr);
    assert!(missing.status.code() == Some(1) && error.contains("can't read /nowhere"), "{error}");
}
