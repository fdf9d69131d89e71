//! The words and numbers around the drawings: what was recorded, what it came to, and the account.

use minijinja::{Value, context};

use crate::analysis::Source;
use crate::report::{Account, FunctionReport, ProcessReport, Report, Sampling, lines};
use crate::text::{pid_words, shown};
use crate::units::{count, duration, percent, signed_bytes, size};

pub(super) fn title(report: &Report) -> String {
    match &report.processes[..] {
        [process] => command(process),
        [] => "no process".to_owned(),
        [first, others @ ..] => format!("{} and {} more", command(first), count(others.len() as u64)),
    }
}

fn command(process: &ProcessReport) -> String {
    match &process.command {
        Some(command) => shown(command).into_owned(),
        None => format!("process {}", process.pid),
    }
}

pub(super) fn subtitle(source: &Source, report: &Report) -> String {
    let start = i64::try_from(report.window.start_unix_ns / 1000).ok();
    let start = start.and_then(|us| jiff::Timestamp::from_microsecond(us).ok());
    let start = start.map_or_else(String::new, |start| start.strftime("%Y-%m-%d %H:%M:%S UTC, ").to_string());
    let how = source.account().sampling;
    let how = how.map_or_else(String::new, |sampling| format!("{}, ", sampling.words()));
    format!("{start}{how}recorded by pytracer {}", shown(&source.recording().pytracer))
}

/// The numbers at the top: what each is, the number, and a word on it.
pub(super) fn facts(report: &Report) -> Vec<Value> {
    let functions = || report.functions.iter().filter(|row| row.is_function());
    let sum = |of: fn(&FunctionReport) -> u64| functions().map(of).fold(0, u64::saturating_add);
    let resident =
        |of: fn(&ProcessReport) -> i64| report.processes.iter().map(of).fold(0, i64::saturating_add);
    let (start, end) = (resident(|p| p.rss_start_bytes), resident(|p| p.rss_end_bytes));
    let account = &report.account;
    let processes = match report.processes.len() {
        1 => "1 process".to_owned(),
        n => format!("{n} processes"),
    };
    let own_ns = sum(|row| row.self_wall_ns);
    let cpu_ns = sum(|row| row.self_cpu_ns);
    let fact = |name: &str, value: String, about: String| context! { name, value, about };
    let resident = if account.memory_unknown {
        ("not known".to_owned(), "this kernel's can't be followed".to_owned())
    } else {
        let from = format!("{} from {}", signed_bytes(end - start), size(start.unsigned_abs()));
        (size(end.unsigned_abs()), from)
    };
    let cost = if account.of_whole_recording {
        (duration(account.probe_cost_ns), "in the whole recording".to_owned())
    } else if account.cost_unknown {
        ("not known".to_owned(), "the recording was cut off".to_owned())
    } else {
        (
            percent(account.probe_cost_ns, report.window.duration_ns),
            format!("of the window, {}", duration(account.probe_cost_ns)),
        )
    };
    let number = count(functions().count() as u64);
    let (what, counted, cost) = if let Some(sampling) = &account.sampling {
        let samples = count(sampling.samples);
        let waiting = format!("running, {} waiting", count(sampling.off_cpu_samples));
        let cost = if account.cost_unknown { cost } else { cost_of_samples(sampling, report) };
        let functions = fact("functions", number, "seen in samples".to_owned());
        ([functions, fact("samples", samples, waiting)], "samples' cost", cost)
    } else {
        let resumed = format!("{} resumptions", count(sum(|row| row.resumes)));
        let events = format!("{} events", count(account.events));
        let calls = fact("calls", count(sum(|row| row.calls)), events);
        ([fact("functions", number, resumed), calls], "probes' cost", cost)
    };
    let [functions, calls] = what;
    vec![
        fact("window", duration(report.window.duration_ns), processes),
        functions,
        calls,
        fact("self time", duration(own_ns), "of all threads".to_owned()),
        fact("on CPU", duration(cpu_ns), percent(cpu_ns, own_ns) + " of it"),
        fact("resident memory", resident.0, resident.1),
        fact(counted, cost.0, cost.1),
        context! {
            name => "lost",
            value => count(account.lost),
            about => format!("{} repaired", count(account.repaired)),
            alert => account.lost > 0,
        },
    ]
}

/// What reading stacks took, and a word on it.
fn cost_of_samples(sampling: &Sampling, report: &Report) -> (String, String) {
    let took = duration(sampling.cost_ns);
    if report.account.of_whole_recording {
        return (took, "in the whole recording".to_owned());
    }
    (
        percent(sampling.cost_ns, report.window.duration_ns),
        format!("of the window, {took}, without interrupts"),
    )
}

/// A row of the table of processes.
pub(super) fn process(process: &ProcessReport, account: &Account) -> Value {
    let resident =
        |bytes: i64| if account.memory_unknown { "-".to_owned() } else { size(bytes.unsigned_abs()) };
    let known =
        |text: &Option<String>| text.as_deref().map(|text| shown(text).into_owned()).unwrap_or_default();
    context! {
        pid => pid_words(process.pid, &process.inner_pids),
        command => command(process),
        version => known(&process.version),
        source => known(&process.source),
        start => resident(process.rss_start_bytes),
        end => resident(process.rss_end_bytes),
        peak => resident(process.rss_peak_bytes),
        lost => count(process.lost),
    }
}

/// The lines below a report, and what is wrong with the log.
pub(super) fn account(source: &Source, report: &Report) -> Vec<String> {
    let footer = lines::footer(report, false);
    let warnings = source.warnings();
    let warnings = warnings.iter().map(|warning| shown(warning).into_owned());
    footer.lines().map(|line| line.trim().to_owned()).chain(warnings).collect()
}
