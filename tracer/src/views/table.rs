//! Tables: by function as the recording's own report, or by something else with the same columns.

use anyhow::Result;
use serde::Serialize;

use super::{Body, By, Named, ViewOptions, thread_words, whole};
use crate::analysis::Source;
use crate::analysis::by_task::{ByTask, Task, Tasks};
use crate::analysis::groups::{Group, GroupBy, groups};
use crate::analysis::source::Summary;
use crate::event::Function;
use crate::report::sampled::set_shares;
use crate::report::table::{FUNCTIONS, Noun, render, tables};
use crate::report::{FunctionReport, Report, Sums};
use crate::summary::FunctionSums;
use crate::units::{count, counted, duration};

/// Name of the row for what ran in no task.
const NO_TASK: &str = "<no task>";

/// Sums of groups of calls.
#[derive(Serialize)]
struct Table {
    by: By,
    groups: Vec<Row>,
    /// Rows of the report for what no function is charged with.
    no_function: Vec<FunctionReport>,
}

impl Table {
    fn of(report: &Report, by: By, groups: Vec<Row>) -> Self {
        let no_function = report.functions.iter().filter(|row| !row.is_function()).cloned().collect();
        Self { by, groups, no_function }
    }
}

/// A row of the table.
#[derive(Clone, Serialize)]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<usize>,
    /// 0: of all processes.
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskRow>,
    /// Functions that were called.
    #[serde(skip_serializing_if = "Option::is_none")]
    functions: Option<u64>,
    #[serde(flatten)]
    sums: Sums,
    late_ends: u64,
    /// For the table: name and place.
    #[serde(skip)]
    label: (String, String),
    #[serde(skip)]
    raw: FunctionSums,
}

/// What is said of a task besides its sums.
#[derive(Clone, Serialize)]
struct TaskRow {
    #[serde(flatten)]
    coroutine: Named,
    instance: u64,
    /// Nanoseconds since 1970.
    start_unix_ns: i64,
    /// It began before that.
    cut: bool,
    steps: u64,
    ran_ns: u64,
    waited_ns: u64,
}

pub(super) fn show(source: &mut Source, options: &ViewOptions) -> Result<String> {
    let by = match options.by {
        By::Function => {
            let report = source.summary(|_, _| {}).report;
            return shown(report, options);
        }
        By::Task => return by_task(source, options),
        By::File => GroupBy::File,
        By::Module => GroupBy::Module,
        By::Thread => GroupBy::Thread,
        By::Process => GroupBy::Process,
    };
    let Summary { report, tree } = source.summary(|_, _| {});
    let groups = groups(&tree, source.names(), source.threads(), by, options.merge);
    let rows = groups.iter().map(|group| of_group(group, by, source, &report)).collect();
    whole(&Table::of(&report, options.by, rows), &report, options)
}

/// The report by function.
///
/// # Errors
/// If its JSON can't be made.
pub(super) fn shown(report: Report, options: &ViewOptions) -> Result<String> {
    let report = if options.merge { report.merged() } else { report };
    Ok(if options.json { report.to_json()? + "\n" } else { render(&report, &options.table) })
}

fn of_group(group: &Group, by: GroupBy, source: &Source, report: &Report) -> Row {
    let Group { key, functions, sums } = group;
    let name = || Some(key.name.clone());
    let place = counted(*functions, "function");
    let command = || {
        let process = report.processes.iter().find(|process| Some(process.process) == key.process);
        process.and_then(|process| process.command.clone()).unwrap_or_default()
    };
    let label = match by {
        GroupBy::File | GroupBy::Module => (key.name.clone(), place),
        GroupBy::Thread => (key.thread.map(|number| thread_words(source, number)).unwrap_or_default(), place),
        GroupBy::Process => (format!("process {}", key.pid), command()),
    };
    Row {
        process: key.process,
        pid: key.pid,
        tid: key.thread.and_then(|number| source.threads().get(number as usize)).map(|(_, tid)| *tid),
        thread_name: key.thread.and_then(|number| source.thread_name(number)).map(str::to_owned),
        file: (by == GroupBy::File).then(name).flatten(),
        module: (by == GroupBy::Module).then(name).flatten(),
        task: None,
        functions: Some(*functions),
        sums: sums.into(),
        late_ends: sums.late_ends,
        label,
        raw: *sums,
    }
}

