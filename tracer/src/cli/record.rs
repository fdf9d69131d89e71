//! `pytracer record`.

mod kept;
mod stop;

use std::{ffi::OsString, io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::{ArgGroup, Args, CommandFactory as _, error::ErrorKind};
use tempfile::TempDir;
use tracer_common::limits::{FUNCTION_ROWS, STACK_PAGES};

use self::{kept::LogArguments, stop::StopArguments};
use super::part::{PartArguments, verdict};
use super::{select::SelectorArguments, values, view::ViewArguments};
use crate::{
    attach::AggregateSizes,
    filter::FunctionFilter,
    log::{LogKind, LogOptions},
    python::plan::{SourceChoice, Wanted},
    record::{self, Options, Outcome, Selection, Targets},
    report::{Account, Report, Sampling},
    views::{self, By, View, ViewOptions},
};

/// Samples a second and CPU, unless told.
const SAMPLE_RATE: u32 = 199;
/// Exit status when events were lost and `--fail-on-loss` was given.
const LOST: u8 = 3;
/// Exit status when the recording came to more than it may, and was ended early.
const STOPPED: u8 = 4;

#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(
    group = ArgGroup::new("what to trace").required(true).multiple(true)
        .args(["pid", "name", "cgroup", "container", "uid", "all", "command"]),
    group = ArgGroup::new("selector").multiple(true).args(["name", "cgroup", "container", "uid"]),
    after_help = "Examples:
  pytracer record -p 4242 --duration 10s
  pytracer record -p 4242 -p 4243 --json > report.json
  pytracer record --name 'gunicorn*' --duration 30s
  pytracer record --cgroup /system.slice/web.service --container 3f2a9c0d1e5b
  pytracer record --uid www-data --name celery --wait
  pytracer record -p 4242 --function 'app.*' --file '*/handlers/*.py'
  pytracer record --all --duration 1m --sort rss
  pytracer record -p 4242 --duration 10s --merge
  pytracer record -p 4242 --duration 10s --view tree
  pytracer record -p 4242 --duration 1m --source sample --rate 199
  pytracer record -o rec -- python3 app.py --its-own arguments
  pytracer record -p 4242 -o rec --min-duration 1ms --min-rss 64K
  pytracer record --all -o rec --max-size 2GB
  pytracer record -p 4242 --stop-at-cost 30% --stop-at-rate 500k
  pytracer record -p 4242 --duration 1m --max-overhead 5%

Processes are taken that any of -p, --name, --cgroup, --container and --uid matches, also those that start later;
`pytracer ps` with the same options lists them.
Ctrl-C ends the recording and prints the report; the traced process runs on.
Views other than the table by function are made of the event log. Without -o that is in a folder of TMPDIR (or /tmp)
that only its owner can read, some 5 bytes for each call (a program that makes a million calls a second: 300 MB a
minute), and is deleted at the end (not if pytracer is killed).")]
pub(super) struct Arguments {
    #[command(flatten)]
    selectors: SelectorArguments,
    /// Every Python process there is, and every one that starts later
    #[arg(long, conflicts_with_all = ["SelectorArguments", "command"])]
    all: bool,
    /// Begin even if nothing matches yet, and wait for the first process that does
    #[arg(long, requires = "selector")]
    wait: bool,
    /// Leave the children of traced processes alone; without this they are traced too, from their fork on
    #[arg(long, conflicts_with = "all")]
    no_follow: bool,
    /// End after this time: 10s, 1m30s, 500ms
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// Only functions whose qualified name matches, with or without module: 'Order.total', 'app.*' (repeatable)
    #[arg(long, value_name = "GLOB")]
    function: Vec<String>,
    /// Only functions of files that match: '*/handlers/*.py' (repeatable; a function is kept if any glob matches)
    #[arg(long, value_name = "GLOB")]
    file: Vec<String>,
    /// Where the events come from: the eval loop, the USDT probes of builds with dtrace, or samples without any probe
    #[arg(long, value_name = "SOURCE", default_value = "auto")]
    source: SourceChoice,
    /// With --source sample or --max-overhead: how often each CPU is looked at, times a second [default: 199]
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: Option<u32>,
    /// Sample the processes named by -p for so long before probes are put in place, and after they are gone: shares of
    /// time without the probes' own cost. 0s: not [default: a tenth of --duration, from 1s to 5s; 0s of less than 5s]
    #[arg(long, value_name = "TIME", value_parser = any_duration)]
    untraced: Option<Duration>,
    /// Cost each process no more than this share of its own time: 5%. Times are then of samples, and calls are counted in
    /// windows, which tell how often functions are called relative to each other
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with_all = ["all", "aggregate", "function", "file"])]
    max_overhead: Option<f64>,
    /// Who adds calls up: the kernel, where the numbers can't be lost and pytracer uses next to no CPU time, or pytracer, of
    /// a stream of events. [default: kernel; stream with -o, --function, --file and views that need the event log]
    #[arg(long, value_enum, value_name = "WHERE", conflicts_with_all = ["function", "file"])]
    aggregate: Option<Adder>,
    /// Functions that the kernel adds up, each in a row of its own
    #[arg(long, value_name = "N", default_value_t = FUNCTION_ROWS, hide = true, value_parser = clap::value_parser!(u32).range(2..=i64::from(FUNCTION_ROWS)))]
    kernel_functions: u32,
    /// Pages of 64 frames for stacks in the kernel
    #[arg(long, value_name = "N", default_value_t = STACK_PAGES, hide = true, value_parser = clap::value_parser!(u32).range(1..=i64::from(STACK_PAGES)))]
    kernel_stack_pages: u32,
    /// See at once that a generator is suspended, also where that costs 10 us a step (3.13); else its times are upper bounds
    #[arg(long, conflicts_with = "max_overhead")]
    exact_yield: bool,
    /// Exit with status 3 if any event was lost
    #[arg(long)]
    fail_on_loss: bool,
    /// Size of the rings of events between kernel and pytracer, those of all CPUs together: 64K, 32M
    #[arg(long, value_name = "SIZE", value_parser = ring_bytes)]
    ring_size: Option<u32>,
    /// Command to start and trace from its first function
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "SelectorArguments")]
    command: Vec<OsString>,
    #[command(flatten)]
    stop: StopArguments,
    #[command(flatten)]
    log: LogArguments,
    #[command(flatten)]
    view: ViewArguments,
}

