//! The lines around the tables: what was recorded, what each process is and came to, and the account.

use std::fmt::Write as _;

use tracer_common::limits::SAMPLE_FRAMES;

use super::fit::cut_middle;
use super::{Account, FunctionReport, ProcessReport, Report, SampledFunction, Sampling, Untraced, Windowing};
use crate::correction::Calibration;
use crate::text::{pid_words, shown};
use crate::units::{count, duration, percent, signed_bytes, size};

const ALERT: &str = "\x1b[1;31m";
const PLAIN: &str = "\x1b[0m";

/// What was recorded, and for how long.
pub(crate) fn heading(report: &Report) -> String {
    let length = duration(report.window.duration_ns);
    let processes = match report.processes.len() {
        1 => "1 process".to_owned(),
        n => format!("{n} processes"),
    };
    let calls = if report.functions.iter().any(FunctionReport::is_function) {
        ""
    } else {
        ": no Python function ran"
    };
    format!("{length} of {processes}{calls}\n\n")
}

/// What the limit has left out, and how to see it.
pub(crate) fn hidden(n: usize, own_ns: u64, what: &str, remedy: &str) -> String {
    if n == 0 {
        return String::new();
    }
    format!("{n} more {what} with {} of self time are not shown ({remedy})\n\n", duration(own_ns))
}

/// How many processes the limit has left out of a list of them.
pub(crate) fn not_listed(processes: usize) -> String {
    if processes == 0 {
        return String::new();
    }
    format!("{processes} more processes are not listed (--limit 0 lists all)\n\n")
}

/// Cost and account.
pub(crate) fn footer(report: &Report, colour: bool) -> String {
    let untraced = report.untraced.as_ref().map(untraced).unwrap_or_default();
    untraced + &footer_of(&report.account, report.window.duration_ns, colour)
}

/// Where shares come from that have nothing to do with the traced time.
fn untraced(untraced: &Untraced) -> String {
    let &Untraced { before_ns, after_ns, rate_hz, samples, unreadable, .. } = untraced;
    let times = [(before_ns, "before"), (after_ns, "after")];
    let times: Vec<_> = times
        .iter()
        .filter(|(ns, _)| *ns > 0)
        .map(|(ns, when)| format!("{} {when}", duration(*ns)))
        .collect();
    let unreadable =
        if unreadable > 0 { format!(", {} not readable", count(unreadable)) } else { String::new() };
    format!(
        "untraced cpu share: of {} samples at {rate_hz} Hz{unreadable}, taken without probes for {} tracing; all else \
         is of the traced time\n",
        count(samples),
        times.join(" and "),
    )
}

/// The same of an account and the length of its window.
pub(crate) fn footer_of(of: &Account, window_ns: u64, colour: bool) -> String {
    cost(of, window_ns) + &own_cost(of) + &account(of, colour)
}

/// What a process is, in one line no wider than the terminal.
pub(crate) fn process(process: &ProcessReport, width: Option<u16>) -> String {
    let mut out = format!("process {}", pid_words(process.pid, &process.inner_pids));
    if let Some(version) = &process.version {
        let _ = write!(out, ", CPython {}", shown(version));
    }
    if let Some(source) = &process.source {
        let _ = write!(out, " ({})", shown(source));
    }
    if let Some(parent) = process.parent {
        let _ = write!(out, ", forked by {parent}");
    }
    if let Some(command) = &process.command {
        let room = width.map_or(usize::MAX, |width| usize::from(width).saturating_sub(out.len() + 2));
        let _ = write!(out, ": {}", cut_middle(&shown(command), room));
    }
    out.push('\n');
    out
}

/// The text with lines that are too long for a terminal broken between words, the rest set in.
pub(crate) fn folded(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    for line in text.lines() {
        let mut rest = line;
        let mut indent = "";
        while visible(rest) + indent.len() > width {
            let Some(at) = last_space(rest, width - indent.len()) else { break };
            out.push_str(indent);
            out.push_str(rest[..at].trim_end());
            out.push('\n');
            (rest, indent) = (&rest[at + 1..], "    ");
        }
        out.push_str(indent);
        out.push_str(rest);
        out.push('\n');
    }
    out
}

