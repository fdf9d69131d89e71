//! Exports of calls over time, opened by what people open them with: calls, times and memory are those of the report.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tests::{portrait, report::Report, scratch, tracer, viewers};

/// Calls, with resumptions and those found open, and self time in nanoseconds, of functions with their places.
type Sums = BTreeMap<String, (u64, u64)>;

/// The whole, and a part that cuts calls at both ends.
const PARTS: [&[&str]; 2] = [&[], &["--time", "130ms..160ms"]];
/// Calls that the viewers are asked about beside all sums.
const HOSTILE: &str = "</script><b>x;\x1b[31m'\"&\n";

fn run(arguments: &[&str], part: &[&str]) -> Vec<u8> {
    let output = tracer::run([arguments, part].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn export(format: &str, part: &[&str], folder: &Path) -> PathBuf {
    let file = folder.join(format!("rec{}.{format}.json", part.len()));
    let recording = portrait().display().to_string();
    run(&["export", &recording, "--format", format, "-o", &file.display().to_string()], part);
    file
}

fn report(part: &[&str]) -> Report {
    let recording = portrait().display().to_string();
    serde_json::from_slice(&run(&["report", &recording, "--json"], part)).expect("a report is JSON")
}

fn label(name: &str, file: &str, line: u64) -> String {
    format!("{name} ({file}:{line})")
}

fn expected(report: &Report) -> Sums {
    let functions = report.functions.iter().filter(|row| row.cum_wall_ns > 0 || row.calls > 0);
    let sums = functions.map(|row| {
        let activations = row.calls + row.resumes + row.open_at_attach;
        (label(&row.function, &row.file, row.line), (activations, row.self_wall_ns))
    });
    sums.collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

#[test]
fn perfetto_reads_both_of_its_formats() {
    // Self time: what a slice took less what those took that lie directly in it.
    const SUMS: &str = "select name, place, count(*), sum(dur - inner_dur) from (\
        select s.id, s.name, s.dur, extract_arg(s.arg_set_id, 'PLACE') as place, \
        (select coalesce(sum(c.dur), 0) from slice c where c.parent_id = s.id) as inner_dur \
        from slice s where s.name <> 'recording') group by 1, 2";
    let counter = |what: &str| {
        format!(
            "select value from counter join counter_track t on t.id = track_id where t.name glob 'resident memory*' \
             order by ts {what}, counter.id {what} limit 1"
        )
    };
    for (format, place) in [("chrome", "args.function"), ("perfetto", "source.file_name")] {
        for part in PARTS {
            let folder = scratch();
            let file = export(format, part, folder.path());
            let report = report(part);
            let (sums, first, last) = (SUMS.replace("PLACE", place), counter("asc"), counter("desc"));
            let queries = [
                &*sums,
                &*first,
                &*last,
                "select name, value from stats where severity <> 'info' and value > 0",
                "select pid, name from process where pid > 0",
                "select count(*) from thread where name glob '* 2048?' or name glob '* 20457'",
                "select count(*) from slice where extract_arg(arg_set_id, 'debug.cut_at') is not null \
                 or extract_arg(arg_set_id, 'args.cut_at') is not null",
                "select count(*) from flow",
            ];
            let answers = viewers::perfetto(&file, &queries);
            let mut found: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
            for row in &answers[0] {
                found
                    .insert((text(&row[0]).into(), text(&row[1]).into()), (number(&row[2]), number(&row[3])));
            }
            let mut wanted: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
            for row in report.functions.iter().filter(|row| row.cum_wall_ns > 0) {
                let place = if format == "chrome" {
                    label(&row.function, &row.file, row.line)
                } else {
                    row.file.clone()
                };
                let sum = wanted.entry((row.function.clone(), place)).or_default();
                *sum = (sum.0 + row.calls + row.resumes + row.open_at_attach, sum.1 + row.self_wall_ns);
            }
            assert_eq!(found, wanted, "{format} {part:?}");
            let bytes = |at: usize| answers[at][0][0].as_f64().map(|bytes| bytes as i64);
            let process = &report.processes[0];
            assert_eq!((bytes(1), bytes(2)), (Some(process.rss_start_bytes), Some(process.rss_end_bytes)));
            assert_eq!(answers[3], Vec::<Vec<Value>>::new(), "{format}: it has nothing to complain of");
            assert_eq!(answers[4], [[Value::from(20457), process.command.clone().into()]]);
            assert_eq!(answers[5], [[3]], "{format}: threads have names");
            let (cut, flows) = (number(&answers[6][0][0]), number(&answers[7][0][0]));
            assert_eq!(cut > 0, !part.is_empty(), "{cut} calls are cut");
            assert!(flows > 0, "steps of coroutines are tied");
        }
    }
}

#[test]
fn perfetto_knows_the_time_of_day() {
    let folder = scratch();
    let file = export("perfetto", &[], folder.path());
    let queries = ["select to_realtime(min(ts)), min(ts) from slice where name = 'recording'"];
    let answers = viewers::perfetto(&file, &queries);
    let start_unix_ns = report(&[]).window.start_unix_ns as f64;
    assert_eq!(answers[0][0][0].as_f64(), Some(start_unix_ns));
}

#[test]
fn speedscope_reads_what_was_written() {
    for part in PARTS {
        let folder = scratch();
        let file = export("speedscope", part, folder.path());
        let saved = viewers::speedscope(&file, folder.path());
        let frames: Vec<String> = saved["shared"]["frames"]
            .as_array()
            .expect("frames")
            .iter()
            .map(|frame| label(text(&frame["name"]), text(&frame["file"]), number(&frame["line"])))
            .collect();
        let mut sums: Sums = frames.iter().map(|frame| (frame.clone(), (0, 0))).collect();
        for profile in saved["profiles"].as_array().expect("profiles") {
            assert_eq!(profile["unit"], "nanoseconds");
            let (mut open, mut now) = (Vec::new(), 0);
            for event in profile["events"].as_array().expect("events") {
                let (at, frame) = (number(&event["at"]), number(&event["frame"]) as usize);
                if let Some(&top) = open.last() {
                    let top: &String = &frames[top];
                    sums.get_mut(top).expect("a frame").1 += at - now;
                }
                now = at;
                if event["type"] == "O" {
                    sums.get_mut(&frames[frame]).expect("a frame").0 += 1;
                    open.push(frame);
                } else {
                    open.pop();
                }
            }
        }
        assert_eq!(sums, expected(&report(part)), "{part:?}");
        assert!(sums.keys().any(|frame| frame.starts_with(HOSTILE)) == part.is_empty());
    }
}

#[test]
fn firefox_profiler_reads_what_was_written() {
    for part in PARTS {
        let folder = scratch();
        let firefox = viewers::Firefox::load(&export("firefox", part, folder.path()));
        let (mut own, mut markers, mut threads) = (BTreeMap::new(), 0, 0);
        for thread in firefox.ask(&["thread", "list"])["threads"].as_array().expect("threads") {
            threads += 1;
            let of = ["--thread", text(&thread["threadHandle"])];
            let functions =
                firefox.ask(&[&["thread", "functions", "--include-idle", "--limit", "0"], &of[..]].concat());
            assert_eq!(functions["weightType"], "samples");
            for function in functions["functions"].as_array().expect("functions") {
                *own.entry(text(&function["name"]).to_owned()).or_default() +=
                    number(&function["selfSamples"]);
            }
            markers += number(&firefox.ask(&[&["thread", "markers"], &of[..]].concat())["totalMarkerCount"]);
        }
        let report = report(part);
        let sums = expected(&report);
        assert_eq!(threads, 3);
        assert_eq!(
            markers,
            sums.values().map(|sum| sum.0).sum::<u64>() + 1,
            "a marker a call, and one on the whole"
        );
        assert_eq!(own, sums.into_iter().map(|(name, (_, ns))| (name, ns)).collect());
        let about = firefox.ask(&["profile", "info"]);
        let process = &about["processes"][0];
        assert_eq!(process["name"], report.processes[0].command.clone().expect("a command"));
        assert_eq!(process["counters"][0]["category"], "Memory");
    }
}
