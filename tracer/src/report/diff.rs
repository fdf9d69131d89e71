//! What changed between two recordings, for people: a table as wide as the terminal, and both accounts.

use std::fmt::Write as _;

use super::grid::{GridRow, Layout, grid};
use super::lines;
use super::table::TableOptions;
use crate::diff::{Amounts, Column, Diff, FunctionDiff, Per, Presence, ShareChange};
use crate::report::Status;
use crate::text::shown;
use crate::units::{count, duration, signed_bytes};

/// The whole comparison as text, each line ended. Of `options` the limit, the width and colours count.
pub fn render(diff: &Diff, sort: Column, options: &TableOptions) -> String {
    let mut out = side("before", &diff.before, options) + &side("after ", &diff.after, options);
    for warning in &diff.warnings {
        let _ = writeln!(out, "warning: {}", shown(warning));
    }
    let changed: Vec<_> = diff.functions.iter().filter(|row| row.has_changed()).collect();
    let shown = &changed[..options.shown(changed.len())];
    out += &match diff.per {
        Per::Total => "\n".to_owned(),
        Per::Second => "\nper second of the window\n".to_owned(),
        Per::Call => "\nper call; calls of the whole window\n".to_owned(),
    };
    if !shown.is_empty() {
        out += &table(shown, diff, sort, options);
        out += "\n\n";
    }
    out += &rest(diff, changed.len(), shown.len());
    if diff.is_sampled() {
        out += &options.folded(CHANCE);
    }
    out + &footer("before: ", &diff.before, options) + &footer("after: ", &diff.after, options)
}

/// Cost and account of one of the two, each line with its name.
fn footer(name: &str, status: &Status, options: &TableOptions) -> String {
    let footer = lines::footer_of(&status.account, status.window.duration_ns, options.colour);
    let line = |line: &str| format!("{}{line}\n", if line.starts_with(' ') { "" } else { name });
    options.folded(&footer.lines().map(line).collect::<String>())
}

fn side(name: &str, status: &Status, options: &TableOptions) -> String {
    let window = format!("{name}  {} of ", duration(status.window.duration_ns));
    match &status.processes[..] {
        [process] => {
            let room = options.width.map(|width| width.saturating_sub(window.len() as u16));
            window + &lines::process(process, room)
        }
        processes => format!("{window}{} processes\n", processes.len()),
    }
}

fn rest(diff: &Diff, changed: usize, shown: usize) -> String {
    let mut out = String::new();
    if changed > shown {
        let _ = writeln!(out, "{} more functions changed (--limit 0 shows all)", changed - shown);
    }
    let of = |presence| diff.functions.iter().filter(|row| row.presence == presence).count();
    let _ = writeln!(
        out,
        "{} functions: {changed} changed, {} of them new and {} gone\n",
        diff.functions.len(),
        of(Presence::New),
        of(Presence::Gone)
    );
    out
}

/// What to know about the changes of samples.
const CHANCE: &str = "both are of samples, no calls were counted; ~: the change of the share is within what chance does to \
                      such samples, with 95 % confidence; of other columns that is not known\n\n";

/// The columns of numbers, and whether they are left out where there is little room.
const NUMBERS: [(&str, Column, bool); 7] = [
    ("calls", Column::Calls, false),
    ("resumed", Column::Resumed, true),
    ("self", Column::Own, false),
    ("cum", Column::Cum, false),
    ("self cpu", Column::Cpu, false),
    ("self rss", Column::Rss, false),
    ("faults", Column::Faults, true),
];

/// The same of samples.
const OF_SAMPLES: [(&str, Column, bool); 6] = [
    ("cpu share", Column::Share, false),
    ("self", Column::Own, false),
    ("cum", Column::Cum, true),
    ("self cpu", Column::Cpu, false),
    ("cum cpu", Column::CumCpu, true),
    ("self rss", Column::Rss, false),
];

