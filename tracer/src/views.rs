//! Ways to look at a recording: tables by function, file, module, thread, process or task, call trees, coroutines,
//! latencies, single calls, memory. One file for each, behind [`Body`]; each is text for people or JSON for scripts.

mod calls;
mod drawing;
mod latency;
mod leaks;
mod memory;
mod table;
mod tasks;
mod tree;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::analysis::Source;
use crate::analysis::measure::{MEMORY_UNKNOWN, Measure};
use crate::event::Function;
use crate::report::json::to_json;
use crate::report::table::{Sort, TableOptions};
use crate::report::{Account, ProcessReport, Report, UNNAMED, Window, lines};

/// Version of the JSON forms of views.
const SCHEMA: u32 = 1;

/// The views.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// Sums by function, file, module, thread, process or task (--by)
    #[default]
    Table,
    /// What called what, from the outermost functions inward
    Tree,
    /// The functions that weigh most, and what called them
    Callers,
    /// Coroutines: how long they ran, how long they waited
    Tasks,
    /// How long calls take: median, 90 and 99 of 100, longest
    Latency,
    /// The slowest single calls
    Slowest,
    /// The calls that added most resident memory
    Growth,
    /// Resident memory over time, and what moved it
    Memory,
    /// Memory that was added and not given back, by call path
    Leaks,
}

/// What a table's rows are of, and the first level of call trees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// Functions
    #[default]
    Function,
    /// Files
    File,
    /// Modules, as far as file names tell
    Module,
    /// Threads
    Thread,
    /// Processes
    Process,
    /// Asyncio tasks: instances of the outermost coroutine on a stack
    Task,
}

/// What to show, and how.
#[derive(Clone, Copy, Debug)]
pub struct ViewOptions {
    /// Which view.
    pub view: View,
    /// What rows are of.
    pub by: By,
    /// What call trees are weighed by.
    pub of: Measure,
    /// Nodes of call trees that weigh less than this share of the whole, of 1, are left out.
    pub min_share: f64,
    /// Library frames one by one.
    pub all_frames: bool,
    /// All processes are one.
    pub merge: bool,
    /// As JSON.
    pub json: bool,
    /// Order, length, and the terminal.
    pub table: TableOptions,
}

impl ViewOptions {
    /// Is it what a report tells, so that no event log is needed?
    pub fn is_report(&self) -> bool {
        self.view == View::Table && self.by == By::Function
    }

    /// Why a recording with this account can't show it; `None`: it can.
    pub fn why_not(&self, account: &Account) -> Option<&'static str> {
        if account.sampling.is_some() && (self.view.is_of_calls() || self.by == By::Task) {
            Some(
                "samples tell of no single calls: record without --source sample, or take --view table, tree or callers",
            )
        } else if account.memory_unknown && self.view.is_of_memory() {
            Some(MEMORY_UNKNOWN)
        } else {
            self.of.why_not(account)
        }
    }
}

impl View {
    /// Is it made of single calls or changes of memory, so that sums don't help it?
    fn is_of_rows(self) -> bool {
        matches!(self, Self::Tasks | Self::Latency | Self::Slowest | Self::Growth | Self::Memory)
    }

    /// Is it made of single calls, which samples don't tell of?
    fn is_of_calls(self) -> bool {
        matches!(self, Self::Tasks | Self::Latency | Self::Slowest | Self::Growth)
    }

    /// Is memory all that it shows?
    fn is_of_memory(self) -> bool {
        matches!(self, Self::Growth | Self::Memory | Self::Leaks)
    }

    /// How many rows it has, unless told.
    pub fn default_limit(self) -> usize {
        match self {
            Self::Slowest | Self::Growth => 10,
            Self::Memory => 20,
            _ => 25,
        }
    }

    /// What it is sorted by, unless told.
    pub fn default_sort(self) -> Sort {
        if self == Self::Slowest { Sort::Cum } else { Sort::Own }
    }

