//! What a recording of samples is shown in: speedscope, Firefox Profiler, the page, a comparison. Each is opened by what
//! people open it with, has the time of the report, and says that it is of samples.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tests::{Browser, Python, Target, Tracer, packages, scratch, tracer, viewers, workspace};

/// Self time of functions with their places, nanoseconds.
type Times = BTreeMap<String, u64>;

/// Records a program that knows its shares, with these options.
fn record(folder: &Path, name: &str, options: &[&str]) -> PathBuf {
    let log = folder.join(name);
    let mut target = Target::start(Python::DEBIAN_3_11, "shares.py", &["--size", "1000"]);
    let output = ["-o", log.to_str().expect("a path")];
    let tracer = Tracer::attach(&[&target], &[options, &output].concat());
    target.work();
    let outcome = tracer.interrupt();
    target.end();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    log
}

fn sampled(folder: &Path, name: &str) -> PathBuf {
    record(folder, name, &["--source", "sample", "--rate", "997"])
}

fn run<'a>(arguments: impl IntoIterator<Item = &'a str>) -> String {
    let output = tracer::run(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn export(log: &Path, format: &str, of: &str) -> PathBuf {
    let file = log.with_extension(format!("{of}.{format}.json"));
    let [log, out] = [log, &file].map(|path| path.to_str().expect("a path"));
    run(["export", log, "--format", format, "--of", of, "-o", out]);
    file
}

fn report(log: &Path) -> Value {
    serde_json::from_str(&run(["report", log.to_str().expect("a path"), "--json"])).expect("a report")
}

/// What the report says of self time.
fn reported(report: &Value, key: &str) -> Times {
    let mut times = Times::new();
    for row in report["functions"].as_array().expect("functions") {
        let (ns, text) = (number(&row[key]), |key: &str| text(&row[key]));
        let place = if number(&row["line"]) == 0 {
            String::new()
        } else {
            format!(" ({}:{})", text("file"), row["line"])
        };
        if ns > 0 {
            *times.entry(format!("{}{place}", text("function"))).or_default() += ns;
        }
    }
    times
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

#[test]
fn speedscope_reads_the_time_of_the_report() {
    let folder = scratch();
    let log = sampled(folder.path(), "rec");
    let report = report(&log);
    for (of, key) in [("wall", "self_wall_ns"), ("cpu", "self_cpu_ns")] {
        let saved = viewers::speedscope(&export(&log, "speedscope", of), folder.path());
        let frames = saved["shared"]["frames"].as_array().expect("frames");
        let frames: Vec<String> = frames
            .iter()
            .map(|frame| match frame.get("line") {
                Some(line) => format!("{} ({}:{line})", text(&frame["name"]), text(&frame["file"])),
                None => text(&frame["name"]).to_owned(),
            })
            .collect();
        let mut times = Times::new();
        for profile in saved["profiles"].as_array().expect("profiles") {
            assert_eq!(profile["unit"], "nanoseconds");
            assert!(text(&profile["name"]).ends_with(", sampled at 997 Hz"), "{}", profile["name"]);
            let (mut open, mut now): (Vec<usize>, u64) = (Vec::new(), 0);
            for event in profile["events"].as_array().expect("events") {
                let (at, frame) = (number(&event["at"]), number(&event["frame"]) as usize);
                if let Some(&top) = open.last() {
                    *times.entry(frames[top].clone()).or_default() += at - now;
                }
                now = at;
                if event["type"] == "O" {
                    open.push(frame);
                } else {
                    open.pop();
                }
            }
        }
        times.retain(|_, ns| *ns > 0);
        assert_eq!(times, reported(&report, key), "{of}");
    }
}

#[test]
fn firefox_profiler_reads_the_time_of_the_report() {
    let folder = scratch();
    let log = sampled(folder.path(), "rec");
    let file = export(&log, "firefox", "wall");
    let firefox = viewers::Firefox::load(&file);
    let functions = |of: &[&str]| {
        let mut times = Times::new();
        for thread in firefox.ask(&["thread", "list"])["threads"].as_array().expect("threads") {
            let thread = ["--thread", text(&thread["threadHandle"])];
            let asked = [&["thread", "functions", "--limit", "0"], of, &thread].concat();
            for function in firefox.ask(&asked)["functions"].as_array().expect("functions") {
                *times.entry(text(&function["name"]).to_owned()).or_default() +=
                    number(&function["selfSamples"]);
            }
        }
        times.retain(|_, ns| *ns > 0);
        times
    };
    let report = report(&log);
    assert_eq!(functions(&["--include-idle"]), reported(&report, "self_wall_ns"));
    assert_eq!(functions(&[]), reported(&report, "self_cpu_ns"), "what waits is idle");
    let about = firefox.ask(&["profile", "info"]);
    assert_eq!(about["processes"][0]["counters"][0]["category"], "Memory");
    let profile: Value =
        serde_json::from_slice(&std::fs::read(&file).expect("read the export")).expect("it is JSON");
    assert!(text(&profile["meta"]["product"]).ends_with(", sampled at 997 Hz"));
}

#[test]
fn pprof_reads_the_time_of_the_report() {
    let folder = scratch();
    let log = sampled(folder.path(), "rec");
    let file = export(&log, "pprof", "wall");
    let program = workspace().join("target/pprof/pprof");
    assert!(program.exists(), "no pprof: run `cargo xtask setup`");
    let raw = packages::output(Command::new(&program).arg("-raw").arg(&file));
    let mut lines = raw.lines().skip_while(|line| *line != "Samples:").skip(1);
    let names: Vec<_> = lines.next().expect("a line of headings").split_whitespace().collect();
    assert_eq!(names[3..], ["cpu/nanoseconds", "wall/nanoseconds[dflt]"]);
    let mut sums = [0_u64; 5];
    for (values, _) in lines.take_while(|line| *line != "Locations").filter_map(|line| line.split_once(": "))
    {
        let values = values.split_whitespace().map(str::parse::<u64>);
        sums.iter_mut().zip(values.flatten()).for_each(|(sum, value)| *sum += value);
    }
    let report = report(&log);
    let own = |key| reported(&report, key).values().sum::<u64>();
    assert_eq!(sums[3..], [own("self_cpu_ns"), own("self_wall_ns")], "also outside of all functions");
}

#[test]
fn the_page_shows_the_report() {
    let folder = scratch();
    let log = sampled(folder.path(), "rec");
    let page = folder.path().join("page.html");
    let path = log.to_str().expect("a path");
    run(["report", path, "--html", page.to_str().expect("a path")]);
    let mut browser = Browser::start();
    browser.open(&page);
    let texts = |browser: &mut Browser, expression: &str| -> Vec<String> {
        serde_json::from_value(browser.value(expression)).expect("a list of texts")
    };
    let heads = texts(
        &mut browser,
        "[...document.querySelectorAll('#table thead th')].map(head => head.textContent)",
    );
    assert!(heads.iter().any(|head| head == "cpu share") && !heads.iter().any(|head| head == "calls"));
    let table = run(["report", path, "--limit", "0"]);
    let adds = table.lines().find(|line| line.starts_with("adds ")).expect("it ran");
    let row = "[...document.querySelectorAll('#table tbody tr')].map(row => [...row.cells].map(cell => cell.textContent)) \
               .find(row => row[0].startsWith('adds/'))";
    let row = texts(&mut browser, row);
    let cell = |head: &str| row[heads.iter().position(|known| known == head).expect("a column")].clone();
    let wanted: Vec<_> = adds.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).skip(2).collect();
    let columns = [
        "samples",
        "cpu share",
        "95 %",
        "self",
        "cum",
        "self cpu",
        "cum cpu",
        "native",
        "system",
        "self rss",
        "cum rss",
    ];
    assert_eq!(columns.map(cell).to_vec(), wanted, "as the report prints them: {adds}");
    for drawn in ["#time-graph .box", "#memory-graph .box", "#timeline path.line", "#account li"] {
        assert_ne!(browser.value(&format!("document.querySelectorAll('{drawn}').length")), 0, "{drawn}");
    }
    assert_eq!(browser.value("document.querySelectorAll('#lanes, #timeline .mark').length"), 0);
    let subtitle = browser.value("document.querySelector('header p').textContent");
    assert!(text(&subtitle).contains("sampled at 997 Hz"), "{subtitle}");
    browser.press("/");
    browser.type_text("adds_in_thread");
    assert_eq!(browser.value("document.getElementById('found').textContent"), "1 found");
    assert_eq!(browser.complaints(), [""; 0]);
    assert_eq!(browser.requests(), [format!("file://{}", page.display())]);
}

#[test]
fn two_samplings_are_compared_and_no_sampling_with_a_trace() {
    let folder = scratch();
    let (one, other) = (sampled(folder.path(), "one"), sampled(folder.path(), "other"));
    let traced = record(folder.path(), "traced", &[]);
    let [one, other, traced] = [&one, &other, &traced].map(|path| path.to_str().expect("a path"));
    let svg = folder.path().join("changed.svg");
    let diff = run(["diff", one, other, "--json", "--flamegraph", svg.to_str().expect("a path")]);
    let diff: Value = serde_json::from_str(&diff).expect("it is JSON");
    let rows = diff["functions"].as_array().expect("a list");
    let adds = rows.iter().find(|row| row["function"] == "adds").expect("it ran");
    assert!(adds["after"]["calls"].is_null() && number(&adds["after"]["self_cpu_ns"]) > 0, "{adds}");
    let share = &adds["cpu_share"];
    let [low, change, high] =
        ["change_low", "change", "change_high"].map(|key| share[key].as_f64().expect("a number"));
    assert!(low < change && change < high, "{share}");
    assert_eq!(share["significant"], low > 0.0 || high < 0.0);
    let same = run(["diff", one, one, "--json", "--time", "..700ms"]);
    assert!(!same.contains("\"significant\":true"), "nothing changes from a recording to itself");
    let table = run(["diff", one, other]);
    assert!(table.contains("cpu share before") && table.contains("both are of samples"), "{table}");

    let mut browser = Browser::start();
    browser.open(&svg);
    let titles =
        browser.value("[...document.querySelectorAll('title')].map(title => title.textContent).join('\\n')");
    assert!(text(&titles).contains("adds_in_thread ("), "{titles}");
    let svg = std::fs::read_to_string(&svg).expect("read the drawing");
    assert!(svg.contains("of samples; as wide as after"));
    assert_eq!(browser.complaints(), [""; 0]);

    for (arguments, advice) in [
        (&[one, traced][..], "record both with --source sample, or both without"),
        (&[traced, other], "record both with --source sample, or both without"),
        (&[one, other, "--sort", "calls"], "--sort share"),
        (&[one, other, "--per", "call"], "--per total or second"),
        (&[traced, traced, "--sort", "share"], "--sort cpu"),
        (&[one, other, "--of", "calls", "--flamegraph", "-"], "--of wall"),
    ] {
        let output = tracer::run([&["diff"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(advice), "{arguments:?}: {said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
    }
}
