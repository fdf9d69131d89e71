//! Two recordings, function by function: what there was before, what there is after, and what changed.
//!
//! The JSON form is a contract: keys are added, never renamed.

pub mod flame;
mod shares;

use std::collections::BTreeMap;
use std::ops::Index;

use serde::{Serialize, Serializer};

use crate::analysis::measure::MEMORY_UNKNOWN;
use crate::report::json::to_json;
use crate::report::{Account, FunctionReport, Report, Status};
use crate::units::{duration, percent};
pub use shares::{Share, ShareChange};

/// Version of the JSON form.
pub const SCHEMA: u32 = 1;
/// Windows whose lengths differ by more than this share of the longer one can't be compared by their totals.
const SAME_LENGTH: f64 = 0.05;

/// What is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Column {
    /// Calls.
    Calls,
    /// Resumptions of a generator or coroutine.
    Resumed,
    /// Wall time without what it called.
    #[default]
    #[value(name = "self")]
    Own,
    /// Wall time with all that it called.
    Cum,
    /// CPU time without what it called.
    Cpu,
    /// CPU time with all that it called.
    CumCpu,
    /// Change of resident memory without what it called.
    Rss,
    /// Change of resident memory with all that it called.
    CumRss,
    /// Page faults.
    Faults,
    /// Share of CPU time, of samples; of 1.
    Share,
}

impl Column {
    /// Those of which there are amounts, with their keys in the JSON form, which are those of the report.
    const KEYS: [(Self, &str); 10] = [
        (Self::Calls, "calls"),
        (Self::Resumed, "resumes"),
        (Self::Own, "self_wall_ns"),
        (Self::Cum, "cum_wall_ns"),
        (Self::Cpu, "self_cpu_ns"),
        (Self::CumCpu, "cum_cpu_ns"),
        (Self::Rss, "self_rss_bytes"),
        (Self::CumRss, "cum_rss_bytes"),
        (Self::Faults, "page_faults"),
        (Self::Share, "cpu_share"),
    ];

    /// Why two recordings, both of calls or both of samples, can't be compared in this; `None`: they can.
    pub fn why_not(self, accounts: [&Account; 2]) -> Option<&'static str> {
        let is_sampled = accounts[0].sampling.is_some();
        let is_counted = matches!(self, Self::Calls | Self::Resumed | Self::Faults);
        match (is_sampled, self) {
            (true, _) if is_counted => Some(
                "samples count neither calls nor page faults: --sort share, self, cum, cpu, cum-cpu, rss or cum-rss",
            ),
            (false, Self::Share) => {
                Some("shares of CPU time are of sampled recordings (record --source sample): here --sort cpu")
            }
            _ if accounts.iter().any(|account| account.memory_unknown && self.is_memory()) => {
                Some(MEMORY_UNKNOWN)
            }
            _ => None,
        }
    }

    fn is_memory(self) -> bool {
        matches!(self, Self::Rss | Self::CumRss | Self::Faults)
    }

    fn of(self, row: &FunctionReport) -> f64 {
        match self {
            Self::Calls => row.calls as f64,
            Self::Resumed => row.resumes as f64,
            Self::Own => row.self_wall_ns as f64,
            Self::Cum => row.cum_wall_ns as f64,
            Self::Cpu => row.self_cpu_ns as f64,
            Self::CumCpu => row.cum_cpu_ns as f64,
            Self::Rss => row.self_rss_bytes as f64,
            Self::CumRss => row.cum_rss_bytes as f64,
            Self::Faults => row.page_faults as f64,
            Self::Share => row.sampled.map_or(0.0, |of| of.cpu_share),
        }
    }
}

/// What amounts are counted for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// The whole window.
    #[default]
    Total,
    /// A second of the window.
    Second,
    /// A call, of the function; calls themselves are of the whole window.
    Call,
}

/// An amount of each [`Column`]. Whole numbers are exact up to 2^53: of nanoseconds, 104 days.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Amounts([f64; Column::KEYS.len()]);

