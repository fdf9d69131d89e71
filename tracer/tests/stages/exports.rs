//! Exports of the recording of `tests/programs/portrait.py`: as they are, and what they come to.

use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;
use tracer::analysis::Source;
use tracer::analysis::scope::Scope;
use tracer::export::{Format, Measure, Options, Rows};
use tracer::filter::FunctionFilter;
use tracer::report::{FunctionReport, Report};

/// Set to anything, tests write the files that they would compare with.
const WRITE: &str = "PYTRACER_WRITE_GOLDEN";
const OF_THE_PROGRAM: &[&str] = &["*/portrait.py"];

pub(super) fn recordings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")
}

/// The recording, of functions of these files only; none: of all.
fn portrait(files: &[&str]) -> Source {
    let files: Vec<String> = files.iter().map(ToString::to_string).collect();
    source(Scope { functions: FunctionFilter::new(&[], &files).unwrap(), ..Scope::default() })
}

fn source(scope: Scope) -> Source {
    Source::open(&recordings().join("portrait"), scope).unwrap()
}

fn exported(format: Format, options: Options, files: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    format.write(&mut portrait(files), options, &mut out).unwrap();
    out
}

fn text(format: Format, options: Options, files: &[&str]) -> String {
    String::from_utf8(exported(format, options, files)).unwrap()
}

/// Compares with the file beside the recording, which is of any version of pytracer.
pub(super) fn assert_golden(name: &str, found: &[u8]) {
    let path = recordings().join("golden").join(name);
    let version = format!("pytracer {}", env!("CARGO_PKG_VERSION"));
    let found = &match std::str::from_utf8(found) {
        Ok(text) => text.replace(&version, "pytracer VERSION").into_bytes(),
        Err(_) => found.to_vec(),
    };
    if std::env::var_os(WRITE).is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let wanted = std::fs::read(&path).unwrap();
    let (found, wanted) = (String::from_utf8_lossy(found), String::from_utf8_lossy(&wanted));
    let differs = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
    assert!(found == wanted, "{name}: {differs:?}; is that as it should be? {WRITE}=1 writes the file");
}

fn report() -> Report {
    portrait(&[]).summary(|_, _| {}).report
}

fn total(value: fn(&FunctionReport) -> i64) -> i64 {
    report().functions.iter().map(value).sum()
}

fn of(measure: Measure) -> Options {
    Options { of: measure, ..Options::default() }
}

/// The sum of the last words of all lines.
fn sum_of_weights(collapsed: &str) -> i64 {
    collapsed.lines().map(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap()).sum()
}

#[test]
fn collapsed_stacks_are_as_they_were() {
    assert_golden("portrait.collapsed", &exported(Format::Collapsed, Options::default(), OF_THE_PROGRAM));
}

#[test]
fn collapsed_stacks_add_up_to_the_report() {
    let sum = |measure| sum_of_weights(&text(Format::Collapsed, of(measure), &[]));
    assert_eq!(sum(Measure::Wall), total(|row| row.self_wall_ns as i64));
    assert_eq!(sum(Measure::Cpu), total(|row| row.self_cpu_ns as i64));
    assert_eq!(sum(Measure::Calls), total(|row| row.calls as i64));
    assert_eq!(sum(Measure::Faults), total(|row| row.page_faults as i64));
    assert_eq!(sum(Measure::RssGrew) - sum(Measure::RssShrank), total(|row| row.self_rss_bytes));
}

/// Inferno takes every line of it, and the whole is as large as in the report.
#[test]
fn collapsed_stacks_can_be_drawn_by_inferno() {
    let lines = text(Format::Collapsed, Options::default(), &[]);
    let mut svg = Vec::new();
    let mut options = inferno::flamegraph::Options::default();
    inferno::flamegraph::from_reader(&mut options, lines.as_bytes(), &mut svg).unwrap();
    let drawn = format!("total_samples=\"{}\"", total(|row| row.self_wall_ns as i64));
    assert!(String::from_utf8(svg).unwrap().contains(&drawn), "not {drawn}");
}

