//! From the tables of a log back to sums. What a call took itself is not in the log: calls end before their
//! callers, so it is what the call took less what has ended one step further in since.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::super::recording::Recording;
use super::super::schema::{
    self, CallRow, CallRows, END, EventRow, EventRows, FunctionRows, RssRow, RssRows,
};
use crate::charge::{Began, Cost, FinishedCall};
use crate::event::{Function, FunctionId};
use crate::report::{FunctionReport, ProcessReport, Report, Status};
use crate::summary::FunctionSums;

/// Sums so far.
#[derive(Debug, Default)]
pub(super) struct Rebuild {
    names: FxHashMap<FunctionId, Function>,
    sums: FxHashMap<(u32, FunctionId), FunctionSums>,
    own_rss: FxHashMap<(u32, FunctionId), i64>,
    threads: FxHashMap<(u32, u32), Thread>,
    memory: BTreeMap<u32, Memory>,
    last_ns: u64,
    unknown_codes: u64,
    halves: u64,
}

/// What is known of a thread between two rows.
#[derive(Debug, Default)]
struct Thread {
    /// Sums of calls whose caller has not ended yet, by depth, outermost first.
    ended: Vec<Level>,
    /// Of an events log: calls that have begun, outermost first.
    begun: Vec<EventRow>,
}

/// Calls of one depth.
#[derive(Debug)]
struct Level {
    depth: u32,
    first_start_ns: u64,
    total: Cost,
    made: u64,
}

/// Resident memory of a process.
#[derive(Debug, Default)]
struct Memory {
    start: Option<i64>,
    end: i64,
    peak: i64,
    outside: i64,
    no_frame: i64,
    swap: Option<i64>,
}

impl Rebuild {
    /// Takes in names.
    pub(super) fn functions(&mut self, rows: &FunctionRows) {
        for row in rows.iter() {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let function = Function {
                name: text(row.function.data()),
                file: text(row.file.data()),
                line: row.line as u32,
            };
            self.names.insert(row.function_id as u32, function);
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
            if schema::began(row.kind).is_some() {
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
            let Some(member) = schema::member(row.member) else {
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
        let rows = self.sums.iter().map(|(&(pid, id), sums)| FunctionReport::new(pid, names.get(&id), sums));
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
            let at = status.processes.iter().position(|process| process.pid == pid);
            let at = at.unwrap_or_else(|| {
                let rss_start_bytes = memory.start.unwrap_or(0);
                status.processes.push(ProcessReport { pid, rss_start_bytes, ..ProcessReport::default() });
                status.processes.len() - 1
            });
            memory.bring_up_to_date(&mut status.processes[at]);
        }
    }
}

impl Thread {
    /// A call has ended: takes what it called off, and adds it to its own depth.
    fn finish(&mut self, call: &FinishedCall) -> Level {
        let mut callees = Level { depth: call.depth, first_start_ns: 0, total: Cost::default(), made: 0 };
        while let Some(level) = self.ended.pop_if(|level| level.depth > call.depth) {
            // Others belong to calls whose row is missing.
            if level.depth - 1 == call.depth && level.first_start_ns >= call.start_ns {
                callees = level;
            }
        }
        let made = u64::from(call.began != Began::Held);
        match self.ended.last_mut().filter(|level| level.depth == call.depth) {
            Some(level) => {
                level.total += call.total;
                level.made += made;
            }
            None => self.ended.push(Level {
                depth: call.depth,
                first_start_ns: call.start_ns,
                total: call.total,
                made,
            }),
        }
        callees
    }

    /// A call has begun. How many before it never ended.
    fn begin(&mut self, row: EventRow) -> u64 {
        let lost = self.drop_deeper(row.depth);
        self.begun.push(row);
        lost
    }

    /// A call has ended: its beginning, and how many halves are left out.
    fn end(&mut self, row: &EventRow) -> (Option<EventRow>, u64) {
        let lost = self.drop_deeper(row.depth.saturating_add(1));
        let begun =
            self.begun.pop_if(|begun| begun.depth == row.depth && begun.function_id == row.function_id);
        let lost = lost + u64::from(begun.is_none());
        (begun, lost)
    }

    fn drop_deeper(&mut self, depth: i32) -> u64 {
        let before = self.begun.len();
        while self.begun.pop_if(|begun| begun.depth >= depth).is_some() {}
        (before - self.begun.len()) as u64
    }
}

impl Memory {
    fn change(&mut self, row: &RssRow) {
        let start = *self.start.get_or_insert(row.total.saturating_sub(row.delta));
        self.end = row.total;
        self.peak = self.peak.max(row.total).max(start);
        let charged = match (row.function_id, row.tid) {
            (0, 0) => &mut self.outside,
            (0, _) => &mut self.no_frame,
            _ => return,
        };
        *charged = charged.saturating_add(row.delta);
    }

    fn bring_up_to_date(&self, process: &mut ProcessReport) {
        if self.start.is_some() {
            process.rss_end_bytes = self.end;
            process.rss_peak_bytes = process.rss_peak_bytes.max(self.peak);
        }
        process.outside_rss_bytes = self.outside;
        process.no_frame_rss_bytes = self.no_frame;
        process.swap_bytes = self.swap.unwrap_or(process.swap_bytes);
    }
}

fn call_of(row: &CallRow) -> Option<FinishedCall> {
    let end_ns = nanoseconds(row.end_ns);
    let wall_ns = nanoseconds(row.duration_ns);
    let total = Cost {
        wall_ns,
        off_cpu_ns: nanoseconds(row.off_cpu_ns),
        rss_bytes: row.rss_delta,
        faults: u64::try_from(row.faults).unwrap_or(0),
    };
    Some(FinishedCall {
        pid: row.pid as u32,
        tid: row.tid as u32,
        function: row.function_id as u32,
        caller: (row.caller_id != 0).then_some(row.caller_id as u32),
        depth: row.depth as u32,
        start_ns: end_ns.saturating_sub(wall_ns),
        end_ns,
        total,
        own: total,
        calls_made: 0,
        began: schema::began(row.began)?,
        ended: schema::ended(row.ended)?,
        recursive: row.recursive != 0,
    })
}

fn call_of_pair(begun: &EventRow, end: &EventRow) -> Option<FinishedCall> {
    let row = CallRow {
        end_ns: end.time_ns,
        duration_ns: end.time_ns.saturating_sub(begun.time_ns),
        pid: end.pid,
        tid: end.tid,
        function_id: end.function_id,
        caller_id: 0,
        depth: end.depth,
        off_cpu_ns: end.off_cpu_ns,
        rss_delta: end.rss_delta,
        faults: end.faults,
        began: begun.kind,
        ended: end.kind.saturating_sub(END),
        recursive: end.recursive,
    };
    call_of(&row)
}

/// A time of the log; never negative in a sound one.
fn nanoseconds(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
