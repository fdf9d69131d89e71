//! The tables of docs/memory-numbers.md, held against a program that does what their rows say.

use std::{collections::BTreeMap, ops::RangeInclusive, path::Path};

use tests::{Python, Target, Tracer, docs, log, on_all_pythons, scratch};

on_all_pythons!(rows_are_true);

/// Pages by kind of memory.
type Pages = BTreeMap<String, i64>;

/// What a cell of the last column allows: for each kind, some ranges of which one has to hold.
type Allowed = BTreeMap<String, Vec<RangeInclusive<i64>>>;

/// Kinds of memory, by their codes in the event log.
const KINDS: [&str; 4] = ["file", "anonymous", "swap", "shared"];

/// The row for what other processes do.
const OUTSIDE: &str = "<outside>";

fn rows_are_true(python: Python) {
    let rows = rows();
    assert!(rows.len() > 25, "the document has lost its tables: {rows:?}");
    let folder = scratch();
    let log = folder.path().join("log");
    let mut target = Target::start(python, "memory_numbers.py", &["--rounds", "2"]);
    let pid = target.pid();
    // By the second time the interpreter has the memory that it needs for itself.
    target.work();
    let (_, report) = Tracer::work_of(target, &["-o", &log.display().to_string()]);
    let changes = changes(&log, pid);
    for (function, allowed) in rows {
        let calls = u64::from(function != OUTSIDE);
        assert_eq!(report.calls_in(pid, &function), calls, "calls of {function}");
        let pages = changes.get(&function).cloned().unwrap_or_default();
        assert!(holds(&allowed, &pages), "{function}: {pages:?} pages, the document says {allowed:?}");
    }
}

/// The rows of the document: function and pages.
fn rows() -> Vec<(String, Allowed)> {
    let rows = docs::rows(&docs::text("memory-numbers.md"));
    rows.iter().map(|row| (row[0].trim_matches('`').to_owned(), allowed(&row[2]))).collect()
}

/// Reads a cell: `0`, or changes with commas in between, each a number or several, and a kind.
fn allowed(cell: &str) -> Allowed {
    let changes = cell.split(", ").filter(|change| *change != "0");
    let parsed = changes.map(|change| {
        let (numbers, kind) = change.rsplit_once(' ').expect("numbers and a kind");
        assert!(KINDS.contains(&kind), "{cell} names no kind");
        (kind.to_owned(), numbers.split(" or ").map(range).collect())
    });
    parsed.collect()
}

/// Reads `+3` or `+3 to +5`.
fn range(text: &str) -> RangeInclusive<i64> {
    let number = |text: &str| text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    let (least, most) = text.split_once(" to ").unwrap_or((text, text));
    number(least)..=number(most)
}

/// Do all kinds have what is allowed, those that are not named nothing?
fn holds(allowed: &Allowed, pages: &Pages) -> bool {
    KINDS.iter().all(|kind| {
        let change = pages.get(*kind).copied().unwrap_or(0);
        allowed.get(*kind).map_or(change == 0, |ranges| ranges.iter().any(|range| range.contains(&change)))
    })
}

/// What the functions of a process changed.
fn changes(log: &Path, pid: u32) -> BTreeMap<String, Pages> {
    let query = format!(
        "select case r.tid when 0 then '{OUTSIDE}' else f.function end as name, r.member, sum(r.delta)::bigint // 4096 \
         from 'LOG/rss/*.parquet' r left join 'LOG/functions/*.parquet' f using (function_id) \
         where r.pid = {pid} and name is not null group by all"
    );
    let mut changes: BTreeMap<String, Pages> = BTreeMap::new();
    for row in log::duckdb(log, &query) {
        let function = row[0].as_str().expect("a name").to_owned();
        let kind = KINDS[row[1].as_u64().expect("a code") as usize].to_owned();
        changes.entry(function).or_default().insert(kind, row[2].as_i64().expect("a number"));
    }
    changes
}