impl Amounts {
    fn new(value: impl Fn(Column) -> f64) -> Self {
        Self(Column::KEYS.map(|(column, _)| value(column)))
    }

    fn of(row: &FunctionReport, per: Per, window_ns: u64) -> Self {
        let divisor = |column| match (per, column) {
            (Per::Total, _) | (Per::Call, Column::Calls) | (_, Column::Share) => 1.0,
            (Per::Second, _) => window_ns.max(1) as f64 / 1e9,
            // One without a call was found open: that is one.
            (Per::Call, _) => row.calls.max(1) as f64,
        };
        Self::new(|column| column.of(row) / divisor(column))
    }
}

impl Index<Column> for Amounts {
    type Output = f64;

    fn index(&self, column: Column) -> &f64 {
        &self.0[column as usize]
    }
}

impl Serialize for Amounts {
    /// Whole numbers are written as such. Shares stand elsewhere ([`ShareChange`]).
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let amounts = Column::KEYS.iter().zip(self.0).filter(|((column, _), _)| *column != Column::Share);
        serializer.collect_map(amounts.map(|((_, key), value)| {
            let whole = value.fract() == 0.0;
            (*key, if whole { (value as i64).into() } else { serde_json::Value::from(value) })
        }))
    }
}

/// In which of the two recordings a function has a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// In both.
    Both,
    /// Only in that after.
    New,
    /// Only in that before.
    Gone,
}

/// One function.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FunctionDiff {
    /// Qualified name where the interpreter has it; escape where shown.
    pub function: String,
    /// Its file.
    pub file: String,
    /// First line of its definition before.
    pub line_before: Option<u32>,
    /// And after.
    pub line_after: Option<u32>,
    /// Where it is.
    pub presence: Presence,
    /// Ends came out late in one of the recordings: its times are bounds from above.
    pub upper_bounds: bool,
    /// What it came to before.
    pub before: Option<Amounts>,
    /// And after.
    pub after: Option<Amounts>,
    /// The second less the first.
    pub change: Amounts,
    /// Of samples, the shares of CPU time, and whether their change is more than chance does.
    #[serde(rename = "cpu_share", skip_serializing_if = "Option::is_none")]
    pub share: Option<ShareChange>,
}

/// Two recordings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diff {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What amounts are counted for.
    pub per: Per,
    /// What keeps the two from being compared.
    pub warnings: Vec<String>,
    /// What was recorded before, and its account.
    pub before: Status,
    /// What was recorded after, and its account.
    pub after: Status,
    /// Every function of either, over all processes; what changed most comes first.
    pub functions: Vec<FunctionDiff>,
}

impl Diff {
    /// Compares two reports. Rows are in the order of the absolute change in `sort`.
    pub fn new(before: Report, after: Report, per: Per, sort: Column) -> Self {
        let lengths = [&before, &after].map(|report| report.window.duration_ns);
        let (before, before_rows) = parts(before);
        let (after, after_rows) = parts(after);
        let samples = are_sampled(&before, &after)
            .then(|| [shares::samples(&before_rows), shares::samples(&after_rows)]);
        let mut functions: Vec<_> = matched(before_rows, after_rows)
            .map(|pair| FunctionDiff {
                share: samples.map(|of| ShareChange::of(&pair, of)),
                ..FunctionDiff::new(&pair, per, lengths)
            })
            .collect();
        functions.sort_by(|a, b| {
            let weight = |row: &FunctionDiff| (row.change[sort].abs(), row.change[Column::Own].abs());
            let ((a1, a2), (b1, b2)) = (weight(a), weight(b));
            b1.total_cmp(&a1).then(b2.total_cmp(&a2)).then_with(|| a.identity().cmp(&b.identity()))
        });
        let warnings =
            if per == Per::Total { lengths_differ(lengths).into_iter().collect() } else { Vec::new() };
        Self { schema: SCHEMA, per, warnings, before, after, functions }
    }

    /// Are both recordings of samples?
    pub fn is_sampled(&self) -> bool {
        are_sampled(&self.before, &self.after)
    }

