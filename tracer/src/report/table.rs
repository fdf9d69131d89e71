//! The report for people: a table as wide as the terminal, and the lines below it that say how far to trust it.

mod sampled;
mod untraced;
mod windows;

use std::cmp::{Ordering, Reverse};

use rustc_hash::FxHashMap;

use super::grid::{GridRow, Layout, grid};
use super::{Account, FunctionReport, ProcessReport, Report, lines};
use crate::terminal;
use crate::units::{count, duration, signed_bytes};

/// What the rows are sorted by, largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Sort {
    /// Wall time without what it called
    #[default]
    #[value(name = "self")]
    Own,
    /// Wall time with all that it called
    Cum,
    /// Calls
    Calls,
    /// Resumptions of generators and coroutines
    Resumed,
    /// CPU time without what it called
    Cpu,
    /// CPU time with all that it called
    CumCpu,
    /// Time off CPU without what it called
    OffCpu,
    /// Change of resident memory, up or down, without what it called
    Rss,
    /// The same with all that it called
    CumRss,
    /// Page faults
    Faults,
    /// Wall time per call, with all that it called
    PerCall,
    /// Name, from a to z
    Name,
}

/// What the rows of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noun {
    /// One of them.
    pub one: &'static str,
    /// Several.
    pub many: &'static str,
}

/// Rows that are functions.
pub const FUNCTIONS: Noun = Noun { one: "function", many: "functions" };

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
    /// For standard output as it is: a terminal has a width, and colours unless `NO_COLOR` is set or it has none.
    pub fn for_stdout(sort: Sort, limit: usize) -> Self {
        Self { sort, limit, width: terminal::width(), colour: terminal::has_colours() }
    }

    /// How many of so many are to be shown.
    pub(crate) fn shown(&self, there_are: usize) -> usize {
        if self.limit == 0 { there_are } else { self.limit.min(there_are) }
    }

    /// Lines of text, no longer than fits.
    pub(crate) fn folded(&self, text: &str) -> String {
        self.width.map_or_else(|| text.to_owned(), |width| lines::folded(text, usize::from(width)))
    }

    pub(crate) fn layout(&self) -> Layout {
        match self.width {
            None => Layout::Line,
            Some(110..) => Layout::Wide,
            Some(_) => Layout::Narrow,
        }
    }
}

/// The whole report as text, each line ended: a table for each process, the busiest first, or one for all if it is
/// [merged](Report::merged).
pub fn render(report: &Report, options: &TableOptions) -> String {
    let footer = options.folded(&lines::footer(report, options.colour));
    lines::heading(report) + &tables(report, FUNCTIONS, options) + &footer
}

/// The tables of a report, whose rows may be something else than functions.
pub(crate) fn tables(report: &Report, noun: Noun, options: &TableOptions) -> String {
    let mut out = String::new();
    if report.is_merged() {
        out += &part(report.functions.iter().collect(), noun, &report.account, options);
        out.push('\n');
        let (shown, hidden) = report.processes.split_at(options.shown(report.processes.len()));
        for process in shown {
            out += &lines::process(process, options.width);
            out += &options.folded(&lines::memory(process, &report.account));
        }
        out.push('\n');
        out += &options.folded(&lines::not_listed(hidden.len()));
    } else {
        out += &by_process(report, noun, options);
    }
    out
}

