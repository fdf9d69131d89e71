//! The page: what its script is given says what the report says, is bounded, and can hold any name.

use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;
use tracer::analysis::tree::PathSums;
use tracer::analysis::{Source, scope::Scope};
use tracer::event::{Event, FrameEvent, Function};
use tracer::html;
use tracer::log::{LogOptions, LogWriter};
use tracer::pipeline::{Ending, Pipeline, PipelineOptions};
use tracer::report::{FunctionReport, Thinning};

use super::simulate::{Run, config, kinds, programs};

fn portrait() -> Source {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/portrait");
    Source::open(&dir, Scope::default()).unwrap()
}

fn page(source: &mut Source) -> String {
    let mut page = Vec::new();
    html::write(source, &mut page).unwrap();
    String::from_utf8(page).unwrap()
}

/// What the script reads.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn sum(of: impl Iterator<Item = u64>) -> Value {
    of.sum::<u64>().into()
}

#[test]
fn it_says_what_the_report_says() {
    let mut source = portrait();
    let mut calls = 0;
    let summary = source.summary(|_, _| calls += 1);
    let rows = &summary.report.functions;
    let data = data(&page(&mut source));

    let total = &data["table"]["total"];
    let of = |value: fn(&FunctionReport) -> u64| sum(rows.iter().map(value));
    assert_eq!((&total[5], &total[6]), (&of(|row| row.calls), &of(|row| row.resumes)));
    assert_eq!((&total[1][0], &total[2][0]), (&of(|row| row.self_wall_ns), &of(|row| row.self_cpu_ns)));
    assert_eq!(total[3][0], rows.iter().map(|row| row.self_rss_bytes).sum::<i64>());
    assert_eq!((list(&data["table"]["rows"]).len(), &data["table"]["left_out"]), (rows.len(), &0.into()));

    let whole = &data["flame"]["paths"][0];
    let weight =
        |value: fn(&PathSums) -> u64| summary.tree.calls().map(|(.., sums)| value(sums)).sum::<u64>();
    let uncharged: i64 = rows.iter().filter(|row| !row.is_function()).map(|row| row.self_rss_bytes).sum();
    let expected = [
        weight(|path| path.sums.own.wall_ns),
        weight(|path| path.sums.own.cpu_ns()),
        weight(|path| path.grew_bytes) + u64::try_from(uncharged).unwrap(),
        weight(|path| path.shrank_bytes),
    ];
    assert!(expected[2] as i64 - expected[3] as i64 == total[3][0]);
    assert_eq!(list(&whole[3]), expected);
    assert_eq!((list(&data["lanes"]["calls"]).len(), &data["lanes"]["left_out"]), (calls, &0.into()));
    assert_eq!(list(&data["lanes"]["threads"]).len(), 3);

    let process = &summary.report.processes[0];
    let curve = list(&data["memory"]["processes"][0][1]);
    assert_eq!(curve[0], serde_json::json!([0, process.rss_start_bytes]));
    assert_eq!(curve[curve.len() - 1][1], process.rss_end_bytes);
    assert_eq!(curve.iter().map(|point| point[1].as_i64().unwrap()).max(), Some(process.rss_peak_bytes));
    let changes = list(&data["memory"]["kinds"]).iter().filter(|kind| kind[0] != "swapped out");
    let change: i64 = changes.map(|kind| list(&kind[1]).last().unwrap()[1].as_i64().unwrap()).sum();
    assert_eq!(change, process.rss_end_bytes - process.rss_start_bytes);
    let growths: Vec<i64> =
        list(&data["memory"]["growths"]).iter().map(|growth| growth["bytes"].as_i64().unwrap()).collect();
    assert!(growths.len() == 12 && growths.is_sorted_by(|a, b| a >= b), "{growths:?}");
    assert_eq!(growths.iter().filter(|&&bytes| bytes == 512 << 10).count(), 4, "of give_back: {growths:?}");
}

proptest! {
    #![proptest_config(config(30))]

    #[test]
    fn it_adds_up_whatever_was_recorded(ops in programs(), kind in kinds()) {
        let dir = tempfile::tempdir().unwrap();
        let run = Run::new(&ops, kind);
        let mut pipeline = Pipeline::new(run.options(), LogWriter::create(dir.path(), LogOptions::default()).unwrap());
        run.play(&mut pipeline, |_, _| {});
        let report = pipeline.report();
        drop(pipeline);
        let data = data(&page(&mut Source::open(dir.path(), Scope::default()).unwrap()));
        let own = sum(report.functions.iter().map(|row| row.self_wall_ns));
        prop_assert_eq!(&data["table"]["total"][1][0], &own);
        let root = &data["flame"]["paths"][0][3];
        prop_assert_eq!(&root[0], &own);
        let rss: i64 = report.functions.iter().map(|row| row.self_rss_bytes).sum();
        prop_assert_eq!(root[2].as_i64().unwrap() - root[3].as_i64().unwrap(), rss);
        let ends = list(&data["memory"]["processes"]).iter().map(|process| {
            (process[0].as_u64().unwrap(), list(&process[1]).last().unwrap()[1].as_i64().unwrap())
        });
        for (pid, end) in ends {
            let process = report.processes.iter().find(|process| u64::from(process.pid) == pid).unwrap();
            prop_assert_eq!(end, process.rss_end_bytes);
        }
    }
}

