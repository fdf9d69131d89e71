//! What a run found out. The JSON form is a contract: keys are added, never renamed.

pub mod diff;
pub(crate) mod fit;
pub(crate) mod grid;
pub(crate) mod json;
pub(crate) mod lines;
pub(crate) mod sampled;
mod sums;
pub mod table;
mod thinned;
mod untraced;
mod windows;

use std::cmp::Reverse;
use std::ops::Deref;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::charge::Cost;
use crate::correction::Calibration;
use crate::event::Function;
use crate::summary::FunctionSums;
pub use sampled::{SampledFunction, Sampling};
pub use sums::Sums;
pub use thinned::{Thinned, Thinning};
pub use untraced::{Untraced, UntracedFunction, UntracedShare};
pub use windows::{CallShare, Windowing};

/// Version of the JSON form.
pub const SCHEMA: u32 = 1;
/// Name of the row for changes of resident memory made by other tasks.
pub const OUTSIDE: &str = "<outside>";
/// Name of the row for changes of resident memory by threads that have no Python frame open.
pub const NO_FRAME: &str = "<no python frame>";
/// Name of functions that were called but never named.
pub const UNNAMED: &str = "<unknown>";

/// The report of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// When.
    pub window: Window,
    /// The traced processes.
    pub processes: Vec<ProcessReport>,
    /// Every function that was called, by process, largest self time first.
    pub functions: Vec<FunctionReport>,
    /// Whether all of it was seen.
    pub account: Account,
    /// Samples from while no probe was in place; absent: none were taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untraced: Option<Untraced>,
}

/// How things stand, without the functions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// When.
    pub window: Window,
    /// The traced processes.
    pub processes: Vec<ProcessReport>,
    /// Whether all was seen.
    pub account: Account,
}

/// The recording window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its beginning, nanoseconds since 1970.
    pub start_unix_ns: u64,
    /// Its length in nanoseconds.
    pub duration_ns: u64,
}

/// One traced process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessReport {
    /// Its number in this report, also in [`FunctionReport::process`]. A process id may stand for several processes, one
    /// after the other.
    #[serde(default)]
    pub process: usize,
    /// Process id.
    pub pid: u32,
    /// Process id of the traced process that forked it, if it was followed from its fork on.
    #[serde(default)]
    pub parent: Option<u32>,
    /// Command line; escape where shown.
    #[serde(default)]
    pub command: Option<String>,
    /// Version of its interpreter.
    pub version: Option<String>,
    /// How it was traced.
    pub source: Option<String>,
    /// Resident memory at the beginning.
    pub rss_start_bytes: i64,
    /// Resident memory at the end.
    pub rss_end_bytes: i64,
    /// The most there was.
    pub rss_peak_bytes: i64,
    /// Change by other tasks; in the row [`OUTSIDE`].
    #[serde(default)]
    pub outside_rss_bytes: i64,
    /// Change by threads without a Python frame; in the row [`NO_FRAME`].
    #[serde(default)]
    pub no_frame_rss_bytes: i64,
    /// Swapped out at the end.
    #[serde(default)]
    pub swap_bytes: i64,
    /// Events lost.
    #[serde(default)]
    pub lost: u64,
    /// Its ids in PID namespaces below pytracer's, the last as it sees itself.
    #[serde(default)]
    pub inner_pids: Vec<u32>,
}

/// The sums of one function. Where it was sampled, nothing is counted ([`json::is_unknown`]): that is 0 here, and null in
/// the JSON form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FunctionReport {
    /// Number of its process; absent: sums of all processes ([`Report::merged`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<usize>,
    /// Process id; 0: sums of all processes.
    pub pid: u32,
    /// Qualified name where the interpreter has it.
    pub function: String,
    /// Its file.
    pub file: String,
    /// First line of its definition.
    pub line: u32,
    /// What its calls came to.
    #[serde(flatten)]
    pub sums: Sums,
    /// Calls that were open at attach, of [`Account::open_at_attach`]: timed from then on, not among `calls`.
    #[serde(default)]
    pub open_at_attach: u64,
    /// Calls, resumptions, and calls found open, at attach or after a loss.
    #[serde(default)]
    pub activations: u64,
    /// How often it returned, raised or was suspended.
    #[serde(default)]
    pub ends: u64,
    /// Those of them that came out only at the thread's next event: the times are bounds from above.
    #[serde(default)]
    pub late_ends: u64,
    /// Calls and resumptions made directly by it.
    #[serde(default)]
    pub calls_made: u64,
    /// What samples tell of it; absent: it was not sampled.
    #[serde(flatten)]
    pub sampled: Option<SampledFunction>,
    /// How often it was called, relative to others; absent: calls were counted.
    #[serde(flatten)]
    pub call_share: Option<CallShare>,
    /// What samples tell of it that were taken while no probe was in place; absent: there are none.
    #[serde(flatten)]
    pub untraced: Option<UntracedShare>,
}

