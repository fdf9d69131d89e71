//! The report as JSON. Its keys are a contract: a key that is missing fails every test that reads a report.

use serde::{Deserialize, Deserializer};

use crate::program::Known;

/// A whole report.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Report {
    /// Version of the format.
    pub schema: u32,
    /// When it was recorded.
    pub window: Window,
    /// The processes that were traced.
    pub processes: Vec<Process>,
    /// One row per function and process.
    pub functions: Vec<Function>,
    /// What was seen, and what it cost.
    pub account: Account,
}

/// The time of the recording.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Window {
    pub start_unix_ns: u64,
    pub duration_ns: u64,
}

/// A traced process.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Process {
    pub process: usize,
    pub pid: u32,
    pub parent: Option<u32>,
    pub command: Option<String>,
    pub version: Option<String>,
    pub source: Option<String>,
    #[serde(deserialize_with = "zero_if_unknown")]
    pub rss_start_bytes: i64,
    #[serde(deserialize_with = "zero_if_unknown")]
    pub rss_end_bytes: i64,
    #[serde(deserialize_with = "zero_if_unknown")]
    pub rss_peak_bytes: i64,
}

impl Process {
    /// Is its interpreter of this version, or of a patch of it?
    pub fn runs(&self, version: &str) -> bool {
        self.version.as_ref().is_some_and(|of| of.starts_with(version))
    }
}

/// A function of a process.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Function {
    pub process: Option<usize>,
    pub pid: u32,
    pub function: String,
    pub file: String,
    pub line: u64,
    pub calls: u64,
    pub resumes: u64,
    pub open_at_attach: u64,
    pub ends: u64,
    pub self_wall_ns: u64,
    pub cum_wall_ns: u64,
    pub self_cpu_ns: u64,
    pub cum_cpu_ns: u64,
    #[serde(deserialize_with = "zero_if_unknown")]
    pub self_rss_bytes: i64,
    #[serde(deserialize_with = "zero_if_unknown")]
    pub cum_rss_bytes: i64,
    #[serde(deserialize_with = "zero_if_unknown")]
    pub page_faults: u64,
}

/// The account of a recording.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the names are the contract's")]
pub struct Account {
    pub events: u64,
    pub lost: u64,
    pub repaired: u64,
    pub late_ends: u64,
    pub open_at_attach: u64,
    pub open_at_detach: u64,
    pub probe_hits: u64,
    pub probe_cost_ns: u64,
    pub no_slot: u64,
    pub notes: Vec<String>,
}

/// What is null was not counted: [`crate::kernel::counts_memory`].
fn zero_if_unknown<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

impl Report {
    /// The one row of a function of a test program.
    ///
    /// # Panics
    ///
    /// When there is none, or more than one.
    pub fn function(&self, name: &str) -> &Function {
        let rows: Vec<_> = self.functions.iter().filter(|row| row.function == name).collect();
        match rows[..] {
            [row] => row,
            _ => panic!("{} rows for {name} among {:?}", rows.len(), self.names()),
        }
    }

    /// How often a function was called, in all its rows: 0 without one.
    pub fn calls(&self, name: &str) -> u64 {
        self.functions.iter().filter(|row| row.function == name).map(|row| row.calls).sum()
    }

    /// How often a function was called, for one process.
    pub fn calls_in(&self, pid: u32, name: &str) -> u64 {
        let rows = self.functions.iter().filter(|row| row.pid == pid && row.function == name);
        rows.map(|row| row.calls).sum()
    }

    /// The process of a PID.
    pub fn process(&self, pid: u32) -> &Process {
        let process = self.processes.iter().find(|process| process.pid == pid);
        process.unwrap_or_else(|| panic!("no process {pid} in {:?}", self.processes))
    }

    /// Nothing was lost: without this, no count proves anything.
    pub fn assert_lossless(&self) {
        assert_eq!(self.account.lost, 0, "events were lost: {:?}", self.account);
    }

    /// Calls and resumptions are those that the program knows, and all of them have ended.
    ///
    /// # Panics
    ///
    /// When they are not, or it knows nothing.
    pub fn assert_known(&self, known: &[Known]) {
        assert!(!known.is_empty(), "the program knows nothing");
        let differences: Vec<String> = known
            .iter()
            .filter_map(|fact| {
                let rows = self.functions.iter().filter(|row| row.function == fact.function);
                let counted = rows.fold((0, 0, 0), |(calls, resumes, ends), row| {
                    (calls + row.calls, resumes + row.resumes, ends + row.ends)
                });
                let expected = (fact.calls, fact.resumes, fact.calls + fact.resumes);
                (counted != expected).then(|| format!("{}: {expected:?}, traced {counted:?}", fact.function))
            })
            .collect();
        let list = differences.join("\n");
        assert!(differences.is_empty(), "calls, resumptions and ends of functions differ:\n{list}");
    }

    fn names(&self) -> Vec<&str> {
        self.functions.iter().map(|row| row.function.as_str()).collect()
    }
}
