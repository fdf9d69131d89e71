//! From the tables of a log back to sums. What a call took itself is not in the log: calls end before their
//! callers, so it is what the call took less what has ended one step further in since.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::memory::Memory;
use super::thread::Thread;
use crate::charge::{Cost, FinishedCall};
use crate::event::{Function, FunctionId};
use crate::log::recording::Recording;
use crate::log::rows::{began, call_of, call_of_pair, function_of, member, nanoseconds};
use crate::log::schema::{CallRows, EventRows, FunctionRows, RssRows};
use crate::report::{FunctionReport, ProcessReport, Report, Status};
use crate::summary::FunctionSums;

/// Sums so far.
#[derive(Debug, Default)]
pub(super) struct Rebuild {
    names: FxHashMap<FunctionId, (usize, Function)>,
    sums: FxHashMap<(u32, FunctionId), FunctionSums>,
    own_rss: FxHashMap<(u32, FunctionId), i64>,
    threads: FxHashMap<(u32, u32), Thread>,
    memory: BTreeMap<u32, Memory>,
    last_ns: u64,
    unknown_codes: u64,
    halves: u64,
}

impl Rebuild {
    /// Takes in names.
    pub(super) fn functions(&mut self, rows: &FunctionRows) {
        for row in rows.iter() {
            let process = usize::try_from(row.process).unwrap_or(0);
            self.names.insert(row.function_id as u32, (process, function_of(&row)));
        }
    }

    /// Takes in finished calls.
    pub(super) fn calls(&mut self, rows: &CallRows) {
        for row in rows.iter() {
            match call_of(&row) {
                Some(call) => self.call(call),
                None => self.unknown_codes += 1,
            }
        }
    }

    /// Takes in beginnings and ends.
    pub(super) fn events(&mut self, rows: &EventRows) {
        for row in rows.iter() {
            let thread = self.threads.entry((row.pid as u32, row.tid as u32)).or_default();
            if began(row.kind).is_some() {
                self.halves += thread.begin(row);
                continue;
            }
            let (begun, lost) = thread.end(&row);
            self.halves += lost;
            if let Some(call) = begun.and_then(|begun| call_of_pair(&begun, &row)) {
                self.call(call);
            }
        }
    }

    /// Takes in changes of resident memory.
    pub(super) fn rss(&mut self, rows: &RssRows) {
        for row in rows.iter() {
            let Some(member) = member(row.member) else {
                self.unknown_codes += 1;
                continue;
            };
            self.last_ns = self.last_ns.max(nanoseconds(row.time_ns));
            let memory = self.memory.entry(row.pid as u32).or_default();
            if !member.in_rss() {
                memory.swap = Some(row.total);
                continue;
            }
            memory.change(&row);
            if row.function_id != 0 {
                let own = self.own_rss.entry((row.pid as u32, row.function_id as u32)).or_default();
                *own = own.saturating_add(row.delta);
            }
        }
    }

    /// What is wrong with the rows themselves.
    pub(super) fn damage(&self) -> Vec<String> {
        let mut damage = Vec::new();
        if self.unknown_codes > 0 {
            damage.push(format!(
                "{} rows left out: they hold codes that this pytracer does not know",
                self.unknown_codes
            ));
        }
        if self.halves > 0 {
            damage.push(format!("{} events left out: the other half of their call is missing", self.halves));
        }
        damage
    }

    /// The report.
    pub(super) fn report(mut self, recording: Recording) -> Report {
        let mut status = recording.status;
        if !recording.complete {
            self.bring_up_to_date(&mut status, recording.start_monotonic_ns);
            status
                .account
                .notes
                .push("the recording was cut off: these numbers are of what was written".into());
        }
        for (key, rss_bytes) in &self.own_rss {
            self.sums.entry(*key).or_default().own.rss_bytes = *rss_bytes;
        }
        let names = &self.names;
        let rows: Vec<_> = self
            .sums
            .iter()
            .map(|(&(pid, id), sums)| match names.get(&id) {
                Some((process, function)) => FunctionReport::new((*process, pid), Some(function), sums),
                None => FunctionReport::new((number_of(&status.processes, pid), pid), None, sums),
            })
            .collect();
        Report::new(status, rows)
    }

    fn call(&mut self, mut call: FinishedCall) {
        self.last_ns = self.last_ns.max(call.end_ns);
        let callees = self.threads.entry((call.pid, call.tid)).or_default().finish(&call);
        call.calls_made = callees.made;
        // Own memory is in the table of changes.
        call.own = Cost { rss_bytes: 0, ..call.total - callees.total };
        self.sums.entry((call.pid, call.function)).or_default().add(&call);
    }

    /// The recorder's last word may be a second older than the rows.
    fn bring_up_to_date(&self, status: &mut Status, start_ns: u64) {
        let seen_ns = self.last_ns.saturating_sub(start_ns);
        status.window.duration_ns = status.window.duration_ns.max(seen_ns);
        for (&pid, memory) in &self.memory {
            let at = status.processes.iter().rposition(|process| process.pid == pid);
            let at = at.unwrap_or_else(|| {
                let process = next_number(&status.processes);
                let rss_start_bytes = memory.start.unwrap_or(0);
                let new = ProcessReport { process, pid, rss_start_bytes, ..ProcessReport::default() };
                status.processes.push(new);
                status.processes.len() - 1
            });
            memory.bring_up_to_date(&mut status.processes[at]);
        }
    }
}

/// The latest process with this process id; one that the recording's description does not have yet is the next.
fn number_of(processes: &[ProcessReport], pid: u32) -> usize {
    let known = processes.iter().rfind(|process| process.pid == pid);
    known.map_or_else(|| next_number(processes), |process| process.process)
}

fn next_number(processes: &[ProcessReport]) -> usize {
    processes.iter().map(|process| process.process + 1).max().unwrap_or(0)
}