#[test]
fn pstats_are_as_they_were() {
    assert_golden("portrait.pstats", &exported(Format::Pstats, Options::default(), OF_THE_PROGRAM));
}

#[test]
fn pstats_hold_times_only() {
    let refusal =
        Format::Pstats.write(&mut portrait(&[]), of(Measure::RssGrew), &mut Vec::new()).unwrap_err();
    assert_eq!(refusal.to_string(), "pstats holds times only: --of wall, cpu or off-cpu");
}

#[test]
fn callgrind_is_as_it_was() {
    assert_golden("portrait.callgrind", &exported(Format::Callgrind, Options::default(), OF_THE_PROGRAM));
}

#[test]
fn callgrind_costs_add_up_to_the_report() {
    let text = text(Format::Callgrind, Options::default(), &[]);
    let mut sums = [0_i64; 4];
    let mut lines = text.lines().skip_while(|line| !line.starts_with("events:")).skip(1);
    while let Some(line) = lines.next() {
        if line.starts_with("calls=") {
            // The next line is what the callee cost.
            lines.next();
        } else if line.starts_with(|first: char| first.is_ascii_digit()) {
            let costs = line.split(' ').skip(1).map(|cost| cost.parse::<i64>().unwrap());
            sums.iter_mut().zip(costs).for_each(|(sum, cost)| *sum += cost);
        }
    }
    let [wall_ns, grew, shrank, calls] = sums;
    assert_eq!(wall_ns, total(|row| row.self_wall_ns as i64));
    assert_eq!(grew - shrank, total(|row| row.self_rss_bytes));
    assert_eq!(calls, total(|row| row.calls as i64));
}

#[test]
fn a_flame_graph_has_the_frames_and_the_account() {
    let draw = |icicle| text(Format::Svg, Options { icicle, ..of(Measure::RssGrew) }, OF_THE_PROGRAM);
    let graph = draw(false);
    assert_eq!(graph, draw(false), "the same each time");
    assert_ne!(graph, draw(true));
    for part in ["Resident memory added", "/usr/bin/python3.11 portrait.py", "6 661 events, 0 lost", " bytes"]
    {
        assert!(graph.contains(part), "no {part}");
    }
    assert!(graph.contains("touch (/srv/app/portrait.py:37)"));
    let all = sum_of_weights(&text(Format::Collapsed, of(Measure::RssGrew), OF_THE_PROGRAM));
    assert!(
        graph.contains(&format!("total_samples=\"{all}\"")),
        "what is too small to be seen is part of its caller"
    );
}

#[test]
fn nothing_to_draw_is_said() {
    let mut source = source(Scope { pids: vec![1], ..Scope::default() });
    let refusal = Format::Svg.write(&mut source, Options::default(), &mut Vec::new()).unwrap_err();
    assert_eq!(refusal.to_string(), "there is nothing to draw: all of it is 0");
}

fn rows(rows: Rows) -> Options {
    Options { rows, ..Options::default() }
}

#[test]
fn rows_of_functions_are_as_they_were() {
    assert_golden("portrait.csv", &exported(Format::Csv, rows(Rows::Functions), OF_THE_PROGRAM));
}

#[test]
fn rows_of_calls_are_as_they_were() {
    let functions = FunctionFilter::new(&["countdown".into(), "keep".into(), "touch".into()], &[]).unwrap();
    let mut out = Vec::new();
    let mut source = source(Scope { functions, ..Scope::default() });
    Format::Ndjson.write(&mut source, rows(Rows::Calls), &mut out).unwrap();
    assert_golden("portrait.ndjson", &out);
}

