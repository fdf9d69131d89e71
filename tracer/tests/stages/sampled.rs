//! A recording of samples, from the events to the log and back: the report, the page, comparisons and exports of it come
//! to the same time, and all of them say that it is of samples.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tracer::analysis::measure::Measure;
use tracer::analysis::{Source, scope::Scope};
use tracer::diff::flame::{Side, Stacks};
use tracer::diff::{Column, Diff, Per};
use tracer::event::{Cause, Event, Function, FunctionId, Member, Origin, Sample, SampledStack};
use tracer::export::{Format, Options};
use tracer::filter::FunctionFilter;
use tracer::html;
use tracer::log::{LogKind, LogOptions, LogWriter};
use tracer::pipeline::{Ending, Pipeline, PipelineOptions, ProcessAbout, SamplingCost};
use tracer::report::diff::render;
use tracer::report::table::{Sort, TableOptions};
use tracer::report::{FunctionReport, NO_FRAME, Report};

const RATE: u32 = 100;
const PERIOD_NS: u64 = 10_000_000;
const START_NS: u64 = 1_000_000_000;
/// A wait that is longer than the weights of a format can be.
const LONG_NS: u64 = 5_000_000_000;
const SAMPLES: u64 = 3000;
const NAMES: [&str; 3] = ["main", "work", "</script><b>;"];

/// Time by function, nanoseconds.
type Times = BTreeMap<String, u64>;

/// Two threads of one process and one of another. A waiting thread is told of late, and so is a running one. In `heavy` of
/// ten samples of running threads the last function is on top.
fn record(dir: &Path, heavy: u64) -> Report {
    let options = PipelineOptions {
        window_start_ns: START_NS,
        start_unix_ns: 1_700_000_000_000_000_000,
        sample_rate: Some(RATE),
        ..PipelineOptions::default()
    };
    let log =
        LogOptions { kind: LogKind::Samples, arguments: vec!["record".into()], ..LogOptions::default() };
    let mut pipeline = Pipeline::new(options, LogWriter::create(dir, log).unwrap());
    for (process, pid, slot) in [(1, 100, 1), (1, 100, 2), (2, 200, 3)] {
        let command = Some(format!("python3 {pid}.py"));
        pipeline.process(process, pid, ProcessAbout { command, ..ProcessAbout::default() });
        pipeline.apply(&Event::RssBase { time_ns: START_NS, process, bytes: [0, 40_960, 0, 0] });
        let tid = pid + u32::from(slot) - 1;
        pipeline.apply(&Event::Thread { time_ns: START_NS, thread: slot, process, pid, tid });
    }
    for process in [1, 2] {
        for (line, name) in (1..).zip(NAMES) {
            let function = Function { name: name.into(), file: "m.py".into(), line };
            let id = process * 10 + line;
            pipeline.apply(&Event::Function { id, process, function, code: 0, code_flags: 0 });
        }
    }
    for number in 0..SAMPLES {
        let thread = 1 + (number % 3) as u16;
        let base = if thread == 3 { 20 } else { 10 };
        let time_ns = START_NS + number * PERIOD_NS / 3;
        let origin = [Origin::Python, Origin::Native, Origin::System][(number / 7 % 3) as usize];
        let top = if number * 7 % 10 < heavy { base + 3 } else { base + 2 };
        let stack: &[FunctionId] = if number % 50 == 0 { &[] } else { &[top, base + 1] };
        // Every now and then one comes later than its time says.
        let time_ns = time_ns.saturating_sub(if number % 11 == 0 { PERIOD_NS * 40 } else { 0 }).max(START_NS);
        apply(
            &mut pipeline,
            Sample { time_ns, thread, origin, samples: 1, weight_ns: None, stack: of(stack) },
        );
        if number % 100 == 0 {
            let waiting = Sample {
                time_ns: time_ns + LONG_NS,
                thread,
                origin: Origin::OffCpu,
                samples: 9,
                weight_ns: Some(if number == 300 { LONG_NS } else { 90_000_001 }),
                stack: of(&[base + 2, base + 1]),
            };
            apply(&mut pipeline, waiting);
            let memory = Sample {
                time_ns,
                thread,
                origin: Origin::Memory,
                samples: 1,
                weight_ns: None,
                stack: of(stack),
            };
            apply(&mut pipeline, memory);
            let delta_bytes = if number % 300 == 0 { -4096 } else { 8192 };
            let (process, cause) = (if thread == 3 { 2 } else { 1 }, Cause::Thread(thread));
            pipeline.apply(&Event::Rss { time_ns, process, cause, member: Member::Anon, delta_bytes });
        }
    }
    let sampling = Some(SamplingCost { taken: SAMPLES, cost_ns: SAMPLES * 2000 });
    pipeline.finish(&Ending { end_ns: START_NS + 20_000_000_000, sampling, ..Ending::default() });
    pipeline.report()
}

