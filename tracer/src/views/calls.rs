//! Single calls: the slowest ones, and those that added most resident memory.

use anyhow::Result;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::{Body, Named, View, ViewOptions, whole};
use crate::analysis::place::is_library;
use crate::analysis::source::Summary;
use crate::analysis::top_calls::TopCalls;
use crate::analysis::{Source, Visit};
use crate::charge::{Began, FinishedCall};
use crate::correction::{Corrected, Correction};
use crate::functions::Row;
use crate::report::fit::{columns, cut_middle, cut_start};
use crate::report::table::{Sort, TableOptions};
use crate::report::{Account, Report};
use crate::text::shown;
use crate::units::{counted, duration, signed_bytes};

/// Calls kept, also where no limit is asked for.
const MOST: usize = 10_000;

/// Single calls, the largest first.
#[derive(Serialize)]
struct Calls {
    calls: Vec<Call>,
    #[serde(skip)]
    correction: Option<Correction>,
}

/// A call.
#[derive(Serialize)]
struct Call {
    #[serde(flatten)]
    named: Named,
    pid: u32,
    tid: u32,
    /// Beginning, nanoseconds since 1970, and since the beginning of the window.
    start_unix_ns: i64,
    start_ns: u64,
    duration_ns: u64,
    /// Without what probes added to it; absent where that was not measured.
    #[serde(flatten)]
    corrected: Option<Corrected>,
    self_ns: u64,
    off_cpu_ns: u64,
    self_off_cpu_ns: u64,
    rss_bytes: i64,
    self_rss_bytes: i64,
    page_faults: u64,
    /// `called`; `resumed`: a step of a generator or coroutine; `open`: its beginning was not seen.
    began: &'static str,
    /// Its end was seen.
    ended: bool,
    /// Its end came out late: the duration is a bound from above.
    late: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<u64>,
    /// Outermost first, without itself.
    stack: Vec<Named>,
}

/// Can calls be sorted by this?
pub(super) fn takes(sort: Sort) -> bool {
    !matches!(sort, Sort::Calls | Sort::Resumed | Sort::PerCall | Sort::Name)
}

/// What a call is large by.
fn amount(call: &FinishedCall, view: View, sort: Sort) -> u64 {
    let (own, total) = (call.own, call.total);
    let grew = |bytes: i64| u64::try_from(bytes).unwrap_or(0);
    match sort {
        _ if view == View::Growth => grew(own.rss_bytes),
        Sort::Own => own.wall_ns,
        Sort::Cpu => own.cpu_ns(),
        Sort::CumCpu => total.cpu_ns(),
        Sort::OffCpu => own.off_cpu_ns,
        Sort::Rss => grew(own.rss_bytes),
        Sort::CumRss => grew(total.rss_bytes),
        Sort::Faults => own.faults,
        Sort::Cum | Sort::Calls | Sort::Resumed | Sort::PerCall | Sort::Name => total.wall_ns,
    }
}

pub(super) fn show(source: &mut Source, options: &ViewOptions) -> Result<String> {
    let most = if options.table.limit == 0 { MOST } else { options.table.limit.min(MOST) };
    let mut top = TopCalls::new(most);
    let Summary { report, tree } =
        source.summary(|visit, _| top.add(visit, amount(&visit.call, options.view, options.table.sort)));
    let calls = top.finish();
    let calls = calls.iter().map(|visit| call(visit, &tree.paths.stack(visit.path), source)).collect();
    whole(&Calls { calls, correction: source.correction() }, &report, options)
}

fn call(visit: &Visit, stack: &[Row], source: &Source) -> Call {
    let call = &visit.call;
    let named = |row: Row| Named::new(source.names().get(row).function.as_ref());
    let callers = stack.split_last().map_or(stack, |(_, callers)| callers);
    Call {
        named: named(visit.row),
        pid: call.pid,
        tid: call.tid,
        start_unix_ns: (call.start_ns as i64).saturating_add(source.recording().clock_offset_ns),
        start_ns: call.start_ns.saturating_sub(source.recording().start_monotonic_ns),
        duration_ns: call.total.wall_ns,
        corrected: source.correction().map(|correction| visit.corrected(correction)),
        self_ns: call.own.wall_ns,
        off_cpu_ns: call.total.off_cpu_ns,
        self_off_cpu_ns: call.own.off_cpu_ns,
        rss_bytes: call.total.rss_bytes,
        self_rss_bytes: call.own.rss_bytes,
        page_faults: call.total.faults,
        began: match call.began {
            Began::Call => "called",
            Began::Resumed => "resumed",
            Began::OpenAtAttach | Began::Unseen => "open",
        },
        ended: call.ended.by_itself(),
        late: call.ended.is_late(),
        instance: (call.instance != 0).then_some(call.instance),
        stack: callers.iter().map(|&row| named(row)).collect(),
    }
}