#[test]
fn a_name_that_is_html_is_text() {
    let page = page(&mut portrait());
    assert!(page.contains("\\u003c/script\\u003e\\u003cb\\u003ex;\\\\x1b[31m'\\\"\\u0026\\\\x0a"));
    assert!(!page.contains("<b>x") && !page.contains('\x1b'));
    assert_eq!(page.matches("</script>").count(), 2, "the data's and the script's own");
    let nonce = page.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(nonce.len() == 32 && page.contains(&format!("<script nonce=\"{nonce}\">")), "{nonce}");
    assert!(page.contains("default-src 'none'"));
}

/// A log of this many functions, each called once from one and once from a thread of its own.
fn large(dir: &Path, functions: u32, thinning: Option<Thinning>) -> Source {
    let options = LogOptions { thinning, arguments: vec!["record".into()], ..LogOptions::default() };
    let mut pipeline = Pipeline::new(PipelineOptions::default(), LogWriter::create(dir, options).unwrap());
    let mut time_ns = 0;
    for thread in 1..=100 {
        pipeline.apply(&Event::Thread { time_ns, thread, process: 1, pid: 7, tid: 6 + u32::from(thread) });
    }
    for id in 1..=functions {
        let file = format!("/srv/some/deep/folder/of/a/large/program/module_{}.py", id % 1000);
        let function = Function { name: format!("Class{id}.some_method_name"), file, line: id };
        pipeline.apply(&Event::Function { id, process: 1, function, code: 0, code_flags: 0 });
        for thread in [1, 1 + (id % 100) as u16] {
            let mut event = |what| {
                time_ns += 1000 + u64::from(id % 7);
                pipeline.apply(&Event::Frame { time_ns, thread, frame: 16, what });
            };
            event(FrameEvent::Start { resumed: false, function: id });
            event(FrameEvent::End);
        }
    }
    pipeline.finish(&Ending { end_ns: time_ns, ..Ending::default() });
    Source::open(dir, Scope::default()).unwrap()
}

#[test]
fn it_is_bounded_and_says_what_is_left_out() {
    const FUNCTIONS: u32 = 20_000;
    let dir = tempfile::tempdir().unwrap();
    let mut source = large(dir.path(), FUNCTIONS, None);
    let report = source.summary(|_, _| {}).report;
    let page = page(&mut source);
    assert!(page.len() < 5 << 20, "{} bytes", page.len());
    let data = data(&page);
    assert_eq!((list(&data["table"]["rows"]).len(), &data["table"]["left_out"]), (4000, &16_000.into()));
    assert_eq!(data["table"]["total"][5], 2 * FUNCTIONS, "with those that are left out");

    let paths = list(&data["flame"]["paths"]);
    let left_out = data["flame"]["left_out"].as_u64().unwrap() as usize;
    assert_eq!(
        (paths.len(), left_out),
        (8001, FUNCTIONS as usize + 1 - 8000),
        "one is all the others together"
    );
    let rest = paths.last().unwrap();
    assert_eq!(rest[1], -1);
    let of_root = paths[1..].iter().filter(|path| path[0] == 0).map(|path| path[3][0].as_u64().unwrap());
    assert_eq!(sum(of_root), sum(report.functions.iter().map(|row| row.self_wall_ns)));

    let lanes = &data["lanes"];
    let drawn = list(&lanes["calls"]).len();
    assert_eq!((drawn as u64 + lanes["left_out"].as_u64().unwrap()) as u32, 2 * FUNCTIONS);
    assert_eq!((list(&lanes["threads"]).len(), &lanes["threads_left_out"]), (64, &36.into()));
    assert!(drawn <= 20_000);
}

#[test]
fn what_the_log_has_in_sums_only_counts_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let thinning = Thinning { min_duration_ns: Some(1004), ..Thinning::default() };
    let mut source = large(dir.path(), 70, Some(thinning));
    let report = source.summary(|_, _| {}).report;
    let page = page(&mut source);
    let data = data(&page);
    let own = sum(report.functions.iter().map(|row| row.self_wall_ns));
    assert_eq!((&data["table"]["total"][5], &data["table"]["total"][1][0]), (&140.into(), &own));
    assert_eq!(data["flame"]["paths"][0][3][0], own);
    assert_eq!((list(&data["lanes"]["calls"]).len(), &data["lanes"]["left_out"]), (60, &80.into()));
    assert!(
        page.contains(
            "80 calls and 0 changes of memory are in the sums only: the log keeps calls of 1.00 us or more"
        ),
        "the account says what was left out"
    );
}