fn apply(pipeline: &mut Pipeline<LogWriter>, sample: Sample) {
    pipeline.apply(&Event::Sample(sample));
}

fn of(innermost_first: &[FunctionId]) -> SampledStack {
    SampledStack::Functions { functions: innermost_first.to_vec(), cut: false }
}

/// The whole, and parts of it.
fn parts() -> [Scope; 4] {
    let functions = FunctionFilter::new(&["work".into()], &[]).unwrap();
    [
        Scope::default(),
        Scope { time_ns: 2_000_000_000..4_000_000_000, ..Scope::default() },
        Scope { tids: vec![101], ..Scope::default() },
        Scope { functions, ..Scope::default() },
    ]
}

fn open(dir: &Path, scope: Scope) -> Source {
    Source::open(dir, scope).unwrap()
}

fn report(dir: &Path, scope: Scope) -> Report {
    open(dir, scope).summary(|_, _| {}).report
}

fn export(format: Format, options: Options, dir: &Path, scope: Scope) -> String {
    let mut out = Vec::new();
    format.write(&mut open(dir, scope), options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn json(format: Format, dir: &Path, scope: Scope) -> Value {
    serde_json::from_str(&export(format, Options::default(), dir, scope)).unwrap()
}

fn label(row: &FunctionReport) -> String {
    if row.is_function() {
        format!("{} ({}:{})", row.function, row.file, row.line)
    } else {
        row.function.clone()
    }
}

/// What each function took itself, over all processes.
fn reported(report: &Report, time: fn(&FunctionReport) -> u64) -> Times {
    let mut times = Times::new();
    for row in report.functions.iter().filter(|row| time(row) > 0) {
        *times.entry(label(row)).or_default() += time(row);
    }
    times
}

fn list<'a>(value: &'a Value, keys: &[&str]) -> &'a Vec<Value> {
    keys.iter().fold(value, |value, key| &value[key]).as_array().unwrap()
}

#[test]
fn the_log_says_what_the_live_report_said() {
    let dir = tempfile::tempdir().unwrap();
    let live = record(dir.path(), 3);
    let again = report(dir.path(), Scope::default());
    assert_eq!(again.functions, live.functions);
    let outside: Vec<_> = live.functions.iter().filter(|row| row.function == NO_FRAME).collect();
    assert_eq!(outside.len(), 2);
    assert!(outside.iter().all(|row| row.self_cpu_ns > 0 && row.self_rss_bytes != 0), "{outside:?}");
    let part = report(dir.path(), parts()[2].clone());
    assert_eq!(part.processes.iter().map(|process| process.pid).collect::<Vec<_>>(), [100, 200]);
    let of_thread = 1000 * PERIOD_NS;
    assert_eq!(part.functions.iter().map(|row| row.self_cpu_ns).sum::<u64>(), of_thread);
}

#[test]
fn stacks_hold_all_time_and_memory_once() {
    for scope in parts() {
        let dir = tempfile::tempdir().unwrap();
        record(dir.path(), 3);
        let report = report(dir.path(), scope.clone());
        let sum = |of: Measure| -> u64 {
            let text =
                export(Format::Collapsed, Options { of, ..Options::default() }, dir.path(), scope.clone());
            text.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
        };
        let own = |time: fn(&FunctionReport) -> u64| report.functions.iter().map(time).sum::<u64>();
        assert_eq!(sum(Measure::Wall), own(|row| row.self_wall_ns));
        assert_eq!(sum(Measure::Cpu), own(|row| row.self_cpu_ns));
        let rss: i64 = report.functions.iter().map(|row| row.self_rss_bytes).sum();
        assert_eq!(sum(Measure::RssGrew) as i64 - sum(Measure::RssShrank) as i64, rss);
        let callgrind = export(Format::Callgrind, Options::default(), dir.path(), scope.clone());
        let mut of_calls = false;
        let costs = callgrind.lines().filter_map(|line| {
            let is_cost = line.starts_with(|c: char| c.is_ascii_digit()) && !of_calls;
            of_calls = line.starts_with("calls=");
            is_cost.then(|| line.split(' ').nth(1).unwrap().parse::<u64>().unwrap())
        });
        assert_eq!(costs.sum::<u64>(), own(|row| row.self_wall_ns));
    }
}