/// What pytracer itself took, from its start to the end of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnCost {
    /// Processor time of all its threads, in nanoseconds.
    pub cpu_ns: u64,
    /// Most resident memory, in bytes; the rings are part of it.
    pub peak_rss_bytes: u64,
}

/// Whether all was seen, what had to be made good, and what the run cost the traced processes.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of the JSON form, and there only where it is so"
)]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Events received.
    pub events: u64,
    /// Events lost.
    pub lost: u64,
    /// Frames whose beginning or end was not seen.
    pub repaired: u64,
    /// Ends that the source does not see, and that came out at the thread's next event.
    #[serde(default)]
    pub late_ends: u64,
    /// Calls cut off by the beginning of the window.
    pub open_at_attach: u64,
    /// Calls cut off by its end.
    pub open_at_detach: u64,
    /// How often a probe was hit.
    pub probe_hits: u64,
    /// What all hits together cost, in nanoseconds.
    pub probe_cost_ns: u64,
    /// What pytracer itself took; `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<OwnCost>,
    /// Hits and cost are 0 because the recording has not ended, or was cut off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cost_unknown: bool,
    /// What the probes of a call add to durations; absent: that was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// Calls of functions that were not asked for hit probes too, and are in none of the numbers but those hits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub filtered: bool,
    /// The account is of the whole recording, the rest of the report of a part of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_whole_recording: bool,
    /// This kernel's resident memory can't be followed, nor were page faults: of them everything is 0 here, and null in
    /// the JSON form.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub memory_unknown: bool,
    /// Starts reported twice.
    #[serde(default)]
    pub duplicates: u64,
    /// Ends of frames that are on no stack.
    #[serde(default)]
    pub unmatched_ends: u64,
    /// Events of threads that were never announced.
    #[serde(default)]
    pub unknown_thread: u64,
    /// Hits that were not what their site promises.
    #[serde(default)]
    pub mismatches: u64,
    /// Threads that got no slot.
    #[serde(default)]
    pub no_slot: u64,
    /// What the event log has in its sums only; absent: nothing, or there is no log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinned: Option<Thinned>,
    /// How it was sampled; absent: it was not, every call was traced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    /// How processes were traced in windows; absent: all the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windowing: Option<Windowing>,
    /// What the reader should know besides.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl Report {
    /// Puts a report together. Rows of the same function become one, functions never called are left out.
    pub fn new(status: Status, rows: impl IntoIterator<Item = FunctionReport>) -> Self {
        let mut functions = joined(rows.into_iter().chain(status.processes.iter().flat_map(special_rows)));
        functions.retain(FunctionReport::was_seen);
        if status.account.sampling.is_some() {
            for row in &mut functions {
                row.sampled.get_or_insert_default();
            }
            sampled::set_shares(&mut functions);
        }
        functions.sort_by(|a, b| order(a).cmp(&order(b)));
        let Status { window, processes, account } = status;
        Self { schema: SCHEMA, window, processes, functions, account, untraced: None }
    }

    /// The same with one row for each function over all processes: by name, file and line.
    #[must_use]
    pub fn merged(mut self) -> Self {
        let rows = self.functions.into_iter().map(|row| FunctionReport { process: None, pid: 0, ..row });
        self.functions = joined(rows);
        sampled::set_shares(&mut self.functions);
        if let Some(untraced) = &self.untraced {
            untraced.add_to(&mut self.functions);
        }
        self.functions.sort_by(|a, b| order(a).cmp(&order(b)));
        self
    }

    /// Are its rows sums of all processes?
    pub fn is_merged(&self) -> bool {
        self.functions.first().is_some_and(|row| row.process.is_none())
    }

    /// The report in its JSON form.
    pub fn to_json(&self) -> serde_json::Result<String> {
        json::to_json(self, &[&self.account])
    }
}

/// Its sums are read as fields of its own, which they are in JSON.
impl Deref for FunctionReport {
    type Target = Sums;

