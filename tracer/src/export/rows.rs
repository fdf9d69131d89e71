//! A recording as flat rows, with names in place of ids: what CSV, NDJSON and one Parquet file hold.

use anyhow::{Result, bail};

use super::notes::notes;
use crate::analysis::names::Names;
use crate::analysis::{Source, Visit};
use crate::charge::{Began, Ended};
use crate::correction::Corrected;
use crate::event::Function;
use crate::functions::Row;
use crate::report::json::is_unknown;
use crate::report::{Account, FunctionReport, Report, SampledFunction, UNNAMED};

/// What a row is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Rows {
    /// A function of a process, as in the report
    #[default]
    Functions,
    /// A call, or a step of a generator or coroutine; later ones first
    Calls,
}

/// One format.
pub(super) trait Table {
    /// The columns. Comes first.
    fn begin(&mut self, columns: &[Heading]) -> Result<()>;

    /// A row.
    fn row(&mut self, values: &[Value<'_>]) -> Result<()>;

    /// No row is left. `notes` is what a reader has to know besides.
    fn end(self, notes: &[String]) -> Result<()>;
}

/// Name of a column, and what is in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heading {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What stands in all rows of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    /// A number, or nothing.
    Optional,
    Text,
}

/// What stands in a column of a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Number(i64),
    Text(&'a str),
    /// Of a column of numbers: none.
    Missing,
}

/// A column: its name, and how its value is made of a row and the functions' names.
enum Column<R> {
    Number(&'static str, fn(&R, &Names) -> i64),
    Optional(&'static str, fn(&R) -> Option<u64>),
    Text(&'static str, for<'a> fn(&'a R, &'a Names) -> &'a str),
}

/// A call and what is known of it besides.
struct Call {
    visit: Visit,
    caller: Option<Row>,
    start_unix_ns: i64,
    corrected: Option<Corrected>,
}

/// Named as in the JSON form of the report.
const FUNCTIONS: [Column<FunctionReport>; 18] = [
    Column::Number("process", |row, _| row.process.map_or(-1, |process| process as i64)),
    Column::Number("pid", |row, _| row.pid.into()),
    Column::Text("function", |row, _| &row.function),
    Column::Text("file", |row, _| &row.file),
    Column::Number("line", |row, _| row.line.into()),
    Column::Number("calls", |row, _| signed(row.calls)),
    Column::Number("resumes", |row, _| signed(row.resumes)),
    Column::Number("self_wall_ns", |row, _| signed(row.self_wall_ns)),
    Column::Number("cum_wall_ns", |row, _| signed(row.cum_wall_ns)),
    Column::Number("self_cpu_ns", |row, _| signed(row.self_cpu_ns)),
    Column::Number("cum_cpu_ns", |row, _| signed(row.cum_cpu_ns)),
    Column::Number("self_rss_bytes", |row, _| row.self_rss_bytes),
    Column::Number("cum_rss_bytes", |row, _| row.cum_rss_bytes),
    Column::Number("page_faults", |row, _| signed(row.page_faults)),
    Column::Number("activations", |row, _| signed(row.activations)),
    Column::Number("ends", |row, _| signed(row.ends)),
    Column::Number("late_ends", |row, _| signed(row.late_ends)),
    Column::Number("calls_made", |row, _| signed(row.calls_made)),
];

/// The same of samples, which stand in place of what only probes count.
const SAMPLED: [Column<FunctionReport>; 5] = [
    Column::Number("samples", |row, _| of_samples(row, |of| of.samples)),
    Column::Number("off_cpu_samples", |row, _| of_samples(row, |of| of.off_cpu_samples)),
    Column::Number("self_python_ns", |row, _| of_samples(row, |of| of.self_python_ns)),
    Column::Number("self_native_ns", |row, _| of_samples(row, |of| of.self_native_ns)),
    Column::Number("self_system_ns", |row, _| of_samples(row, |of| of.self_system_ns)),
];

/// The columns of functions that the recording knows something of.
fn functions(account: &Account) -> Vec<Column<FunctionReport>> {
    let of_samples = account.sampling.iter().flat_map(|_| SAMPLED);
    known(FUNCTIONS, account).chain(of_samples).collect()
}

fn known<R>(
    columns: impl IntoIterator<Item = Column<R>>,
    account: &Account,
) -> impl Iterator<Item = Column<R>> {
    columns.into_iter().filter(|column| !is_unknown(account, column.heading().name))
}

fn of_samples(row: &FunctionReport, value: fn(&SampledFunction) -> u64) -> i64 {
    row.sampled.as_ref().map_or(0, |of| signed(value(of)))
}

const CALLS: [Column<Call>; 25] = [
    Column::Number("start_unix_ns", |row, _| row.start_unix_ns),
    Column::Number("wall_ns", |row, _| signed(row.visit.call.total.wall_ns)),
    Column::Number("self_wall_ns", |row, _| signed(row.visit.call.own.wall_ns)),
    Column::Number("off_cpu_ns", |row, _| signed(row.visit.call.total.off_cpu_ns)),
    Column::Number("self_off_cpu_ns", |row, _| signed(row.visit.call.own.off_cpu_ns)),
    Column::Number("rss_bytes", |row, _| row.visit.call.total.rss_bytes),
    Column::Number("self_rss_bytes", |row, _| row.visit.call.own.rss_bytes),
    Column::Number("page_faults", |row, _| signed(row.visit.call.total.faults)),
    Column::Number("self_page_faults", |row, _| signed(row.visit.call.own.faults)),
    Column::Number("pid", |row, _| row.visit.call.pid.into()),
    Column::Number("tid", |row, _| row.visit.call.tid.into()),
    Column::Text("function", |row, names| name(names, row.visit.row)),
    Column::Text("file", |row, names| function(names, row.visit.row).map_or("", |of| &of.file)),
    Column::Number("line", |row, names| function(names, row.visit.row).map_or(0, |of| of.line.into())),
    Column::Text("caller", |row, names| row.caller.map_or("", |caller| name(names, caller))),
    Column::Number("depth", |row, _| row.visit.call.depth.into()),
    Column::Text("began", |row, _| began(row.visit.call.began)),
    Column::Text("ended", |row, _| ended(row.visit.call.ended)),
    Column::Number("recursive", |row, _| row.visit.call.recursive.into()),
    Column::Number("calls_made", |row, _| signed(row.visit.call.calls_made)),
    Column::Number("instance", |row, _| signed(row.visit.call.instance)),
    Column::Number("task", |row, _| signed(row.visit.task)),
    Column::Number("calls_inside", |row, _| signed(row.visit.calls_inside)),
    Column::Optional("corrected_ns", |row| row.corrected?.estimate_ns()),
    Column::Optional("corrected_at_most_ns", |row| row.corrected?.at_most_ns()),
];

impl<R> Column<R> {
    fn heading(&self) -> Heading {
        match *self {
            Self::Number(name, _) => Heading { name, kind: Kind::Number },
            Self::Optional(name, _) => Heading { name, kind: Kind::Optional },
            Self::Text(name, _) => Heading { name, kind: Kind::Text },
        }
    }

    fn value<'a>(&self, row: &'a R, names: &'a Names) -> Value<'a> {
        match self {
            Self::Number(_, value) => Value::Number(value(row, names)),
            Self::Optional(_, value) => {
                value(row).map_or(Value::Missing, |value| Value::Number(signed(value)))
            }
            Self::Text(_, value) => Value::Text(value(row, names)),
        }
    }
}

/// Writes the rows of a recording.
pub(super) fn write(source: &mut Source, rows: Rows, mut table: impl Table) -> Result<()> {
    let report = match rows {
        Rows::Functions => {
            let report = source.summary(|_, _| {}).report;
            let columns = functions(&report.account);
            begin(&columns, &mut table)?;
            for row in &report.functions {
                let values = columns.iter().map(|column| column.value(row, source.names()));
                table.row(&values.collect::<Vec<_>>())?;
            }
            report
        }
        Rows::Calls if source.is_sampled() => {
            bail!("samples tell of no single calls: leave --rows calls away");
        }
        Rows::Calls => {
            let columns: Vec<_> = known(CALLS, source.account()).collect();
            begin(&columns, &mut table)?;
            calls(source, &columns, &mut table)?;
            Report::new(source.recording().status.clone(), [])
        }
    };
    table.end(&notes(source, &report))
}

fn begin<R>(columns: &[Column<R>], table: &mut impl Table) -> Result<()> {
    table.begin(&columns.iter().map(Column::heading).collect::<Vec<_>>())
}

fn calls(source: &mut Source, columns: &[Column<Call>], table: &mut impl Table) -> Result<()> {
    let clock_offset_ns = source.recording().clock_offset_ns;
    let names = source.names().clone();
    let correction = source.correction();
    source.try_calls(|visit, paths| {
        let call = Call {
            visit: *visit,
            caller: paths.row(paths.parent(visit.path)),
            start_unix_ns: signed(visit.call.start_ns).saturating_add(clock_offset_ns),
            corrected: correction.map(|correction| visit.corrected(correction)),
        };
        table.row(&columns.iter().map(|column| column.value(&call, &names)).collect::<Vec<_>>())
    })?;
    Ok(())
}

/// `None`: its names are missing in the log.
fn function(names: &Names, row: Row) -> Option<&Function> {
    // Functions without names get their rows only while calls are read.
    if (row as usize) < names.len() { names.get(row).function.as_ref() } else { None }
}

fn name(names: &Names, row: Row) -> &str {
    function(names, row).map_or(UNNAMED, |of| &of.name)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn began(began: Began) -> &'static str {
    match began {
        Began::Call => "called",
        Began::Resumed => "resumed",
        Began::OpenAtAttach => "open at attach",
        Began::Unseen => "unseen",
    }
}

fn ended(ended: Ended) -> &'static str {
    match ended {
        Ended::Returned => "returned",
        Ended::Raised => "raised",
        Ended::Suspended => "suspended",
        Ended::OpenAtDetach => "open at detach",
        Ended::Unseen => "unseen",
        Ended::WithThread => "with its thread",
        Ended::SuspendedUnseen => "suspended, seen late",
        Ended::RaisedUnseen => "raised, seen late",
    }
}