/// Who adds calls up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Adder {
    /// The kernel
    Kernel,
    /// pytracer, of events
    Stream,
}

impl Arguments {
    pub(super) fn run(self) -> Result<ExitCode> {
        let targets = if self.all {
            Targets::All
        } else if self.command.is_empty() {
            let selectors = self.selectors.selectors()?;
            Targets::Selected(Selection { pids: self.selectors.pid, selectors, wait: self.wait })
        } else {
            Targets::Command(self.command)
        };
        let view = self.view.options();
        let samples = self.source == SourceChoice::Sample || self.max_overhead.is_some();
        let sample_rate = samples.then_some(self.rate.unwrap_or(SAMPLE_RATE));
        refuse_for_samples(sample_rate, self.rate, self.aggregate, &view);
        let filter = FunctionFilter::new(&self.function, &self.file)?;
        let (log, _folder) = event_log(self.log, &view, sample_rate.is_some())?;
        let added_up = log.is_none() && filter.is_all() && sample_rate.is_none();
        let usual = if added_up { Adder::Kernel } else { Adder::Stream };
        let sizes = AggregateSizes { functions: self.kernel_functions, stack_pages: self.kernel_stack_pages };
        let options = Options {
            targets,
            follow: !self.no_follow,
            duration: self.duration,
            filter,
            wanted: Wanted { source: self.source, exact_yields: self.exact_yield },
            sample_rate,
            sample_memory: true,
            untraced: untraced(self.untraced, self.duration, sample_rate),
            log: log.clone(),
            ring_bytes: self.ring_size,
            limits: self.stop.limits(),
            aggregate: (self.aggregate.unwrap_or(usual) == Adder::Kernel).then_some(sizes),
            max_overhead: self.max_overhead,
        };
        let Outcome { report, exit_code, stopped, incomplete } = record::record(&options)?;
        let lost = report.account.lost;
        let (text, whole) = shown(report, log.as_ref(), &view)?;
        std::io::stdout().write_all(text.as_bytes())?;
        if lost > 0 {
            eprintln!(
                "pytracer: {lost} events were lost: choose functions (--function), or take a larger --ring-size"
            );
        }
        Ok(match exit_code {
            Some(code) if code != 0 => code.into(),
            _ if self.fail_on_loss && lost > 0 => LOST.into(),
            _ if stopped => STOPPED.into(),
            _ if incomplete || !whole => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        })
    }
}

/// What is printed of a recording, and whether that is all that was asked for.
fn shown(report: Report, log: Option<&Kept>, view: &ViewOptions) -> Result<(String, bool)> {
    // What the kernel does not tell comes out when the recording has begun: then the rest is shown.
    if let Some(why) = view.why_not(&report.account) {
        eprintln!("pytracer: {why}; this is the table by function instead");
        let table = ViewOptions { view: View::Table, by: By::Function, ..*view };
        return Ok((views::show_report(report, &table)?, false));
    }
    match log {
        Some((log, _)) if !view.is_report() => {
            let mut source = PartArguments::default().open(log)?;
            Ok((views::show(&mut source, view)?, verdict(&source) == ExitCode::SUCCESS))
        }
        _ => Ok((views::show_report(report, view)?, true)),
    }
}

