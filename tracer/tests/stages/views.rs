//! The views of the recorded portrait: they say what the report says, each in its way.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tracer::analysis::measure::Measure;
use tracer::analysis::{Source, Visit, scope::Scope};
use tracer::charge::Began;
use tracer::log::{LogOptions, LogWriter};
use tracer::pipeline::Pipeline;
use tracer::report::table::{Sort, TableOptions};
use tracer::report::{Report, Thinning};
use tracer::views::{By, View, ViewOptions, show};

use super::simulate::some_run;

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

/// All calls of the recording.
fn visits() -> Vec<Visit> {
    let mut visits = Vec::new();
    source(Scope::default()).calls(|visit, _| visits.push(*visit));
    visits
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

/// Every grouping of this log adds up to its report.
fn assert_groups_add_up(log: &Path, scopes: &[Scope]) {
    for scope in scopes {
        let open = || Source::open(log, scope.clone()).unwrap();
        let report = open().summary(|_, _| {}).report;
        let functions: Vec<_> = report.functions.iter().filter(|row| row.is_function()).collect();
        let expected = [
            ("calls", functions.iter().map(|row| row.calls as i64).sum::<i64>()),
            ("resumes", functions.iter().map(|row| row.resumes as i64).sum()),
            ("self_wall_ns", functions.iter().map(|row| row.self_wall_ns as i64).sum()),
            ("self_cpu_ns", functions.iter().map(|row| row.self_cpu_ns as i64).sum()),
            ("self_rss_bytes", functions.iter().map(|row| row.self_rss_bytes).sum()),
            ("page_faults", functions.iter().map(|row| row.page_faults as i64).sum()),
        ];
        for (by, merge) in GROUPS.into_iter().flat_map(|by| [(by, false), (by, true)]) {
            let options = ViewOptions { by, merge, json: true, ..options(View::Table) };
            let view: Value = serde_json::from_str(&show(&mut open(), &options).unwrap()).unwrap();
            for (key, expected) in expected {
                assert_eq!(sum(list(&view, "groups"), key), expected, "{by:?} {key}");
            }
        }
    }
}

#[test]
fn every_grouping_adds_up_to_the_report() {
    assert_groups_add_up(&portrait(), &[Scope::default(), part()]);
}

#[test]
fn so_it_does_where_calls_are_in_sums_only() {
    for thinning in [
        None,
        Some(Thinning { min_duration_ns: Some(500), ..Thinning::default() }),
        Some(Thinning { min_rss_bytes: Some(100_000), with_previous: true, ..Thinning::default() }),
        Some(Thinning::default()),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let run = some_run();
        let options = LogOptions { thinning, ..LogOptions::default() };
        let mut pipeline = Pipeline::new(run.options(), LogWriter::create(dir.path(), options).unwrap());
        run.play(&mut pipeline, |_, _| {});
        assert_groups_add_up(dir.path(), &[Scope::default()]);
        for view in VIEWS {
            let text =
                show(&mut Source::open(dir.path(), Scope::default()).unwrap(), &self::options(view)).unwrap();
            let of_rows =
                !matches!(view, View::Table | View::Tree | View::Callers | View::Leaks) && thinning.is_some();
            assert_eq!(text.contains("this view is of what the log has rows of"), of_rows, "{text}");
        }
    }
}

#[test]
fn a_group_counts_calls_inside_of_itself_once() {
    let total: u64 = report(Scope::default()).functions.iter().map(|row| row.self_wall_ns).sum();
    let groups = |by| json(&ViewOptions { by, ..options(View::Table) });
    for by in [By::Thread, By::Process] {
        for group in list(&groups(by), "groups") {
            assert_eq!(group["self_wall_ns"], group["cum_wall_ns"], "nothing is called from elsewhere");
        }
    }
    // Every stack of this program begins in its own file.
    let files = groups(By::File);
    let own = list(&files, "groups").iter().find(|group| group["file"] == "/srv/app/portrait.py").unwrap();
    assert_eq!(number(own, "cum_wall_ns"), total as i64);
    assert!(number(own, "self_wall_ns") < total as i64);
    let modules = groups(By::Module);
    let own = list(&modules, "groups").iter().find(|group| group["module"] == "portrait").unwrap();
    assert_eq!(number(own, "cum_wall_ns"), total as i64);
    assert!(list(&modules, "groups").iter().any(|group| group["module"] == "asyncio.tasks"));
}

#[test]
fn tables_are_sorted_by_any_column() {
    let first = |sort| {
        let mut options = ViewOptions { by: By::Module, ..options(View::Table) };
        (options.table.sort, options.table.limit) = (sort, 1);
        text(&options).lines().nth(4).unwrap().split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(first(Sort::Own), "portrait");
    assert_eq!(first(Sort::Rss), "asyncio.base_events");
    assert_eq!(first(Sort::Name), "asyncio");
    assert_eq!(first(Sort::PerCall), "asyncio");
}

#[test]
fn a_tree_holds_all_of_the_report() {
    let report = report(Scope::default());
    for measure in [Measure::Wall, Measure::Cpu, Measure::OffCpu, Measure::Calls, Measure::Faults] {
        let expected: u64 = report
            .functions
            .iter()
            .map(|row| match measure {
                Measure::Wall => row.self_wall_ns,
                Measure::Cpu => row.self_cpu_ns,
                Measure::OffCpu => row.self_wall_ns - row.self_cpu_ns,
                Measure::Calls => row.calls,
                _ => row.page_faults,
            })
            .sum();
        for all_frames in [false, true] {
            let shape = ViewOptions { of: measure, all_frames, ..all(options(View::Tree)) };
            for by in [By::Function, By::Thread] {
                let view = json(&ViewOptions { by, ..shape });
                let [tree] = list(&view, "trees") else { panic!("one process") };
                assert_eq!(number(tree, "total") as u64, expected, "{measure:?}");
                assert_eq!(sum(list(tree, "nodes"), "self") as u64, expected, "{measure:?}");
                let tops = list(tree, "nodes").iter().filter(|node| node["parent"].is_null());
                assert_eq!(tops.map(|node| number(node, "total")).sum::<i64>() as u64, expected);
            }
        }
    }
}

#[test]
fn what_a_tree_hides_is_said() {
    let view = json(&ViewOptions { min_share: 0.05, ..options(View::Tree) });
    let nodes = list(&list(&view, "trees")[0], "nodes");
    for (at, node) in nodes.iter().enumerate() {
        let below = nodes.iter().filter(|child| child["parent"] == at);
        let below: i64 = below.map(|child| number(child, "total")).sum();
        assert_eq!(
            number(node, "self") + below + number(node, "hidden_total"),
            number(node, "total"),
            "{node}"
        );
    }
    assert!(sum(nodes, "hidden") > 0);
}

#[test]
fn callers_share_what_a_function_weighs() {
    let report = report(Scope::default());
    let view = json(&ViewOptions { all_frames: true, ..all(options(View::Callers)) });
    let nodes = list(&list(&view, "trees")[0], "nodes");
    let tops: Vec<_> = nodes.iter().filter(|node| node["parent"].is_null()).collect();
    assert_eq!(tops.len(), report.functions.iter().filter(|row| row.self_wall_ns > 0).count());
    for top in tops {
        let row = report.functions.iter().find(|row| {
            top["function"] == row.function.as_str()
                && top["file"] == row.file.as_str()
                && top["line"] == row.line
        });
        assert_eq!(number(top, "total") as u64, row.unwrap().self_wall_ns, "{top}");
    }
    for (at, node) in nodes.iter().enumerate() {
        let callers = nodes.iter().filter(|caller| caller["parent"] == at);
        assert!(callers.map(|caller| number(caller, "total")).sum::<i64>() <= number(node, "total"));
    }
}

#[test]
fn coroutines_are_told_from_their_steps() {
    let report = report(Scope::default());
    let view = json(&options(View::Tasks));
    let coroutines = list(&view, "coroutines");
    for row in coroutines {
        let name = row["function"].as_str().unwrap();
        let of_report = report.functions.iter().find(|function| function.function == name).unwrap();
        assert_eq!(number(row, "calls") as u64, of_report.calls, "{name}");
        assert_eq!(number(row, "resumes") as u64, of_report.resumes, "{name}");
        assert_eq!(number(row, "ran_ns") as u64, of_report.cum_wall_ns, "{name} calls itself never");
        assert_eq!(number(row, "cut"), 0);
    }
    let fetch = coroutines.iter().find(|row| row["function"] == "fetch").unwrap();
    assert_eq!((number(fetch, "instances"), number(fetch, "resumes")), (3, 3));
    // It sleeps for 10, 20 and 30 ms, never less.
    assert!(number(fetch, "waited_ns") >= 60_000_000 && number(fetch, "longest_ns") >= 30_000_000);
    assert!(!coroutines.iter().any(|row| row["function"] == "countdown"), "that is a generator");
}

#[test]
fn tasks_of_one_coroutine_are_rows_of_their_own() {
    let view = json(&ViewOptions { by: By::Task, ..options(View::Table) });
    let groups = list(&view, "groups");
    let fetches: Vec<_> = groups.iter().filter(|row| row["task"]["function"] == "fetch").collect();
    assert_eq!(fetches.len(), 3);
    for row in fetches {
        let task = &row["task"];
        assert_eq!((number(task, "steps"), task["cut"].as_bool()), (2, Some(false)));
        assert_eq!(task["ran_ns"], row["cum_wall_ns"]);
        assert!(number(task, "waited_ns") >= 10_000_000);
        assert!(number(task, "start_unix_ns") >= number(&view["window"], "start_unix_ns"));
    }
}

#[test]
fn percentiles_are_those_of_all_calls() {
    let mut durations: BTreeMap<(u32, bool), Vec<u64>> = BTreeMap::new();
    for visit in visits() {
        assert!(matches!(visit.call.began, Began::Call | Began::Resumed));
        durations.entry((visit.row, visit.call.instance != 0)).or_default().push(visit.call.total.wall_ns);
    }
    let mut expected: Vec<_> = durations
        .into_values()
        .map(|mut durations| {
            durations.sort_unstable();
            let rank = |percent: usize| durations[(durations.len() * percent).div_ceil(100) - 1];
            (durations.iter().sum::<u64>(), durations.len() as u64, [rank(50), rank(90), rank(99), rank(100)])
        })
        .collect();
    let view = json(&options(View::Latency));
    let mut known: Vec<_> = list(&view, "latencies")
        .iter()
        .map(|row| {
            let of = |key| number(row, key) as u64;
            let error = number(row, "error_percent");
            let percentiles = ["p50_ns", "p90_ns", "p99_ns", "max_ns"].map(of);
            (of("sum_ns"), of("count"), percentiles, error)
        })
        .collect();
    expected.sort_unstable();
    known.sort_unstable();
    assert_eq!(expected.len(), known.len());
    for (expected, known) in expected.into_iter().zip(known) {
        assert_eq!((expected.0, expected.1, expected.2[3]), (known.0, known.1, known.2[3]));
        for (expected, known_ns) in expected.2.into_iter().zip(known.2) {
            let error = expected as i64 * known.3 / 100;
            assert!((expected as i64 - known_ns as i64).abs() <= error, "{expected} {known:?}");
        }
        assert_eq!(known.3 > 0, known.1 > 256, "{known:?}");
    }
}

#[test]
fn the_largest_calls_are_those_of_all_calls() {
    type Amount = fn(&Visit) -> i64;
    let cases: [(View, Sort, &str, Amount); 4] = [
        (View::Slowest, Sort::Cum, "duration_ns", |visit| visit.call.total.wall_ns as i64),
        (View::Slowest, Sort::Own, "self_ns", |visit| visit.call.own.wall_ns as i64),
        (View::Slowest, Sort::OffCpu, "self_off_cpu_ns", |visit| visit.call.own.off_cpu_ns as i64),
        (View::Growth, Sort::Own, "self_rss_bytes", |visit| visit.call.own.rss_bytes),
    ];
    for (view, sort, key, amount) in cases {
        let mut options = options(view);
        (options.table.sort, options.table.limit) = (sort, 25);
        let mut expected: Vec<_> = visits().iter().map(amount).filter(|&amount| amount > 0).collect();
        expected.sort_unstable_by(|left, right| right.cmp(left));
        expected.truncate(25);
        let view = json(&options);
        let known: Vec<_> = list(&view, "calls").iter().map(|call| number(call, key)).collect();
        assert_eq!(known, expected);
    }
}

#[test]
fn a_single_call_has_its_stack_and_time_of_day() {
    let mut options = options(View::Slowest);
    options.table.sort = Sort::Own;
    let view = json(&options);
    let nap = list(&view, "calls").iter().find(|call| call["function"] == "nap").unwrap();
    assert_eq!(nap["stack"][0]["function"], "work");
    assert_eq!(
        number(nap, "start_unix_ns"),
        number(&view["window"], "start_unix_ns") + number(nap, "start_ns")
    );
    let text = text(&options);
    let (_, call) = text.split_once("nap  /srv/app/portrait.py:53\n").unwrap();
    let lines: Vec<_> = call.lines().take(3).map(str::trim).collect();
    assert!(lines[0].starts_with("self 20.") && lines[0].contains("off CPU 2") && lines[0].contains("fault"));
    assert!(lines[1].contains(" (+") && lines[1].contains("process 20457, thread 2048"), "{}", lines[1]);
    assert_eq!(lines[2], "work");
}

#[test]
fn memory_over_time_begins_and_ends_where_the_process_did() {
    let report = report(Scope::default());
    let process = &report.processes[0];
    let view = json(&options(View::Memory));
    let parts = list(&list(&view, "memory")[0], "parts");
    assert_eq!(parts.len(), 20);
    assert_eq!(number(parts.last().unwrap(), "rss_bytes"), process.rss_end_bytes);
    assert_eq!(parts.iter().map(|part| number(part, "peak_bytes")).max(), Some(process.rss_peak_bytes));
    let moved: i64 = parts.iter().map(|part| sum(list(part, "moved"), "bytes")).sum();
    assert_eq!(moved, process.rss_end_bytes - process.rss_start_bytes);
    let kinds: i64 =
        ["anonymous_bytes", "file_bytes", "shared_bytes"].iter().map(|kind| sum(parts, kind)).sum();
    assert_eq!(kinds, moved);
    let touched =
        parts.iter().flat_map(|part| list(part, "moved")).filter(|moved| moved["function"] == "touch");
    assert_eq!(touched.map(|moved| number(moved, "bytes")).sum::<i64>(), 3 << 20);
}

#[test]
fn what_is_given_back_is_no_leak() {
    let view = json(&all(options(View::Leaks)));
    let nodes = list(&list(&view, "trees")[0], "nodes");
    let node = |name: &str| nodes.iter().find(|node| node["function"] == name).unwrap();
    let keep = node("keep");
    assert_eq!((number(keep, "stayed_bytes"), number(keep, "shrank_bytes")), (1 << 20, 0));
    assert_eq!((number(keep, "ended_larger"), number(keep, "calls")), (4, 4));
    // What it adds it gives back: with nothing that stayed it is not in the tree.
    assert!(!nodes.iter().any(|node| node["function"] == "give_back"));
    let tops = nodes.iter().filter(|node| node["parent"].is_null());
    let functions = report(Scope::default()).functions;
    let charged: i64 = functions.iter().filter(|row| row.is_function()).map(|row| row.self_rss_bytes).sum();
    assert_eq!(tops.map(|node| number(node, "stayed_bytes")).sum::<i64>(), charged);
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