fn table(rows: &[&FunctionDiff], diff: &Diff, sort: Column, options: &TableOptions) -> String {
    let lines = options.layout() == Layout::Line;
    let is_narrow = options.layout() == Layout::Narrow;
    let is_known = |column: Column| column.why_not([&diff.before.account, &diff.after.account]).is_none();
    let all = if diff.is_sampled() { &OF_SAMPLES[..] } else { &NUMBERS };
    let numbers: Vec<_> =
        all.iter().filter(|(_, column, only_wide)| !(is_narrow && *only_wide) && is_known(*column)).collect();
    let mut header = vec!["function".to_owned(), "change".to_owned()];
    let mut add = |title: &str| {
        let three = ["before", "after", "change"].map(|of| format!("{title} {of}"));
        if lines { header.extend(three) } else { header.push(title.to_owned()) }
    };
    for (title, column, _) in &numbers {
        add(title);
        if *column == Column::Share {
            add("95 %");
        }
    }
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let columns: Vec<Column> = numbers.iter().map(|(_, column, _)| *column).collect();
    let rows: Vec<_> = rows
        .iter()
        .map(|row| GridRow {
            name: row.function.clone(),
            place: place(row),
            cells: cells(row, &columns, sort, lines),
        })
        .collect();
    grid(&header, &rows, options)
}

/// The cells after the first. Before, after and change are beside each other in a line, else below each other.
fn cells(row: &FunctionDiff, columns: &[Column], sort: Column, lines: bool) -> Vec<String> {
    let by_chance = sort == Column::Share && row.share.is_some_and(|share| !share.significant);
    let chance = if by_chance { "~" } else { "" };
    let what = match row.presence {
        Presence::New => "new".to_owned(),
        Presence::Gone => "gone".to_owned(),
        Presence::Both => percent(row.change[sort], row.before.map_or(0.0, |before| before[sort])),
    };
    let mut out = vec![if what == "=" || what == "-" { what } else { format!("{chance}{what}") }];
    let mut add = |three: [String; 3]| {
        if lines { out.extend(three) } else { out.push(three.join("\n")) }
    };
    for &column in columns {
        let bound = if row.upper_bounds && is_time(column) { "≤" } else { "" };
        let side = |amounts: Option<Amounts>| {
            amounts.map_or_else(
                || "-".to_owned(),
                |amounts| format!("{bound}{}", amount(column, amounts[column])),
            )
        };
        match row.share.as_ref().filter(|_| column == Column::Share) {
            Some(share) => [shares(share), intervals(share)].into_iter().for_each(&mut add),
            None => add([side(row.before), side(row.after), change(column, row.change[column])]),
        }
    }
    out
}

/// Shares before and after, and what changed, in points of percent.
fn shares(of: &ShareChange) -> [String; 3] {
    let share = |share: f64| format!("{:.1} %", share * 100.0);
    let mark = if of.significant { "" } else { "~" };
    let change = if of.change == 0.0 { "=".to_owned() } else { format!("{mark}{:+.1}", of.change * 100.0) };
    [share(of.before.share), share(of.after.share), change]
}

/// The intervals of those.
fn intervals(of: &ShareChange) -> [String; 3] {
    let percent = |share: f64| format!("{:.1}", share * 100.0);
    let [before, after] = [of.before, of.after].map(|of| format!("{}-{}", percent(of.low), percent(of.high)));
    [before, after, format!("{:+.1} to {:+.1}", of.change_low * 100.0, of.change_high * 100.0)]
}

/// Where a function is, and was, if that is another line.
fn place(row: &FunctionDiff) -> String {
    match (row.line_before, row.line_after) {
        _ if row.file.is_empty() => String::new(),
        (Some(before), Some(after)) if before != after => format!("{}:{before} -> {after}", row.file),
        _ => format!("{}:{}", row.file, row.line()),
    }
}

/// A change in percent of what was before.
fn percent(change: f64, before: f64) -> String {
    if change == 0.0 {
        return "=".to_owned();
    }
    if before == 0.0 {
        return "-".to_owned();
    }
    let share = change * 100.0 / before.abs();
    if share.abs() < 10.0 { format!("{share:+.1} %") } else { format!("{share:+.0} %") }
}

fn change(column: Column, change: f64) -> String {
    if change == 0.0 {
        return "=".to_owned();
    }
    let size = amount(column, change.abs());
    format!("{}{}", if change < 0.0 { '-' } else { '+' }, size.trim_start_matches('+'))
}

fn amount(column: Column, value: f64) -> String {
    match column {
        Column::Share => format!("{:.1} %", value * 100.0),
        Column::Rss | Column::CumRss => signed_bytes(value.round() as i64),
        column if is_time(column) => duration(value.round() as u64),
        // A rate may be a broken number.
        _ if value.fract() != 0.0 && value < 100.0 => format!("{value:.2}"),
        _ => count(value.round() as u64),
    }
}

fn is_time(column: Column) -> bool {
    matches!(column, Column::Own | Column::Cum | Column::Cpu | Column::CumCpu)
}