fn by_process(report: &Report, noun: Noun, options: &TableOptions) -> String {
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
        out += &part(rows, noun, &report.account, options);
        out += &options.folded(&lines::memory(process, &report.account));
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

/// A table and what is to be said of the rows in it together.
fn part(functions: Vec<&FunctionReport>, noun: Noun, account: &Account, options: &TableOptions) -> String {
    let totals = options.folded(&lines::totals(&functions, noun.many, account));
    let (mut rows, special): (Vec<_>, Vec<_>) = functions.into_iter().partition(|row| row.is_function());
    rows.sort_by(|left, right| compare(left, right, options.sort));
    let hidden = rows.split_off(options.shown(rows.len()));
    rows.extend(special);
    let mut out = String::new();
    if !rows.is_empty() {
        out = table(&rows, noun, account, options) + "\n\n";
    }
    let hidden = lines::hidden(hidden.len(), own_ns(&hidden), noun.many, "--limit 0 shows all");
    out + &options.folded(&hidden) + &totals
}

fn own_ns(rows: &[&FunctionReport]) -> u64 {
    rows.iter().map(|row| row.self_wall_ns).fold(0, u64::saturating_add)
}

fn compare(left: &FunctionReport, right: &FunctionReport, sort: Sort) -> Ordering {
    let name = |row: &FunctionReport| (row.function.clone(), row.file.clone(), row.line);
    let by_name = || name(left).cmp(&name(right));
    if sort == Sort::Name {
        return by_name();
    }
    let key = |row: &FunctionReport| match sort {
        Sort::Own | Sort::Name => row.self_wall_ns,
        Sort::Cum => row.cum_wall_ns,
        Sort::Calls => row.calls,
        Sort::Resumed => row.resumes,
        Sort::Cpu => row.self_cpu_ns,
        Sort::CumCpu => row.cum_cpu_ns,
        Sort::OffCpu => row.self_wall_ns.saturating_sub(row.self_cpu_ns),
        Sort::Rss => row.self_rss_bytes.unsigned_abs(),
        Sort::CumRss => row.cum_rss_bytes.unsigned_abs(),
        Sort::Faults => row.page_faults,
        Sort::PerCall => row.cum_wall_ns.checked_div(row.calls).unwrap_or(0),
    };
    (key(right), right.self_wall_ns).cmp(&(key(left), left.self_wall_ns)).then_with(by_name)
}

fn table(rows: &[&FunctionReport], noun: Noun, account: &Account, options: &TableOptions) -> String {
    let layout = options.layout();
    let is_sampled = rows.iter().any(|row| row.sampled.is_some());
    let columns = if is_sampled { sampled::header(layout) } else { header(layout) };
    // Of samples without probes, and counted in windows: how often, relative to each other.
    let has_untraced = rows.iter().any(|row| row.untraced.is_some());
    let has_calls = rows.iter().any(|row| row.call_share.is_some());
    let mut shares = Vec::new();
    if has_untraced {
        shares.extend(untraced::header(layout));
    }
    if has_calls {
        shares.extend(windows::header(layout));
    }
    let header: Vec<_> = std::iter::once(noun.one).chain(columns.iter().chain(shares).copied()).collect();
    let rows = rows.iter().map(|row| {
        let place = if row.line == 0 { row.file.clone() } else { format!("{}:{}", row.file, row.line) };
        let mut cells = match &row.sampled {
            Some(of) => sampled::cells(row, of, account, layout),
            None => numbers(row, account, layout),
        };
        if has_untraced {
            cells.extend(untraced::cells(row.untraced.as_ref(), layout));
        }
        if has_calls {
            cells.extend(windows::cells(row, layout));
        }
        GridRow { name: row.function.clone(), place, cells }
    });
    grid(&header, &rows.collect::<Vec<_>>(), options)
}

/// The columns after the first.
fn header(layout: Layout) -> &'static [&'static str] {
    const NARROW: &[&str] = &[
        "calls\n+resumed",
        "self\ncum",
        "self cpu\ncum cpu",
        "self rss\ncum rss",
        "faults",
        "cum\nper call",
    ];
    const WIDE: &[&str] = &[
        "calls", "resumed", "self", "cum", "self cpu", "cum cpu", "self rss", "cum rss", "faults", "cum/call",
    ];
    if layout == Layout::Narrow { NARROW } else { WIDE }
}

/// The cells after the first.
fn numbers(row: &FunctionReport, account: &Account, layout: Layout) -> Vec<String> {
    // Where ends came out late the times are bounds from above.
    let time = |ns| if row.late_ends > 0 { format!("≤{}", duration(ns)) } else { duration(ns) };
    let wall = [time(row.self_wall_ns), time(row.cum_wall_ns)];
    let cpu = [time(row.self_cpu_ns), time(row.cum_cpu_ns)];
    let rss = rss(row, account);
    let per_call = row.cum_wall_ns.checked_div(row.calls).map_or_else(|| "-".to_owned(), duration);
    let faults = if account.memory_unknown { "-".to_owned() } else { count(row.page_faults) };
    let rest = [faults, per_call];
    if !row.is_function() {
        let bytes = if layout == Layout::Narrow { &[3][..] } else { &[6, 7] };
        let columns = header(layout).len();
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

/// Own and cumulative change of resident memory.
fn rss(row: &FunctionReport, account: &Account) -> [String; 2] {
    [row.self_rss_bytes, row.cum_rss_bytes]
        .map(|bytes| if account.memory_unknown { "-".to_owned() } else { signed_bytes(bytes) })
}

/// The cell of the calls, with what is not among them: resumptions without a column, and calls open at attach.
fn calls(row: &FunctionReport, layout: Layout) -> String {
    let resumed = (layout == Layout::Narrow && row.resumes > 0).then(|| format!("+{}", count(row.resumes)));
    let open = (row.open_at_attach > 0).then(|| format!("+{} open", count(row.open_at_attach)));
    let counts: Vec<_> = std::iter::once(count(row.calls)).chain(resumed).chain(open).collect();
    counts.join(if layout == Layout::Line { " " } else { "\n" })
}

#[cfg(test)]
mod tests;
