//! The views of the recorded portrait: they say what the report says, each in its way.

mod calls;
mod groups;
mod memory;
mod tasks;
mod trees;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tracer::analysis::Source;
use tracer::analysis::measure::Measure;
use tracer::analysis::scope::Scope;
use tracer::report::Report;
use tracer::report::table::TableOptions;
use tracer::views::{By, View, ViewOptions, show};

const VIEWS: [View; 9] = [
    View::Table,
    View::Tree,
    View::Callers,
    View::Tasks,
    View::Latency,
    View::Slowest,
    View::Growth,
    View::Memory,
    View::Leaks,
];
const GROUPS: [By; 5] = [By::File, By::Module, By::Thread, By::Process, By::Task];

fn portrait() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/portrait")
}

fn source(scope: Scope) -> Source {
    Source::open(&portrait(), scope).unwrap()
}

fn report(scope: Scope) -> Report {
    source(scope).summary(|_, _| {}).report
}

fn options(view: View) -> ViewOptions {
    let table =
        TableOptions { sort: view.default_sort(), limit: view.default_limit(), width: None, colour: false };
    ViewOptions {
        view,
        by: By::Function,
        of: Measure::Wall,
        min_share: 0.01,
        all_frames: false,
        merge: false,
        json: false,
        table,
    }
}

fn text(options: &ViewOptions) -> String {
    show(&mut source(Scope::default()), options).unwrap()
}

fn json_of(scope: Scope, options: &ViewOptions) -> Value {
    let text = show(&mut source(scope), &ViewOptions { json: true, ..*options }).unwrap();
    assert!(text.ends_with('\n'));
    serde_json::from_str(&text).unwrap()
}

fn json(options: &ViewOptions) -> Value {
    json_of(Scope::default(), options)
}

fn all(mut options: ViewOptions) -> ViewOptions {
    options.table.limit = 0;
    options.min_share = 0.0;
    options
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap()
}

fn number(value: &Value, key: &str) -> i64 {
    value[key].as_i64().unwrap_or_else(|| panic!("no number {key} in {value}"))
}

fn sum(rows: &[Value], key: &str) -> i64 {
    rows.iter().map(|row| number(row, key)).sum()
}

/// A part of the recording, in the middle of calls.
fn part() -> Scope {
    Scope { time_ns: 30_000_000..150_000_000, ..Scope::default() }
}

/// Holds a text against the file of this name; with `UPDATE_GOLDEN=1` in the environment the file is written.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/views").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    assert!(text == expected, "{} is otherwise:\n{text}", path.display());
}

#[test]
fn every_view_fits_the_terminal_and_ends_with_the_account() {
    for (view, width) in VIEWS.into_iter().flat_map(|view| [(view, 80), (view, 120)]) {
        let mut options = all(options(view));
        (options.table.width, options.table.limit) = (Some(width), 500);
        let mut shapes = vec![options, ViewOptions { all_frames: true, ..options }];
        if view == View::Table {
            shapes.extend(GROUPS.map(|by| ViewOptions { by, ..options }));
        }
        for options in shapes {
            let text = text(&options);
            for line in text.lines() {
                assert!(line.chars().count() <= usize::from(width), "{view:?} {width}: {line}");
                assert!(!line.contains('\x1b'), "{line}");
            }
            let last = text.lines().last().unwrap();
            assert!(last.contains("0 repaired") || last.contains("at detach 0"), "{view:?}: {last}");
        }
    }
}

#[test]
fn a_part_is_said_to_be_one_in_every_view() {
    for view in VIEWS {
        let text = show(&mut source(part()), &options(view)).unwrap();
        assert!(text.contains("in the whole recording"), "{text}");
        assert!(text.contains("these numbers are of 30.0 ms to 150 ms of the window"), "{text}");
        let json = json_of(part(), &options(view));
        assert_eq!(json["account"]["of_whole_recording"], true);
        assert_eq!(json["schema"], 1);
    }
}

#[test]
fn a_hostile_name_stays_text() {
    for view in [View::Table, View::Callers, View::Latency, View::Slowest] {
        let mut options = all(options(view));
        options.table.colour = false;
        let text = text(&options);
        assert!(text.contains("</script><b>x;\\x1b[31m'\"&\\x0a"), "{view:?}");
        assert!(!text.contains('\x1b'));
    }
}

#[test]
fn views_look_as_they_did() {
    golden("tree.txt", &text(&options(View::Tree)));
    let by_thread = ViewOptions { by: By::Thread, of: Measure::OffCpu, ..options(View::Tree) };
    golden("tree_by_thread.txt", &text(&by_thread));
    let mut callers = ViewOptions { of: Measure::RssGrew, ..options(View::Callers) };
    callers.table.limit = 4;
    golden("callers.txt", &text(&callers));
    for (view, name) in [
        (View::Tasks, "tasks.txt"),
        (View::Latency, "latency.txt"),
        (View::Memory, "memory.txt"),
        (View::Leaks, "leaks.txt"),
    ] {
        let mut options = options(view);
        (options.table.width, options.table.limit) = (Some(100), 12);
        golden(name, &text(&options));
    }
}