#[test]
fn rows_add_up_to_the_report() {
    for of in [Rows::Functions, Rows::Calls] {
        let text = text(Format::Ndjson, rows(of), &[]);
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let sum = |key: &str| lines.iter().map(|line| line[key].as_i64().unwrap()).sum::<i64>();
        assert_eq!(sum("self_wall_ns"), total(|row| row.self_wall_ns as i64));
        let (calls, uncharged) = match of {
            Rows::Functions => (sum("calls"), 0),
            Rows::Calls => {
                let uncharged = total(|row| if row.is_function() { 0 } else { row.self_rss_bytes });
                (lines.iter().filter(|line| line["began"] == "called").count() as i64, uncharged)
            }
        };
        assert_eq!(calls, total(|row| row.calls as i64));
        assert_eq!(sum("self_rss_bytes") + uncharged, total(|row| row.self_rss_bytes));

        let csv = exported(Format::Csv, rows(of), &[]);
        assert_eq!(
            csv::Reader::from_reader(&csv[..]).into_records().map(Result::unwrap).count(),
            lines.len()
        );
        let file = bytes::Bytes::from(exported(Format::Parquet, rows(of), &[]));
        let file = SerializedFileReader::new(file).unwrap();
        let columns = file.metadata().file_metadata().schema_descr().columns();
        let at = columns.iter().position(|column| column.name() == "self_wall_ns").unwrap();
        let in_parquet = file.get_row_iter(None).unwrap().map(|row| row.unwrap().get_long(at).unwrap());
        assert_eq!(in_parquet.sum::<i64>(), sum("self_wall_ns"));
    }
}

/// Whoever reads has seen enough: the rest of the log is not read.
#[test]
fn an_error_of_the_reader_comes_through() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for format in <Format as clap::ValueEnum>::value_variants() {
        let error = format.write(&mut portrait(&[]), rows(Rows::Calls), &mut Closed).unwrap_err();
        let kind = error.chain().find_map(|cause| match cause.downcast_ref::<serde_json::Error>() {
            Some(error) => error.io_error_kind(),
            None => Some(cause.downcast_ref::<std::io::Error>()?.kind()),
        });
        assert_eq!(kind, Some(std::io::ErrorKind::BrokenPipe), "{format:?}: {error:#}");
    }
}

/// The log of some functions only.
#[test]
fn text_is_as_it_was() {
    let functions = FunctionFilter::new(&["countdown".into(), "keep".into(), "touch".into()], &[]).unwrap();
    let mut out = Vec::new();
    let mut source = source(Scope { functions, ..Scope::default() });
    Format::Text.write(&mut source, Options::default(), &mut out).unwrap();
    assert_golden("portrait.text", &out);
}

#[test]
fn text_has_all_calls_and_the_memory() {
    let text = text(Format::Text, Options::default(), &[]);
    let lines: Vec<Vec<&str>> = text
        .lines()
        .skip_while(|line| *line != "SOF")
        .skip(2)
        .map(|line| line.split_ascii_whitespace().collect())
        .collect();
    let (end, events) = lines.split_last().unwrap();
    assert_eq!(*end, ["EOF"]);
    assert_eq!((events[0][0], events[1][0], events[events.len() - 1][0]), ("FRST:", "NEXT:", "LAST:"));
    let number = |at: usize, back: usize| events[at][events[at].len() - back].parse::<i64>().unwrap();
    let mut rss_bytes = 0;
    for (at, event) in events.iter().enumerate() {
        rss_bytes += number(at, 1);
        assert_eq!((event[1], number(at, 2)), (at.to_string().as_str(), rss_bytes));
    }
    let mut later_bytes = 0;
    let mut source = portrait(&[]);
    let mut last_ns = 0;
    source.calls(|visit, _| last_ns = last_ns.max(visit.call.end_ns));
    source.rss(|row| later_bytes += if row.time_ns as u64 > last_ns { row.delta } else { 0 });
    assert_eq!(rss_bytes + later_bytes, report().processes[0].rss_end_bytes);
    let count = |what: &str| events.iter().filter(|event| event[4] == what).count() as i64;
    assert_eq!(count("CALL"), total(|row| (row.calls + row.resumes) as i64));
    assert_eq!(count("RETURN"), total(|row| row.ends as i64));
}