fn by_task(source: &mut Source, options: &ViewOptions) -> Result<String> {
    let mut tasks = Tasks::default();
    let Summary { report, tree } = source.summary(|visit, _| tasks.add(visit));
    let ByTask { tasks, left_out, others, outside } = tasks.finish(&tree, source.names());
    let mut rows: Vec<Row> = tasks.iter().map(|task| of_task(task, source, &report)).collect();
    let rest = |(process, sums): (&usize, &FunctionSums), name: String| {
        let known = report.processes.iter().find(|known| known.process == *process);
        plain(Some(*process), known.map_or(0, |known| known.pid), (name, String::new()), sums)
    };
    rows.extend(others.iter().map(|other| rest(other, format!("<{} shorter tasks>", count(left_out)))));
    rows.extend(outside.iter().map(|outside| rest(outside, NO_TASK.to_owned())));
    if options.merge {
        for row in &mut rows {
            row.process = None;
        }
    }
    whole(&Table::of(&report, options.by, rows), &report, options)
}

fn of_task(task: &Task, source: &Source, report: &Report) -> Row {
    let named = source.names().get(task.row);
    let coroutine = Named::new(named.function.as_ref());
    let start_unix_ns = (task.start_ns as i64).saturating_add(source.recording().clock_offset_ns);
    let waited = task.waited_ns();
    let since = (start_unix_ns as u64).saturating_sub(report.window.start_unix_ns);
    let began = if task.is_cut { "before" } else { "at" };
    let place =
        format!("{began} +{}, {}, waited {}", duration(since), counted(task.steps, "step"), duration(waited));
    let label = (format!("{} #{}", coroutine.function, task.instance), place);
    let row = TaskRow {
        coroutine,
        instance: task.instance,
        start_unix_ns,
        cut: task.is_cut,
        steps: task.steps,
        ran_ns: task.sums.cumulative.wall_ns,
        waited_ns: waited,
    };
    Row { task: Some(row), ..plain(Some(named.process), named.pid, label, &task.sums) }
}

fn plain(process: Option<usize>, pid: u32, label: (String, String), sums: &FunctionSums) -> Row {
    Row {
        process,
        pid,
        tid: None,
        thread_name: None,
        file: None,
        module: None,
        task: None,
        functions: None,
        sums: sums.into(),
        late_ends: sums.late_ends,
        label,
        raw: *sums,
    }
}

impl Row {
    /// As a row of the table.
    fn report(&self, is_sampled: bool) -> FunctionReport {
        let (name, file) = self.label.clone();
        let function = Function { name, file, line: 0 };
        let row = if is_sampled { FunctionReport::sampled } else { FunctionReport::new };
        FunctionReport { process: self.process, ..row((0, self.pid), Some(&function), &self.raw) }
    }
}

impl Body for Table {
    fn text(&self, report: &Report, options: &ViewOptions) -> String {
        let is_sampled = report.account.sampling.is_some();
        let groups = self.groups.iter().map(|row| row.report(is_sampled));
        let mut functions: Vec<_> = groups.chain(self.no_function.iter().cloned()).collect();
        if options.merge || self.by == By::Process {
            for row in &mut functions {
                row.process = None;
            }
        }
        set_shares(&mut functions);
        tables(&Report { functions, ..report.clone() }, noun(self.by), &options.table)
    }
}

fn noun(by: By) -> Noun {
    match by {
        By::Function => FUNCTIONS,
        By::File => Noun { one: "file", many: "files" },
        By::Module => Noun { one: "module", many: "modules" },
        By::Thread => Noun { one: "thread", many: "threads" },
        By::Process => Noun { one: "process", many: "processes" },
        By::Task => Noun { one: "task", many: "rows" },
    }
}