    /// The diff in its JSON form: of samples what was not counted is null.
    pub fn to_json(&self) -> serde_json::Result<String> {
        to_json(self, &[&self.before.account, &self.after.account])
    }
}

fn are_sampled(before: &Status, after: &Status) -> bool {
    before.account.sampling.is_some() && after.account.sampling.is_some()
}

impl FunctionDiff {
    fn new(pair: &Pair, per: Per, [before_ns, after_ns]: [u64; 2]) -> Self {
        let presence = match pair {
            (Some(_), None) => Presence::Gone,
            (None, _) => Presence::New,
            (Some(_), Some(_)) => Presence::Both,
        };
        let before = pair.0.as_ref().map(|row| Amounts::of(row, per, before_ns));
        let after = pair.1.as_ref().map(|row| Amounts::of(row, per, after_ns));
        let (from, to) = (before.unwrap_or_default(), after.unwrap_or_default());
        let rows = || [&pair.0, &pair.1].into_iter().flatten();
        let text = |of: fn(&FunctionReport) -> &String| rows().next().map(of).cloned().unwrap_or_default();
        Self {
            function: text(|row| &row.function),
            file: text(|row| &row.file),
            line_before: pair.0.as_ref().map(|row| row.line),
            line_after: pair.1.as_ref().map(|row| row.line),
            presence,
            upper_bounds: rows().any(|row| row.late_ends > 0),
            before,
            after,
            change: Amounts::new(|column| to[column] - from[column]),
            share: None,
        }
    }

    /// Is anything not as it was?
    pub fn has_changed(&self) -> bool {
        self.presence != Presence::Both || self.change != Amounts::default()
    }

    /// Is this a function, not one of the rows for memory that no function is charged with?
    pub fn is_function(&self) -> bool {
        FunctionReport::is_of_a_function(&self.function, &self.file, self.line())
    }

    /// First line of its definition, as new as it is known.
    pub fn line(&self) -> u32 {
        self.line_after.or(self.line_before).unwrap_or(0)
    }

    fn identity(&self) -> impl Ord + '_ {
        (&self.function, &self.file, self.line())
    }
}

/// A function before and after; one of them at least is there.
type Pair = (Option<FunctionReport>, Option<FunctionReport>);

fn parts(report: Report) -> (Status, Vec<FunctionReport>) {
    let Report { window, processes, functions, account, .. } = report.merged();
    (Status { window, processes, account }, functions)
}

/// Brings the rows of the same function together. Changed code moves lines, so name and file tell a function. Where
/// several share them (lambdas, most of all), those of the same line belong together, and the rest in their order.
fn matched(before: Vec<FunctionReport>, after: Vec<FunctionReport>) -> impl Iterator<Item = Pair> {
    type Lines = BTreeMap<u32, FunctionReport>;
    let mut names: BTreeMap<(String, String), (Lines, Lines)> = BTreeMap::new();
    let key = |row: &FunctionReport| (row.function.clone(), row.file.clone());
    for row in before {
        names.entry(key(&row)).or_default().0.insert(row.line, row);
    }
    for row in after {
        names.entry(key(&row)).or_default().1.insert(row.line, row);
    }
    names.into_values().flat_map(|(mut before, mut after)| {
        let mut pairs: Vec<Pair> = Vec::new();
        for line in before.keys().copied().collect::<Vec<_>>() {
            if let Some(row) = after.remove(&line) {
                pairs.push((before.remove(&line), Some(row)));
            }
        }
        let (mut before, mut after) = (before.into_values(), after.into_values());
        pairs.extend(
            std::iter::from_fn(|| Some((before.next(), after.next())))
                .take_while(|pair| pair.0.is_some() || pair.1.is_some()),
        );
        pairs
    })
}

fn lengths_differ([before, after]: [u64; 2]) -> Option<String> {
    let (shorter, longer) = (before.min(after), before.max(after));
    let by = longer - shorter;
    (by as f64 > longer as f64 * SAME_LENGTH).then(|| {
        format!(
            "the windows are not of the same length: {} and {}, {} apart; compare with --per second",
            duration(before),
            duration(after),
            percent(by, longer)
        )
    })
}