/// Characters that take a column: all but those of the colours.
fn visible(text: &str) -> usize {
    text.chars().count()
        - [ALERT, PLAIN].iter().map(|code| text.matches(code).count() * code.len()).sum::<usize>()
}

/// Where the last word ends that fits, if that is not where the line begins.
fn last_space(text: &str, width: usize) -> Option<usize> {
    let begin = text.len() - text.trim_start().len();
    text.match_indices(' ')
        .map(|(at, _)| at)
        .take_while(|&at| visible(&text[..at]) <= width)
        .last()
        .filter(|&at| at > begin)
}

/// Sums of these rows, and what they are.
pub(super) fn totals(rows: &[&FunctionReport], what: &str, account: &Account) -> String {
    let functions = || rows.iter().filter(|row| row.is_function());
    let sum =
        |value: fn(&FunctionReport) -> u64| functions().map(|row| value(row)).fold(0, u64::saturating_add);
    let sampled = |value: fn(&SampledFunction) -> u64| {
        functions().filter_map(|row| row.sampled.as_ref()).map(value).fold(0, u64::saturating_add)
    };
    if rows.iter().any(|row| row.sampled.is_some()) {
        return format!(
            "{} {what}, {} samples running, {} waiting, self time {}, on CPU {}: Python {}, native {}, system {}\n",
            functions().count(),
            count(sampled(|row| row.samples)),
            count(sampled(|row| row.off_cpu_samples)),
            duration(sum(|row| row.self_wall_ns)),
            duration(sum(|row| row.self_cpu_ns)),
            duration(sampled(|row| row.self_python_ns)),
            duration(sampled(|row| row.self_native_ns)),
            duration(sampled(|row| row.self_system_ns)),
        );
    }
    let faults = if account.memory_unknown {
        "faults not known".to_owned()
    } else {
        format!("{} faults", count(sum(|row| row.page_faults)))
    };
    format!(
        "{} {what}, {} calls, {} resumed, self time {}, on CPU {}, {faults}\n",
        functions().count(),
        count(sum(|row| row.calls)),
        count(sum(|row| row.resumes)),
        duration(sum(|row| row.self_wall_ns)),
        duration(sum(|row| row.self_cpu_ns)),
    )
}

/// Resident memory of a process.
pub(crate) fn memory(process: &ProcessReport, account: &Account) -> String {
    if account.memory_unknown || process.rss_peak_bytes == 0 {
        // No process has none: nobody has counted.
        return "resident memory: not known\n".to_owned();
    }
    let mut out = format!(
        "resident memory {} -> {} ({}), peak {}",
        resident(process.rss_start_bytes),
        resident(process.rss_end_bytes),
        signed_bytes(process.rss_end_bytes.saturating_sub(process.rss_start_bytes)),
        resident(process.rss_peak_bytes),
    );
    if process.swap_bytes != 0 {
        let _ = write!(out, ", swapped out {}", resident(process.swap_bytes));
    }
    out.push('\n');
    out
}

/// A total can be below 0 only if counting began without one.
fn resident(bytes: i64) -> String {
    u64::try_from(bytes).map_or_else(|_| signed_bytes(bytes), size)
}

fn cost(account: &Account, window_ns: u64) -> String {
    if let Some(sampling) = &account.sampling {
        let windows = account.windowing.as_ref().map(in_windows).unwrap_or_default();
        return sampled(sampling, account, window_ns) + &windows;
    }
    if account.cost_unknown {
        return "times include the probes' own cost: not known, the recording was cut off\n".to_owned();
    }
    let hits = account.probe_hits;
    let Some(per_hit) = account.probe_cost_ns.checked_div(hits) else {
        return "times include the probes' own cost: no hit was counted\n".to_owned();
    };
    let share = if account.of_whole_recording {
        "in the whole recording".to_owned()
    } else {
        format!("{} of the window", percent(account.probe_cost_ns, window_ns))
    };
    let mut out = format!(
        "times include the probes' own cost: {} hits x {} = {}, {share}\n",
        count(hits),
        duration(per_hit),
        duration(account.probe_cost_ns),
    );
    if let Some(Calibration { inside_ns, outside_ns }) = account.calibration {
        let _ = writeln!(
            out,
            "  sums are as measured: each call adds {} to the self time of its function, {} to that of its caller",
            duration(inside_ns),
            duration(outside_ns),
        );
    }
    out
}