    fn deref(&self) -> &Sums {
        &self.sums
    }
}

impl FunctionReport {
    /// The sums of a function of a process, which is given by its number and its process id. Without its names it is
    /// [`UNNAMED`].
    pub fn new((process, pid): (usize, u32), function: Option<&Function>, sums: &FunctionSums) -> Self {
        let (name, file, line) =
            function.map_or((UNNAMED, "", 0), |function| (&*function.name, &*function.file, function.line));
        Self {
            process: Some(process),
            pid,
            function: name.to_owned(),
            file: file.to_owned(),
            line,
            sums: sums.into(),
            open_at_attach: sums.open_at_attach,
            activations: sums.activations,
            ends: sums.ends,
            late_ends: sums.late_ends,
            calls_made: sums.calls_made,
            sampled: None,
            call_share: None,
            untraced: None,
        }
    }

    /// A row that is no function's: [`OUTSIDE`] or [`NO_FRAME`].
    pub(crate) fn special(process: (usize, u32), name: &str, sums: &FunctionSums) -> Self {
        Self::new(process, Some(&Function { name: name.to_owned(), file: String::new(), line: 0 }), sums)
    }

    /// As [`FunctionReport::new`], of a sampled recording.
    pub fn sampled(process: (usize, u32), function: Option<&Function>, sums: &FunctionSums) -> Self {
        Self { sampled: Some(SampledFunction::new(sums)), ..Self::new(process, function, sums) }
    }

    /// The row for samples of threads that ran no Python function.
    pub(crate) fn no_frame(process: (usize, u32), sums: &FunctionSums) -> Self {
        let sums = FunctionSums { cumulative: sums.own, ..*sums };
        Self { sampled: Some(SampledFunction::new(&sums)), ..Self::special(process, NO_FRAME, &sums) }
    }

    /// Was it called, on a stack, or did it move memory?
    fn was_seen(&self) -> bool {
        self.activations > 0 || self.cum_wall_ns > 0 || self.self_rss_bytes != 0 || self.call_share.is_some()
    }

    /// Is this a function, not one of the rows for memory that no function is charged with?
    pub fn is_function(&self) -> bool {
        Self::is_of_a_function(&self.function, &self.file, self.line)
    }

    /// The same of a row that has this name, file and line.
    pub(crate) fn is_of_a_function(name: &str, file: &str, line: u32) -> bool {
        !(file.is_empty() && line == 0 && [OUTSIDE, NO_FRAME].contains(&name))
    }
}

/// Memory that no function is charged with. Such a row is there if it is not 0.
fn special_rows(process: &ProcessReport) -> [FunctionReport; 2] {
    [(OUTSIDE, process.outside_rss_bytes), (NO_FRAME, process.no_frame_rss_bytes)].map(|(name, bytes)| {
        let memory = Cost { rss_bytes: bytes, ..Cost::default() };
        let sums = FunctionSums { own: memory, cumulative: memory, ..FunctionSums::default() };
        FunctionReport::special((process.process, process.pid), name, &sums)
    })
}

/// Rows of the same function of the same process as one.
fn joined(rows: impl Iterator<Item = FunctionReport>) -> Vec<FunctionReport> {
    let mut functions: Vec<FunctionReport> = Vec::new();
    let mut known = FxHashMap::default();
    for row in rows {
        let identity = (row.process, row.function.clone(), row.file.clone(), row.line);
        let at = *known.entry(identity).or_insert(functions.len());
        match functions.get_mut(at) {
            Some(known) => merge(known, &row),
            None => functions.push(row),
        }
    }
    functions
}

/// Adds the sums of the same function from elsewhere.
pub(crate) fn merge(into: &mut FunctionReport, row: &FunctionReport) {
    into.sums.merge(&row.sums);
    into.open_at_attach = into.open_at_attach.saturating_add(row.open_at_attach);
    into.activations = into.activations.saturating_add(row.activations);
    into.ends = into.ends.saturating_add(row.ends);
    into.late_ends = into.late_ends.saturating_add(row.late_ends);
    into.calls_made = into.calls_made.saturating_add(row.calls_made);
    if let (Some(into), Some(row)) = (&mut into.sampled, &row.sampled) {
        into.merge(row);
    }
}

fn order(row: &FunctionReport) -> impl Ord + use<'_> {
    (row.process, Reverse(row.self_wall_ns), &row.function, &row.file, row.line)
}