/// What the stacks of a file of speedscope come to.
fn speedscope(file: &Value) -> Times {
    let frames: Vec<String> = list(file, &["shared", "frames"])
        .iter()
        .map(|frame| match frame["line"].as_u64() {
            Some(line) => {
                format!("{} ({}:{line})", frame["name"].as_str().unwrap(), frame["file"].as_str().unwrap())
            }
            None => frame["name"].as_str().unwrap().to_owned(),
        })
        .collect();
    let mut times = Times::new();
    for profile in list(file, &["profiles"]) {
        assert_eq!((&profile["type"], &profile["unit"]), (&"sampled".into(), &"nanoseconds".into()));
        assert!(profile["name"].as_str().unwrap().ends_with(", sampled at 100 Hz"), "{}", profile["name"]);
        let (samples, weights) = (list(profile, &["samples"]), list(profile, &["weights"]));
        assert_eq!(samples.len(), weights.len());
        let all: u64 = weights.iter().map(|weight| weight.as_u64().unwrap()).sum();
        assert_eq!((&profile["startValue"], &profile["endValue"]), (&0.into(), &all.into()));
        for (stack, weight) in samples.iter().zip(weights) {
            let top = stack.as_array().unwrap().last().unwrap().as_u64().unwrap() as usize;
            *times.entry(frames[top].clone()).or_default() += weight.as_u64().unwrap();
        }
    }
    times
}

#[test]
fn speedscope_has_the_time_of_the_report() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 3);
    for scope in parts() {
        let found = report(dir.path(), scope.clone());
        let of = |of| {
            let text =
                export(Format::Speedscope, Options { of, ..Options::default() }, dir.path(), scope.clone());
            speedscope(&serde_json::from_str(&text).unwrap())
        };
        assert_eq!(of(Measure::Wall), reported(&found, |row| row.self_wall_ns));
        assert_eq!(of(Measure::Cpu), reported(&found, |row| row.self_cpu_ns));
        assert_eq!(of(Measure::OffCpu), reported(&found, |row| row.self_wall_ns - row.self_cpu_ns));
    }
    let file = json(Format::Speedscope, dir.path(), Scope::default());
    assert_eq!(file["name"], "pytracer, sampled at 100 Hz, 2023-11-14T22:13:20Z");
    assert_eq!(file["pytracer"]["account"]["sampling"]["rate_hz"], RATE);
    let memory = Options { of: Measure::RssGrew, ..Options::default() };
    let error = Format::Speedscope.write(&mut open(dir.path(), Scope::default()), memory, &mut Vec::new());
    assert!(error.unwrap_err().to_string().ends_with("--of wall, cpu or off-cpu"));
}

#[test]
fn samples_are_in_the_order_of_time_however_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 3);
    let (samples, summary) = open(dir.path(), Scope::default()).samples_and_summary().unwrap();
    let mut all_ns = 0;
    for thread in 0..samples.threads().len() {
        let (mut last_ns, mut number, mut sums) = (0, 0, [0; 2]);
        let each: std::io::Result<()> = samples.each(thread, |sample| {
            assert!(sample.time_ns >= last_ns, "{sample:?} after {last_ns}");
            assert!(number > 0 || Some(sample.time_ns) == samples.first_ns(thread));
            last_ns = sample.time_ns;
            number += 1;
            sums[usize::from(sample.origin == Origin::OffCpu)] += sample.weight_ns;
            Ok(())
        });
        each.unwrap();
        assert_eq!((number, sums), (samples.len(thread), samples.sums(thread)));
        all_ns += sums.iter().sum::<u64>();
    }
    assert_eq!(all_ns, summary.tree.total().wall_ns);
}