    /// Can it be sorted by this?
    pub fn takes_sort(self, sort: Sort) -> bool {
        match self {
            Self::Table => true,
            Self::Slowest => calls::takes(sort),
            _ => false,
        }
    }
}

/// Reads a recording and shows it. The text, or the JSON, ends with a line break.
///
/// # Errors
/// If the recording knows nothing of it, or if the JSON can't be made.
pub fn show(source: &mut Source, options: &ViewOptions) -> Result<String> {
    if let Some(why) = options.why_not(source.account()) {
        bail!("{why}");
    }
    match options.view {
        View::Table => table::show(source, options),
        View::Tree | View::Callers => tree::show(source, options),
        View::Tasks => tasks::show(source, options),
        View::Latency => latency::show(source, options),
        View::Slowest | View::Growth => calls::show(source, options),
        View::Memory => memory::show(source, options),
        View::Leaks => leaks::show(source, options),
    }
}

/// Shows the report by function, which needs no event log: the table by function only.
///
/// # Errors
/// If the JSON can't be made.
pub fn show_report(report: Report, options: &ViewOptions) -> Result<String> {
    table::shown(report, options)
}

/// What a view found out, in its JSON form.
trait Body: Serialize {
    /// The same for people, each line ended; what is said of the recording as a whole is not part of it.
    fn text(&self, report: &Report, options: &ViewOptions) -> String;
}

/// A view with what holds for the recording as a whole.
#[derive(Serialize)]
struct Whole<'a, B> {
    schema: u32,
    view: View,
    window: &'a Window,
    processes: &'a [ProcessReport],
    #[serde(flatten)]
    body: &'a B,
    account: &'a Account,
}

/// A view as it is printed.
fn whole(body: &impl Body, report: &Report, options: &ViewOptions) -> Result<String> {
    let mut account = report.account.clone();
    if account.thinned.is_some() && options.view.is_of_rows() {
        account.notes.push("this view is of what the log has rows of".into());
    }
    if options.json {
        let Report { window, processes, .. } = report;
        let whole = Whole { schema: SCHEMA, view: options.view, window, processes, body, account: &account };
        return Ok(to_json(&whole, &[&account])? + "\n");
    }
    let TableOptions { colour, .. } = options.table;
    let footer = lines::footer_of(&account, report.window.duration_ns, colour);
    Ok(lines::heading(report) + &body.text(report, options) + &options.table.folded(&footer))
}

/// A function, in JSON.
#[derive(Clone, Debug, Serialize)]
struct Named {
    function: String,
    file: String,
    line: u32,
}

impl Named {
    fn new(function: Option<&Function>) -> Self {
        match function.cloned() {
            Some(Function { name, file, line }) => Self { function: name, file, line },
            None => Self { function: UNNAMED.to_owned(), file: String::new(), line: 0 },
        }
    }

    /// Where it is: empty if it has no file.
    fn place(&self) -> String {
        if self.file.is_empty() { String::new() } else { format!("{}:{}", self.file, self.line) }
    }
}

/// A thread, by its number: `thread 4243 (worker)`.
fn thread_words(source: &Source, number: u32) -> String {
    let tid = source.threads().get(number as usize).map_or(0, |(_, tid)| *tid);
    match source.thread_name(number) {
        Some(name) => format!("thread {tid} ({name})"),
        None => format!("thread {tid}"),
    }
}

/// Says how many rows the limit has left out.
fn not_shown(rows: usize) -> String {
    if rows == 0 { String::new() } else { format!("{rows} more are not shown (--limit 0 shows all)\n\n") }
}

/// The line above what is shown of a process, or of all together.
fn title(report: &Report, process: Option<usize>, options: &ViewOptions) -> String {
    let known = report.processes.iter().find(|known| Some(known.process) == process);
    known.map_or_else(
        || format!("{} processes together\n", report.processes.len()),
        |process| lines::process(process, options.table.width),
    )
}