impl Body for Calls {
    fn text(&self, report: &Report, options: &ViewOptions) -> String {
        if self.calls.is_empty() {
            return "no such call was seen\n\n".to_owned();
        }
        let zone = TimeZone::system();
        let calls = self.calls.iter().map(|call| {
            let (number, memory) = (call.headline(options), options.view == View::Growth);
            let lines = format!(
                "{}{}{}",
                set_in(&call.amounts(memory, &report.account), options),
                set_in(&call.when_and_where(&zone), options),
                set_in(&call.stack(options.all_frames), options)
            );
            format!("{number}{lines}\n")
        });
        let note = self.correction.map(|correction| correction.note() + "\n\n").unwrap_or_default();
        calls.collect::<String>() + &options.table.folded(&note)
    }
}

/// Below the first line of a call.
fn set_in(text: &str, options: &ViewOptions) -> String {
    if text.is_empty() { String::new() } else { options.table.folded(&format!("    {text}\n")) }
}

impl Call {
    fn headline(&self, options: &ViewOptions) -> String {
        let TableOptions { width, colour, .. } = options.table;
        let bound = if self.late { "≤" } else { "" };
        let amount = match options.view {
            View::Growth => signed_bytes(self.self_rss_bytes),
            _ => format!("{bound}{}", duration(self.duration_ns)),
        };
        let room =
            width.map_or(usize::MAX, |width| usize::from(width).saturating_sub(amount.len() + 2).max(16));
        let name = cut_middle(&shown(&self.named.function), room);
        let left = room.saturating_sub(columns(&name) + 2);
        let place = if left < 8 { String::new() } else { cut_start(&shown(&self.named.place()), left) };
        let amount = if colour { format!("\x1b[1m{amount}\x1b[0m") } else { amount };
        format!("{amount}  {name}  {place}").trim_end().to_owned() + "\n"
    }

    fn amounts(&self, memory: bool, account: &Account) -> String {
        let mut parts = Vec::new();
        if memory {
            parts.push(format!("{} with what it called", signed_bytes(self.rss_bytes)));
            parts.push(format!("took {}", duration(self.duration_ns)));
        }
        parts.extend(self.corrected.map(|corrected| format!("corrected {corrected}")));
        parts.push(format!("self {}", duration(self.self_ns)));
        parts.push(format!("off CPU {}", duration(self.off_cpu_ns)));
        if !memory && !account.memory_unknown {
            parts.push(format!("rss {}", signed_bytes(self.rss_bytes)));
        }
        if !account.memory_unknown {
            parts.push(counted(self.page_faults, "fault"));
        }
        if let Some(instance) = self.instance {
            parts.push(format!("a step of #{instance}"));
        }
        if self.began == "open" {
            parts.push("its beginning was not seen".to_owned());
        }
        if !self.ended {
            parts.push("its end was not seen".to_owned());
        }
        parts.join(", ")
    }

    fn when_and_where(&self, zone: &TimeZone) -> String {
        let time = Timestamp::from_nanosecond(self.start_unix_ns.into()).map_or_else(
            |_| "at an unknown time".to_owned(),
            |time| time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S.%6f %:z").to_string(),
        );
        format!("{time} (+{}), process {}, thread {}", duration(self.start_ns), self.pid, self.tid)
    }

    /// Runs of library frames are one, unless all are asked for.
    fn stack(&self, all_frames: bool) -> String {
        let mut parts: Vec<String> = Vec::new();
        let runs = self.stack.chunk_by(|left, right| {
            let same = |of: fn(&Named) -> bool| of(left) && of(right);
            !all_frames && (same(|frame| is_library(&frame.file)) || left.is(right))
        });
        for run in runs {
            let name = shown(&run[0].in_stack()).into_owned();
            parts.push(match run.len() {
                1 => name,
                n if run[0].is(&run[1]) => format!("{name} x{n}"),
                n => format!("[{n} library frames]"),
            });
        }
        if parts.is_empty() { "called by nothing that is traced".to_owned() } else { parts.join(" > ") }
    }
}

impl Named {
    /// Its name; of a module's own code, which is called the same everywhere, with its file.
    fn in_stack(&self) -> String {
        let file = self.file.rsplit('/').next().unwrap_or_default();
        if self.function == "<module>" { format!("<module> ({file})") } else { self.function.clone() }
    }

    /// Is it the same function?
    fn is(&self, other: &Self) -> bool {
        (&self.function, &self.file, self.line) == (&other.function, &other.file, other.line)
    }
}