#[test]
fn firefox_has_the_time_of_the_report() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 3);
    for scope in parts() {
        let profile = json(Format::Firefox, dir.path(), scope.clone());
        let report = report(dir.path(), scope);
        let categories = list(&profile, &["meta", "categories"]);
        let (mut times, mut idle_ns, mut ran_us) = (Times::new(), 0, 0);
        for thread in list(&profile, &["threads"]) {
            let at = |table: &str, column: &str, row: &Value| {
                thread[table][column][row.as_u64().unwrap() as usize].clone()
            };
            let samples = &thread["samples"];
            for (stack, weight) in list(samples, &["stack"]).iter().zip(list(samples, &["weight"])) {
                let weight = weight.as_u64().unwrap();
                if stack.is_null() {
                    assert_eq!(weight, 0);
                    continue;
                }
                let frame = at("stackTable", "frame", stack);
                let name = at("funcTable", "name", &at("frameTable", "func", &frame));
                let name = thread["stringArray"][name.as_u64().unwrap() as usize].as_str().unwrap();
                *times.entry(name.to_owned()).or_default() += weight;
                let category = at("frameTable", "category", &frame).as_u64().unwrap() as usize;
                idle_ns += if categories[category]["name"] == "Idle" { weight } else { 0 };
            }
            ran_us += list(samples, &["threadCPUDelta"]).iter().map(|us| us.as_u64().unwrap()).sum::<u64>();
        }
        assert_eq!(times, reported(&report, |row| row.self_wall_ns));
        let cpu_ns: u64 = report.functions.iter().map(|row| row.self_cpu_ns).sum();
        assert_eq!(ran_us * 1000, cpu_ns, "a period is whole microseconds");
        assert_eq!(idle_ns, report.functions.iter().map(|row| row.self_wall_ns).sum::<u64>() - cpu_ns);
        let counts = |counter: &Value| -> f64 {
            list(counter, &["samples", "count"]).iter().map(|count| count.as_f64().unwrap()).sum()
        };
        let ends: f64 = list(&profile, &["counters"]).iter().map(counts).sum();
        assert_eq!(ends as i64, report.processes.iter().map(|process| process.rss_end_bytes).sum::<i64>());
    }
    let profile = json(Format::Firefox, dir.path(), Scope::default());
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(profile["meta"]["product"], format!("pytracer {version}, sampled at 100 Hz"));
    assert_eq!(profile["meta"]["interval"], 10.0);
}

#[test]
fn what_has_calls_only_is_refused_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 3);
    for format in [Format::Chrome, Format::Perfetto, Format::Text, Format::Pstats] {
        let error =
            format.write(&mut open(dir.path(), Scope::default()), Options::default(), &mut Vec::new());
        assert!(error.unwrap_err().to_string().contains("export as "), "{format:?}");
    }
}

