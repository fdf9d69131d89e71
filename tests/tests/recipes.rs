//! The recipes of docs/event-log.md run as they stand there, and answer what the report and the program say.

use std::collections::BTreeMap;

use serde_json::Value;
use tests::{
    Python, Target, Tracer, docs, log, packages,
    program::Known,
    report::{Function, Report},
    scratch, tracer,
};

/// Function, file and line.
type Name = (String, String, u64);

#[test]
fn duckdb_answers_as_the_report_does() {
    let recording = Recording::new();
    let recipes = recipes("sql");
    let [own, cumulative, over_time, moved, slowest] = &recipes[..] else { panic!("{recipes:#?}") };
    recording.assert_self_times(recording.sql(own).iter().map(|row| (name(row), number(&row[4]))));
    recording.assert_calls_and_times(&recording.sql(cumulative));
    // In the order of time: the last row of a function is what has stayed.
    recording.assert_memory(recording.sql(over_time).iter().map(|row| (text(&row[1]), number(&row[2]))));
    recording.assert_memory(recording.sql(moved).iter().map(|row| (text(&row[0]), number(&row[1]))));
    let slowest: Vec<_> = recording.sql(slowest).iter().map(|row| (number(&row[1]), text(&row[4]))).collect();
    recording.assert_slowest(&slowest);
}

#[test]
fn pandas_answers_as_the_report_does() {
    const ANSWERS: &str = "
print(json.dumps([[*name, int(ns)] for name, ns in own.items()]))
print(json.dumps([[name, int(change)] for name, change in resident.iloc[-1].items()]))
";
    let recording = Recording::new();
    let code = recipes("python").concat() + ANSWERS;
    let printed =
        packages::output(packages::python().current_dir(recording.folder.path()).args(["-c", &code]));
    let lines: Vec<&str> = printed.lines().collect();
    let [.., own, memory] = lines[..] else { panic!("{printed}") };
    recording.assert_self_times(rows(own).iter().map(|row| (name(row), number(&row[3]))));
    recording.assert_memory(rows(memory).iter().map(|row| (text(&row[0]), number(&row[1]))));
    let slowest: Vec<_> = lines[lines.len() - 12..lines.len() - 2]
        .iter()
        .map(|line| line.split_once(' ').expect("a time and a stack"))
        .map(|(ns, stack)| (ns.parse().expect("a time"), stack.to_owned()))
        .collect();
    recording.assert_slowest(&slowest);
}

/// The recipes of one language, in the order of the document.
fn recipes(language: &str) -> Vec<String> {
    let blocks = docs::blocks(&docs::text("event-log.md"));
    blocks.into_iter().filter(|block| block.language == language).map(|block| block.code).collect()
}

/// A program that was recorded into a folder `rec`.
struct Recording {
    folder: tempfile::TempDir,
    known: Vec<Known>,
    report: Report,
}

impl Recording {
    fn new() -> Self {
        let folder = scratch();
        let rec = folder.path().join("rec").display().to_string();
        let target = Target::start(Python::DEBIAN_3_11, "nested.py", &[]);
        let (known, _) = Tracer::work_of(target, &["-o", &rec]);
        let report = tracer::run(["report", &rec, "--json"]);
        assert!(report.status.success(), "{}", String::from_utf8_lossy(&report.stderr));
        let report = serde_json::from_slice(&report.stdout).expect("a report is JSON");
        Self { folder, known, report }
    }

    /// The rows that a query gives if it is not told to give the first ten only.
    fn sql(&self, query: &str) -> Vec<Vec<Value>> {
        let folder = format!("'{}/rec/", self.folder.path().display());
        log::duckdb(self.folder.path(), &query.replace("limit 10;", "").replace("'rec/", &folder))
    }

    /// Each function of the report has that much self time, and there are no others.
    fn assert_self_times(&self, answer: impl Iterator<Item = (Name, i64)>) {
        assert_eq!(answer.collect::<BTreeMap<_, _>>(), self.by_name(|row| signed(row.self_wall_ns)));
    }

    /// The same of calls and cumulative times.
    fn assert_calls_and_times(&self, answer: &[Vec<Value>]) {
        let answer = answer.iter().map(|row| (name(row), (number(&row[3]), number(&row[4]))));
        let known = self.by_name(|row| (signed(row.calls), signed(row.cum_wall_ns)));
        assert_eq!(answer.collect::<BTreeMap<_, _>>(), known);
    }

    /// Something of each function of the report.
    fn by_name<T>(&self, value: impl Fn(&Function) -> T) -> BTreeMap<Name, T> {
        let rows = self.report.functions.iter().filter(|row| of_python(row));
        rows.map(|row| ((row.function.clone(), row.file.clone(), row.line), value(row))).collect()
    }

    /// Each function changed the resident memory by that much; functions of one name are added up.
    fn assert_memory(&self, answer: impl Iterator<Item = (String, i64)>) {
        let mut known = BTreeMap::new();
        for row in &self.report.functions {
            let name = if of_python(row) { &row.function } else { "-" };
            *known.entry(name.to_owned()).or_default() += row.self_rss_bytes;
        }
        let nonzero = |(_, bytes): &(String, i64)| *bytes != 0;
        let known: BTreeMap<String, i64> = known.into_iter().filter(nonzero).collect();
        let answer: BTreeMap<String, i64> = answer.collect();
        assert_eq!(answer.into_iter().filter(nonzero).collect::<BTreeMap<_, _>>(), known);
        assert!(known["render"] >= 150 * 4096, "the program wrote 150 pages there: {known:?}");
        assert!(known["empty"] <= -120 * 4096, "the program gave 120 of them back there: {known:?}");
    }

    /// They are ten calls, slowest first, and each has a stack that the program says it ran on.
    fn assert_slowest(&self, answer: &[(i64, String)]) {
        let query = "select duration_ns from 'LOG/calls/*.parquet' where began = 0 order by duration_ns desc limit 10";
        let log = self.folder.path().join("rec");
        let durations: Vec<i64> = log::duckdb(&log, query).iter().map(|row| number(&row[0])).collect();
        assert_eq!(answer.iter().map(|(ns, _)| *ns).collect::<Vec<_>>(), durations);
        let stacks: Vec<String> = self.known.iter().map(|fact| fact.stack.join(" > ")).collect();
        for (_, stack) in answer {
            assert!(stacks.contains(stack), "{stack} is none of {stacks:#?}");
        }
        assert!(answer.iter().any(|(_, stack)| stack.ends_with(" > descend > descend > descend > descend")));
    }
}

/// Is it the row of a function, not of memory that belongs to none?
fn of_python(row: &Function) -> bool {
    row.line > 0
}

fn rows(json: &str) -> Vec<Vec<Value>> {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("no rows ({error}): {json}"))
}

fn name(row: &[Value]) -> Name {
    (text(&row[0]), text(&row[1]), row[2].as_u64().expect("a line"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is no whole number"))
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).expect("it fits")
}
