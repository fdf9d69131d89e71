//! The report for people: a table as wide as the terminal, and the lines below it that say how far to trust it.

use std::cmp::Reverse;
use std::io::IsTerminal as _;

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};
use rustc_hash::FxHashMap;

use super::fit::{cut_middle, cut_start};
use super::{FunctionReport, ProcessReport, Report, lines};
use crate::text::shown;
use crate::units::{count, duration, signed_bytes};

/// Blank columns between two of the table.
const GUTTER: u16 = 2;
/// Columns a function gets however narrow the terminal is.
const LEAST_ROOM: usize = 16;

/// What the rows are sorted by, largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Sort {
    /// Wall time without what it called.
    #[default]
    #[value(name = "self")]
    Own,
    /// Wall time with all that it called.
    Cum,
    /// Calls.
    Calls,
    /// Change of resident memory, up or down.
    Rss,
    /// Page faults.
    Faults,
}

/// How a table is to look.
#[derive(Clone, Copy, Debug)]
pub struct TableOptions {
    /// Order of the rows.
    pub sort: Sort,
    /// Most functions to show for each process, and most processes; 0: all.
    pub limit: usize,
    /// Columns of the terminal; `None`: as wide as it takes, one line for each function.
    pub width: Option<u16>,
    /// Bold and colours.
    pub colour: bool,
}

impl TableOptions {
    /// For standard output as it is: a terminal has a width, and colours unless `NO_COLOR` is set.
    pub fn for_stdout(sort: Sort, limit: usize) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let width = if terminal { Table::new().width().or(Some(80)) } else { None };
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { sort, limit, width, colour: terminal && !no_color }
    }

    /// How many of so many are to be shown.
    pub(super) fn shown(&self, there_are: usize) -> usize {
        if self.limit == 0 { there_are } else { self.limit.min(there_are) }
    }

    /// Lines of text, no longer than fits.
    pub(super) fn folded(&self, text: &str) -> String {
        self.width.map_or_else(|| text.to_owned(), |width| lines::folded(text, usize::from(width)))
    }

    fn layout(&self) -> Layout {
        match self.width {
            None => Layout::Line,
            Some(110..) => Layout::Wide,
            Some(_) => Layout::Narrow,
        }
    }
}

/// How a function is set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Everything in one line.
    Line,
    /// The place of the function below its name.
    Wide,
    /// The same, and cumulative numbers below those of the function itself.
    Narrow,
}

/// The whole report as text, each line ended: a table for each process, the busiest first, or one for all if it is
/// [merged](Report::merged).
pub fn render(report: &Report, options: &TableOptions) -> String {
    let mut out = lines::heading(report);
    if report.is_merged() {
        out += &part(report.functions.iter().collect(), options);
        out.push('\n');
        let (shown, hidden) = report.processes.split_at(options.shown(report.processes.len()));
        for process in shown {
            out += &lines::process(process, options.width);
            out += &options.folded(&lines::memory(process));
        }
        out.push('\n');
        out += &options.folded(&lines::not_listed(hidden.len()));
    } else {
        out += &by_process(report, options);
    }
    out + &options.folded(&lines::footer(report, options.colour))
}

fn by_process(report: &Report, options: &TableOptions) -> String {
    let mut parts: Vec<(&ProcessReport, Vec<&FunctionReport>)> =
        report.processes.iter().map(|process| (process, Vec::new())).collect();
    let places: FxHashMap<_, _> =
        parts.iter().enumerate().map(|(at, (process, _))| (process.process, at)).collect();
    for row in &report.functions {
        let at = row.process.and_then(|process| places.get(&process));
        if let Some((_, rows)) = at.and_then(|&at| parts.get_mut(at)) {
            rows.push(row);
        }
    }
    parts.sort_by_key(|(_, rows)| Reverse(own_ns(rows)));
    let hidden = parts.split_off(options.shown(parts.len()));
    let mut out = String::new();
    for (process, rows) in parts {
        out += &lines::process(process, options.width);
        out += &part(rows, options);
        out += &options.folded(&lines::memory(process));
        out.push('\n');
    }
    let own_ns = hidden.iter().map(|(_, rows)| own_ns(rows)).fold(0, u64::saturating_add);
    out + &options.folded(&lines::hidden(
        hidden.len(),
        own_ns,
        "processes",
        "--limit 0 shows all, --merge adds all up",
    ))
}

/// A table and what is to be said of the functions in it together.
fn part(functions: Vec<&FunctionReport>, options: &TableOptions) -> String {
    let totals = options.folded(&lines::totals(&functions));
    let (mut rows, special): (Vec<_>, Vec<_>) = functions.into_iter().partition(|row| row.is_function());
    rows.sort_by_key(|row| sort_key(row, options.sort));
    let hidden = rows.split_off(options.shown(rows.len()));
    rows.extend(special);
    let mut out = String::new();
    if !rows.is_empty() {
        out = table(&rows, options) + "\n\n";
    }
    let hidden = lines::hidden(hidden.len(), own_ns(&hidden), "functions", "--limit 0 shows all");
    out + &options.folded(&hidden) + &totals
}

fn own_ns(rows: &[&FunctionReport]) -> u64 {
    rows.iter().map(|row| row.self_wall_ns).fold(0, u64::saturating_add)
}