#[test]
fn the_page_says_what_the_report_says() {
    for scope in parts() {
        let dir = tempfile::tempdir().unwrap();
        record(dir.path(), 3);
        let mut page = Vec::new();
        html::write(&mut open(dir.path(), scope.clone()), &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert!(
            page.contains("sampled at 100 Hz, recorded by pytracer ") && !page.contains("id=\"threads\"")
        );
        let (_, data) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
        let data: Value = serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap();
        let rows = report(dir.path(), scope).merged().functions;
        let sum = |of: fn(&FunctionReport) -> u64| rows.iter().map(of).sum::<u64>();
        let total = &data["table"]["total"];
        assert_eq!(
            (&total[1][0], &total[2][0]),
            (&sum(|row| row.self_wall_ns).into(), &sum(|row| row.self_cpu_ns).into())
        );
        assert_eq!(total[5], sum(|row| row.sampled.unwrap().samples));
        for (line, row) in list(&data, &["table", "rows"]).iter().zip(&rows) {
            let of = row.sampled.unwrap();
            let shares = [of.cpu_share, of.cpu_share_low, of.cpu_share_high];
            for (found, share) in line[7].as_array().unwrap().iter().zip(shares) {
                assert!((found.as_f64().unwrap() - share).abs() < 1e-12, "{line}");
            }
            assert_eq!(line[8], serde_json::json!([of.self_python_ns, of.self_native_ns, of.self_system_ns]));
        }
        let root = &data["flame"]["paths"][0][3];
        assert_eq!((&root[0], &root[1]), (&total[1][0], &total[2][0]));
        let rss: i64 = rows.iter().map(|row| row.self_rss_bytes).sum();
        assert_eq!(root[2].as_i64().unwrap() - root[3].as_i64().unwrap(), rss);
        assert_eq!((&data["is_sampled"], &data["lanes"]), (&true.into(), &Value::Null));
        assert_eq!(list(&data, &["memory", "growths"]).len(), 0);
    }
}

#[test]
fn comparing_tells_change_from_chance() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    record(one.path(), 3);
    record(other.path(), 6);
    let reports = [&one, &other].map(|dir| report(dir.path(), Scope::default()));
    let [before, after] = reports.clone();
    let diff = Diff::new(before, after, Per::Total, Column::Share);
    let share = |diff: &Diff, name: &str| {
        diff.functions.iter().find(|row| row.function == name).unwrap().share.unwrap()
    };
    let of = share(&diff, NAMES[2]);
    assert!(of.significant && (of.change - 0.3).abs() < 0.02, "{of:?}");
    assert!(of.change_low > 0.25 && of.change_high < 0.35, "{of:?}");
    assert!(!share(&diff, NO_FRAME).significant);
    assert!(diff.functions[..2].iter().all(|row| NAMES[1..].contains(&&*row.function)), "these changed most");
    let json: Value = serde_json::from_str(&diff.to_json().unwrap()).unwrap();
    let row = &json["functions"][0];
    for of in ["before", "after", "change"] {
        assert_eq!((&row[of]["calls"], &row[of]["page_faults"]), (&Value::Null, &Value::Null));
        assert!(row[of]["self_wall_ns"].is_number() && row[of]["cpu_share"].is_null());
    }
    assert_eq!(row["cpu_share"]["significant"], true);
    assert!(row["cpu_share"]["before"]["low"].is_number());

    let options = TableOptions { sort: Sort::Own, limit: 0, width: Some(80), colour: false };
    let text = render(&diff, Column::Share, &options);
    assert!(
        text.contains("cpu share") && !text.contains("calls  ") && text.contains("both are of samples"),
        "{text}"
    );
    let [before, after] = reports;
    let same = Diff::new(before.clone(), before.clone(), Per::Total, Column::Share);
    assert!(same.functions.iter().all(|row| !row.has_changed() && !row.share.unwrap().significant));

    let mut stacks = Stacks::new(Measure::Wall);
    for (side, dir) in [(Side::Before, &one), (Side::After, &other)] {
        let mut source = open(dir.path(), Scope::default());
        let summary = source.summary(|_, _| {});
        stacks.add(side, &source, &summary);
    }
    let own = |report: &Report| report.functions.iter().map(|row| row.self_wall_ns).sum::<u64>();
    assert_eq!(stacks.totals(), [own(&before), own(&after)]);
    let lines = stacks.lines(0);
    let drawn = |at: usize| -> u64 {
        lines.iter().map(|line| line.rsplit(' ').nth(at).unwrap().parse::<u64>().unwrap()).sum()
    };
    assert_eq!([drawn(1), drawn(0)], [own(&before), own(&after)], "also what is outside of all functions");
    let mut svg = Vec::new();
    stacks.write([0, 0], &[], &mut svg).unwrap();
    assert!(String::from_utf8(svg).unwrap().contains("of samples; as wide as after"));
}

#[test]
fn a_small_change_may_be_chance() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    record(one.path(), 3);
    record(other.path(), 3);
    // The same program, some of it left out: shares differ a little.
    let before = report(one.path(), Scope { time_ns: 0..1_000_000_000, ..Scope::default() });
    let after = report(other.path(), Scope { time_ns: 1_000_000_000..1_500_000_000, ..Scope::default() });
    let diff = Diff::new(before, after, Per::Total, Column::Share);
    assert!(diff.functions.iter().all(|row| !row.share.unwrap().significant), "{diff:?}");
    let options = TableOptions { sort: Sort::Own, limit: 0, width: None, colour: false };
    let text = render(&diff, Column::Share, &options);
    assert!(text.contains("  ~"), "{text}");
}
