//! Exports of the recording of `tests/programs/portrait.py`: as they are, and what they come to.

use std::path::{Path, PathBuf};

use tracer::analysis::Source;
use tracer::analysis::scope::Scope;
use tracer::export::{Format, Measure, Options};
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
    let scope = Scope { functions: FunctionFilter::new(&[], &files).unwrap(), ..Scope::default() };
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
    let found = &String::from_utf8_lossy(found).replace(&version, "pytracer VERSION").into_bytes();
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
    let draw = |icicle| text(Format::Svg, Options { of: Measure::RssGrew, icicle }, OF_THE_PROGRAM);
    let graph = draw(false);
    assert_eq!(graph, draw(false), "the same each time");
    assert_ne!(graph, draw(true));
    for part in ["Resident memory added", "/usr/bin/python3.11 portrait.py", "6 661 events, 0 lost", " bytes"]
    {
        assert!(graph.contains(part), "no {part}");
    }
    let bytes: i64 = report().functions.iter().find(|row| row.function == "touch").unwrap().self_rss_bytes;
    assert!(graph.contains("touch (/srv/app/portrait.py:37)") && bytes > 0);
}

#[test]
fn nothing_to_draw_is_said() {
    let nothing = Scope { pids: vec![1], ..Scope::default() };
    let mut source = Source::open(&recordings().join("portrait"), nothing).unwrap();
    let refusal = Format::Svg.write(&mut source, Options::default(), &mut Vec::new()).unwrap_err();
    assert_eq!(refusal.to_string(), "there is nothing to draw: all of it is 0");
}