/// Ends the program with a word if samples are asked for what they can't tell, or a rate without them.
fn refuse_for_samples(
    sample_rate: Option<u32>,
    rate: Option<u32>,
    aggregate: Option<Adder>,
    view: &ViewOptions,
) {
    let wrong = match (sample_rate, rate) {
        (None, Some(_)) => Some("--rate is for --source sample and --max-overhead"),
        (Some(_), _) if aggregate.is_some() => Some("--aggregate is for calls, which samples do not tell"),
        (Some(_), _) => view.why_not(&Account { sampling: Some(Sampling::default()), ..Account::default() }),
        (None, None) => None,
    };
    if let Some(wrong) = wrong {
        super::Arguments::command().error(ErrorKind::ArgumentConflict, wrong).exit();
    }
}

/// An event log: where, and what it holds.
type Kept = (PathBuf, LogOptions);

/// What is kept and where. A view that is made of the event log has it in a folder that is deleted with the second value,
/// if none is to be kept.
fn event_log(
    log: LogArguments,
    view: &ViewOptions,
    sampled: bool,
) -> Result<(Option<Kept>, Option<TempDir>)> {
    let log = log.options(sampled).unwrap_or_else(|error| error.exit());
    if log.is_some() || view.is_report() {
        return Ok((log, None));
    }
    let folder = tempfile::Builder::new().prefix("pytracer-").tempdir().context(
        "can't make a folder for the events: set TMPDIR to one that can be written, or give one with -o",
    )?;
    let kind = if sampled { LogKind::Samples } else { LogKind::Calls };
    let options = LogOptions { kind, arguments: std::env::args().collect(), ..LogOptions::default() };
    Ok((Some((folder.path().to_owned(), options)), Some(folder)))
}

/// A share between 0.1 and 100 percent, as a fraction of 1.
fn share(text: &str) -> Result<f64, String> {
    let share = values::percent(text).filter(|share| (0.001..=1.0).contains(share));
    share.ok_or_else(|| "not a share between 0.1% and 100%: write 5%".into())
}

/// How long to sample before and after tracing. A short recording is not made half as long again.
fn untraced(asked: Option<Duration>, recording: Option<Duration>, sample_rate: Option<u32>) -> Duration {
    const SHORT: Duration = Duration::from_secs(5);
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(5));
    match (asked, recording) {
        _ if sample_rate.is_some() => Duration::ZERO,
        (Some(asked), _) => asked,
        (None, None) => least,
        (None, Some(recording)) if recording < SHORT => Duration::ZERO,
        (None, Some(recording)) => (recording / 10).clamp(least, most),
    }
}

fn any_duration(text: &str) -> Result<Duration, String> {
    values::duration(text).ok_or_else(|| "not a time: write 2s, 500ms or 0s".into())
}

/// A time that is not 0.
fn duration(text: &str) -> Result<Duration, String> {
    values::duration(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "not a time: write 10s, 1m30s or 500ms".into())
}

fn ring_bytes(text: &str) -> Result<u32, String> {
    const PAGE: u64 = 4096;
    const LARGEST: u64 = 1 << 30;
    let bytes = values::bytes(text).unwrap_or(0);
    if (PAGE..=LARGEST).contains(&bytes) {
        Ok(bytes.next_power_of_two() as u32)
    } else {
        Err("not a size between 4K and 1G".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_people_write_them() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2.5"), Ok(Duration::from_millis(2500)));
        for bad in ["", "0s", "-1s", "soon", "NaN", "1e300"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn untraced_time_goes_by_the_length_of_the_recording() {
        let of = |asked: Option<u64>, recording: Option<u64>| {
            untraced(asked.map(Duration::from_secs), recording.map(Duration::from_secs), None).as_millis()
        };
        let told =
            [of(None, None), of(None, Some(4)), of(None, Some(5)), of(None, Some(30)), of(None, Some(600))];
        assert_eq!(told, [1000, 0, 1000, 3000, 5000]);
        assert_eq!((of(Some(2), Some(1)), of(Some(0), Some(60))), (2000, 0));
        assert_eq!(untraced(None, None, Some(199)), Duration::ZERO);
    }

    #[test]
    fn sizes_become_powers_of_two() {
        assert_eq!(ring_bytes("64K"), Ok(64 << 10));
        assert_eq!(ring_bytes("3 MiB"), Ok(4 << 20));
        for bad in ["", "1", "2G", "64X", "-4K", "99999999999999999999"] {
            assert!(ring_bytes(bad).is_err(), "{bad}");
        }
    }
}
