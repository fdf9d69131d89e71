//! Tables of groups: by file, module, thread, process, task.

use std::path::Path;

use serde_json::Value;
use tracer::analysis::Source;
use tracer::analysis::scope::Scope;
use tracer::log::{LogOptions, LogWriter};
use tracer::pipeline::Pipeline;
use tracer::report::Thinning;
use tracer::report::table::Sort;
use tracer::views::{By, View, ViewOptions, show};

use super::{GROUPS, VIEWS, json, list, number, options, part, portrait, report, sum, text};
use crate::simulate::some_run;

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
