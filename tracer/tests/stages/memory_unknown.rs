//! A recording of a kernel whose memory can't be followed: what was not counted is said to be unknown, never 0.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;
use tracer::analysis::Source;
use tracer::analysis::scope::Scope;
use tracer::export::{Format, Measure, Options, Rows};
use tracer::html;
use tracer::report::table::TableOptions;
use tracer::views::{By, View, ViewOptions, show};

use super::exports::recordings;

const WHY: &str = "older than Linux 6.2";

/// The portrait, as if its memory had not been followed: what its rows have of it is nobody's word.
fn recording() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let portrait = recordings().join("portrait");
    for table in ["calls", "functions", "rss"] {
        fs::create_dir(folder.path().join(table)).unwrap();
        for entry in fs::read_dir(portrait.join(table)).unwrap() {
            let from = entry.unwrap().path();
            fs::copy(&from, folder.path().join(table).join(from.file_name().unwrap())).unwrap();
        }
    }
    let known = fs::read(portrait.join("recording.json")).unwrap();
    let mut known: Value = serde_json::from_slice(&known).unwrap();
    known["account"]["memory_unknown"] = true.into();
    fs::write(folder.path().join("recording.json"), known.to_string()).unwrap();
    folder
}

fn source(recording: &TempDir) -> Source {
    Source::open(recording.path(), Scope::default()).unwrap()
}

fn options(view: View) -> ViewOptions {
    let table = TableOptions { sort: view.default_sort(), limit: 0, width: None, colour: false };
    ViewOptions {
        view,
        by: By::Function,
        of: Measure::Wall,
        min_share: 0.0,
        all_frames: true,
        merge: false,
        json: false,
        table,
    }
}

fn exported(recording: &TempDir, format: Format, options: Options) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    format.write(&mut source(recording), options, &mut out).map_err(|error| error.to_string())?;
    Ok(out)
}

fn text(recording: &TempDir, format: Format, options: Options) -> String {
    String::from_utf8(exported(recording, format, options).unwrap()).unwrap()
}

/// Keys whose values are numbers, at any depth.
fn numbers(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| numbers(value, found)),
        Value::Object(fields) => {
            for (key, value) in fields {
                if value.is_number() {
                    found.push(key.clone());
                }
                numbers(value, found);
            }
        }
        _ => {}
    }
}

#[test]
fn views_say_that_it_is_not_known() {
    let recording = recording();
    for view in [View::Table, View::Tree, View::Callers, View::Tasks, View::Latency, View::Slowest] {
        let shown = show(&mut source(&recording), &options(view)).unwrap();
        for known in ["KiB", " faults,", "fault,"] {
            assert!(!shown.contains(known), "{view:?}: {known} in\n{shown}");
        }
        let json = show(&mut source(&recording), &ViewOptions { json: true, ..options(view) }).unwrap();
        let mut keys = Vec::new();
        numbers(&serde_json::from_str(&json).unwrap(), &mut keys);
        let of_memory: Vec<_> =
            keys.iter().filter(|key| key.contains("rss") || key.contains("fault")).collect();
        assert!(of_memory.is_empty(), "{view:?}: {of_memory:?}");
    }
    for view in [View::Growth, View::Memory, View::Leaks] {
        let error = show(&mut source(&recording), &options(view)).unwrap_err().to_string();
        assert!(error.contains(WHY), "{view:?}: {error}");
    }
    for of in [Measure::RssGrew, Measure::RssShrank, Measure::Faults] {
        let error = show(&mut source(&recording), &ViewOptions { of, ..options(View::Tree) }).unwrap_err();
        assert!(error.to_string().contains(WHY), "{of:?}: {error}");
    }
}

#[test]
fn exports_leave_it_out() {
    let recording = recording();
    for rows in [Rows::Functions, Rows::Calls] {
        let csv = text(&recording, Format::Csv, Options { rows, ..Options::default() });
        let heading = csv.lines().next().unwrap();
        assert!(heading.contains("self_wall_ns"), "{heading}");
        assert!(!heading.contains("rss") && !heading.contains("fault"), "{heading}");
    }
    let callgrind = text(&recording, Format::Callgrind, Options::default());
    assert!(callgrind.contains("\nevents: wall_ns calls\n"), "{callgrind}");
    let costs = callgrind.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    assert!(costs.clone().count() > 0 && costs.clone().all(|line| line.split(' ').count() == 3));
    let mut profile = Vec::new();
    let zipped = exported(&recording, Format::Pprof, Options::default()).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&zipped[..]), &mut profile).unwrap();
    let has = |text: &str| profile.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(has("calls") && !has("rss_grew") && !has("rss_shrank") && !has("faults"));
    for format in [Format::Chrome, Format::Firefox] {
        let shown = text(&recording, format, Options::default());
        assert!(!shown.contains("\"resident memory\"") && !shown.contains("memory gained"), "{format:?}");
    }
    let refused =
        |format, of| exported(&recording, format, Options { of, ..Options::default() }).unwrap_err();
    assert!(refused(Format::Collapsed, Measure::RssGrew).contains(WHY));
    assert!(refused(Format::Svg, Measure::Faults).contains(WHY));
    assert!(refused(Format::Text, Measure::Wall).contains(WHY));
}

#[test]
fn the_page_says_so() {
    let recording = recording();
    let mut page = Vec::new();
    html::write(&mut source(&recording), &mut page).unwrap();
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains(WHY) && page.contains("<dt>resident memory</dt><dd>not known"));
    assert!(!page.contains("id=\"timeline\"") && !page.contains("id=\"memory-graph\""));
    assert!(page.contains("<td class=\"number\">- &rarr; -</td>"));
}

#[test]
fn a_diff_does_not_compare_it() {
    use tracer::diff::{Column, Diff, Per};
    let unknown = recording();
    let known = Source::open(&recordings().join("portrait"), Scope::default()).unwrap();
    let accounts = [known.account().clone(), source(&unknown).account().clone()];
    let accounts = [&accounts[0], &accounts[1]];
    for column in [Column::Rss, Column::CumRss, Column::Faults] {
        assert!(column.why_not(accounts).unwrap().contains(WHY), "{column:?}");
        assert_eq!(column.why_not([accounts[0]; 2]), None, "{column:?}");
    }
    assert_eq!(Column::Own.why_not(accounts), None);
    let reports = [known, source(&unknown)].map(|mut source| source.summary(|_, _| {}).report);
    let [before, after] = reports;
    let diff = Diff::new(before, after, Per::Total, Column::Own);
    let diff: Value = serde_json::from_str(&diff.to_json().unwrap()).unwrap();
    let row = &diff["functions"][0];
    let of = |side: &str, key: &str| row[side][key].clone();
    assert_eq!([of("before", "self_rss_bytes"), of("after", "page_faults")], [json!(null), json!(null)]);
    assert!(of("before", "self_wall_ns").is_number());
}