fn sort_key(row: &FunctionReport, sort: Sort) -> (Reverse<u64>, Reverse<u64>) {
    let key = match sort {
        Sort::Own => row.self_wall_ns,
        Sort::Cum => row.cum_wall_ns,
        Sort::Calls => row.calls,
        Sort::Rss => row.self_rss_bytes.unsigned_abs(),
        Sort::Faults => row.page_faults,
    };
    (Reverse(key), Reverse(row.self_wall_ns))
}

fn table(rows: &[&FunctionReport], options: &TableOptions) -> String {
    let layout = options.layout();
    let header = header(layout);
    let cells: Vec<Vec<String>> = rows.iter().map(|row| numbers(row, layout)).collect();
    let room = options
        .width
        .map_or(usize::MAX, |width| usize::from(width).saturating_sub(taken(header, &cells)).max(LEAST_ROOM));

    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let _ = if options.colour { table.enforce_styling() } else { table.force_no_tty() };
    let title = |title: &&str| {
        let cell = Cell::new(title);
        if options.colour { cell.add_attribute(Attribute::Bold) } else { cell }
    };
    table.set_header(header.iter().map(title));
    for (row, numbers) in rows.iter().zip(cells) {
        let label = label(row, layout, room);
        table.add_row(std::iter::once(label).chain(numbers));
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding(if at == 0 { (0, 0) } else { (GUTTER, 0) });
        column.set_cell_alignment(if at == 0 { CellAlignment::Left } else { CellAlignment::Right });
    }
    table.trim_fmt()
}

/// Columns of the terminal that the numbers take.
fn taken(header: &[&str], cells: &[Vec<String>]) -> usize {
    let widest = |at: usize| {
        let column = cells.iter().map(|row| row[at - 1].as_str()).chain([header[at]]);
        column.flat_map(str::lines).map(str::len).max().unwrap_or(0)
    };
    (1..header.len()).map(|at| widest(at) + usize::from(GUTTER)).sum()
}

fn header(layout: Layout) -> &'static [&'static str] {
    const NARROW: &[&str] = &[
        "function",
        "calls\n+resumed",
        "self\ncum",
        "self cpu\ncum cpu",
        "self rss\ncum rss",
        "faults",
        "cum\nper call",
    ];
    const WIDE: &[&str] = &[
        "function", "calls", "resumed", "self", "cum", "self cpu", "cum cpu", "self rss", "cum rss",
        "faults", "cum/call",
    ];
    if layout == Layout::Narrow { NARROW } else { WIDE }
}

/// The cells after the first.
fn numbers(row: &FunctionReport, layout: Layout) -> Vec<String> {
    // Where ends came out late the times are bounds from above.
    let time = |ns| if row.late_ends > 0 { format!("≤{}", duration(ns)) } else { duration(ns) };
    let wall = [time(row.self_wall_ns), time(row.cum_wall_ns)];
    let cpu = [time(row.self_cpu_ns), time(row.cum_cpu_ns)];
    let rss = [signed_bytes(row.self_rss_bytes), signed_bytes(row.cum_rss_bytes)];
    let per_call = row.cum_wall_ns.checked_div(row.calls).map_or_else(|| "-".to_owned(), duration);
    let rest = [count(row.page_faults), per_call];
    if !row.is_function() {
        let bytes = if layout == Layout::Narrow { &[3][..] } else { &[6, 7] };
        let columns = header(layout).len() - 1;
        return (0..columns)
            .map(|at| if bytes.contains(&at) { rss[0].clone() } else { String::new() })
            .collect();
    }
    if layout == Layout::Narrow {
        let pairs = [wall, cpu, rss].map(|pair| pair.join("\n"));
        return [calls(row, layout)].into_iter().chain(pairs).chain(rest).collect();
    }
    let counts = [calls(row, layout), count(row.resumes)];
    counts.into_iter().chain([wall, cpu, rss].into_iter().flatten()).chain(rest).collect()
}

/// The cell of the calls, with what is not among them: resumptions without a column, and calls open at attach.
fn calls(row: &FunctionReport, layout: Layout) -> String {
    let resumed = (layout == Layout::Narrow && row.resumes > 0).then(|| format!("+{}", count(row.resumes)));
    let open = (row.open_at_attach > 0).then(|| format!("+{} open", count(row.open_at_attach)));
    let counts: Vec<_> = std::iter::once(count(row.calls)).chain(resumed).chain(open).collect();
    counts.join(if layout == Layout::Line { " " } else { "\n" })
}

/// The first cell: name and place.
fn label(row: &FunctionReport, layout: Layout, room: usize) -> String {
    let name = shown(&row.function);
    let file = if row.file.is_empty() { String::new() } else { format!("{}:{}", shown(&row.file), row.line) };
    let below = |room: usize| cut_start(&file, room);
    let (name, place) = match layout {
        Layout::Line => (name.into_owned(), below(room)),
        Layout::Wide | Layout::Narrow => (cut_middle(&name, room), below(room - 2)),
    };
    match (place.is_empty(), layout) {
        (true, _) => name,
        (false, Layout::Line) => format!("{name}  {place}"),
        (false, _) => format!("{name}\n  {place}"),
    }
}

#[cfg(test)]
mod tests;