/// How calls were counted in windows, and what all is believed to have cost.
fn in_windows(windowing: &Windowing) -> String {
    let &Windowing { max_overhead, believed_overhead, observed, windows, starts, beyond, .. } = windowing;
    let share = |share: f64| format!("{:.1} %", share * 100.0);
    let mut out = format!(
        "calls are relative to each other: counted in {} windows, {} of the time, {} calls and resumptions in all\n\
         believed to have cost {} of the traced programs' own time, samples included; the budget is {}\n",
        count(windows),
        share(observed),
        count(starts),
        share(believed_overhead),
        share(max_overhead),
    );
    if beyond > 0 {
        let _ = writeln!(out, "{} of them were of functions for which there was no room", count(beyond));
    }
    out
}

/// What samples are and are not, and what they cost.
fn sampled(sampling: &Sampling, account: &Account, window_ns: u64) -> String {
    let &Sampling { taken, cost_ns, .. } = sampling;
    let mut out = format!(
        "{}: shares of time with what 95 % of such samples would show, no counts\n",
        sampling.words()
    );
    if account.cost_unknown {
        out += "what the samples cost is not known: the recording was cut off\n";
    } else if let Some(each) = cost_ns.checked_div(taken) {
        let _ = writeln!(
            out,
            "stacks were read {} times x {} = {}, {} of the window, without the timers' interrupts",
            count(taken),
            duration(each),
            duration(cost_ns),
            percent(cost_ns, window_ns),
        );
    }
    let left_out = [
        (sampling.unknown_thread, "samples of threads that were not known yet"),
        (sampling.unreadable, "samples whose stack could not be read"),
        (sampling.off_cpu_unread, "samples of waiting threads whose stack could not be read, or not in time"),
    ];
    for (n, what) in left_out.iter().filter(|(n, _)| *n > 0) {
        let _ = writeln!(out, "  {} {what}: in no row", count(*n));
    }
    if sampling.cut > 0 {
        let _ = writeln!(
            out,
            "  {} stacks deeper than {SAMPLE_FRAMES} functions: what lies further out is not seen",
            count(sampling.cut)
        );
    }
    out
}

fn own_cost(account: &Account) -> String {
    account.own.map_or_else(String::new, |own| {
        format!(
            "pytracer itself: {} of processor time, {} of memory at most\n",
            duration(own.cpu_ns),
            size(own.peak_rss_bytes)
        )
    })
}

fn account(account: &Account, colour: bool) -> String {
    let lost = format!("{} lost", count(account.lost));
    let lost = if colour && account.lost > 0 { format!("{ALERT}{lost}{PLAIN}") } else { lost };
    if account.sampling.is_some() {
        return format!("account: {} events, {lost}\n", count(account.events)) + &trouble(account);
    }
    let mut out = format!(
        "account: {} events, {lost}, {} repaired; calls open at attach {}, at detach {}\n",
        count(account.events),
        count(account.repaired),
        count(account.open_at_attach),
        count(account.open_at_detach),
    );
    if account.open_at_attach > 0 {
        out += "  +N open: calls open at attach, timed from then on, not counted as calls\n";
    }
    out + &trouble(account)
}

/// What went wrong, and what the reader should know besides.
fn trouble(account: &Account) -> String {
    let mut out = String::new();
    let trouble = [
        (account.late_ends, "ends came out only at the thread's next event: times with ≤ are upper bounds"),
        (account.mismatches, "hits where no frame was as expected (not counted)"),
        (account.no_slot, "threads not followed: too many at once"),
        (account.unknown_thread, "events of threads that were not announced"),
    ];
    for (n, what) in trouble.iter().filter(|(n, _)| *n > 0) {
        let _ = writeln!(out, "  {} {what}", count(*n));
    }
    for note in &account.notes {
        let _ = writeln!(out, "  {}", shown(note));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words() {
        assert_eq!(folded("one two three\n\nfour\n", 9), "one two\n    three\n\nfour\n");
        assert_eq!(folded("unbreakable\n", 4), "unbreakable\n");
        assert_eq!(folded("  resident memory\n", 12), "  resident\n    memory\n");
    }

    #[test]
    fn colours_take_no_room() {
        let line = format!("one {ALERT}two{PLAIN} three\n");
        assert_eq!(folded(&line, 13), line);
    }
}
