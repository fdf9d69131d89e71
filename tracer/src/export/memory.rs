//! Memory of processes as counters over time.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::trace::Trace;
use crate::event::Member;
use crate::log::rows::{amount, member};
use crate::log::schema::RssRow;
use crate::report::Report;

/// What is counted of a process's memory. Only its sum is known from the beginning on; of its kinds, the change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Counter {
    /// Resident memory.
    Resident,
    /// What it gained of this kind, since the beginning of what is shown.
    Gained(Kind),
    /// Memory that is swapped out.
    Swapped,
}

/// A kind of resident memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Anonymous,
    File,
    Shared,
}

impl Counter {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Resident => "resident memory",
            Self::Gained(Kind::Anonymous) => "anonymous memory gained",
            Self::Gained(Kind::File) => "file memory gained",
            Self::Gained(Kind::Shared) => "shared memory gained",
            Self::Swapped => "memory swapped out",
        }
    }
}

/// The value of a counter from a time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    /// Monotonic nanoseconds; in each process never before the point that came before.
    pub(super) time_ns: u64,
    /// Process id.
    pub(super) pid: u32,
    /// What is counted.
    pub(super) counter: Counter,
    /// Its value.
    pub(super) bytes: i64,
}

/// Memory of a process at the time of the latest point.
#[derive(Debug)]
struct Memory {
    time_ns: u64,
    gained: [i64; 3],
}

impl<T> Trace<'_, T> {
    /// Goes through the counters of all processes. Each begins and ends with what the report says. None, where memory could
    /// not be followed.
    pub(super) fn memory(&mut self, mut take: impl FnMut(Point) -> Result<()>) -> Result<()> {
        let (begins, start_ns, end_ns) = (self.begins(), self.start_ns(), self.end_ns());
        let Self { source, report, .. } = self;
        if report.account.memory_unknown {
            return Ok(());
        }
        let mut known: BTreeMap<u32, Memory> = BTreeMap::new();
        let mut result = Ok(());
        source.rss(|row| {
            if result.is_ok() {
                let pid = row.pid as u32;
                let first_ns = begins.get(&pid).copied().unwrap_or(u64::MAX).min(amount(row.time_ns));
                result = begun(&mut known, report, pid, first_ns, &mut take)
                    .and_then(|memory| memory.changed(row, &mut take));
            }
        });
        result?;
        let pids: BTreeSet<u32> = report.processes.iter().map(|process| process.pid).collect();
        for pid in pids {
            let begin_ns = begins.get(&pid).copied().unwrap_or(start_ns);
            let memory = begun(&mut known, report, pid, begin_ns, &mut take)?;
            let last = report.processes.iter().rfind(|process| process.pid == pid);
            let bytes = last.map_or(0, |process| process.rss_end_bytes);
            let time_ns = memory.time_ns.max(end_ns);
            take(Point { time_ns, pid, counter: Counter::Resident, bytes })?;
        }
        Ok(())
    }

    /// When the first call or sample of each process begins.
    fn begins(&self) -> BTreeMap<u32, u64> {
        let mut begins = BTreeMap::new();
        for (number, (pid, _)) in self.threads() {
            if let Some(first_ns) = self.first_ns(number) {
                let begin_ns = begins.entry(pid).or_insert(first_ns);
                *begin_ns = first_ns.min(*begin_ns);
            }
        }
        begins
    }
}

/// The memory of a process, which is told first what it was at the beginning.
fn begun<'m>(
    known: &'m mut BTreeMap<u32, Memory>,
    report: &Report,
    pid: u32,
    time_ns: u64,
    take: &mut impl FnMut(Point) -> Result<()>,
) -> Result<&'m mut Memory> {
    if !known.contains_key(&pid)
        && let Some(process) = report.processes.iter().find(|process| process.pid == pid)
    {
        take(Point { time_ns, pid, counter: Counter::Resident, bytes: process.rss_start_bytes })?;
    }
    Ok(known.entry(pid).or_insert(Memory { time_ns, gained: [0; 3] }))
}

impl Memory {
    /// A change. What was written late is shown at the time when it was known.
    fn changed(&mut self, row: &RssRow, take: &mut impl FnMut(Point) -> Result<()>) -> Result<()> {
        let Some(member) = member(row.member) else { return Ok(()) };
        let (pid, time_ns) = (row.pid as u32, self.time_ns.max(amount(row.time_ns)));
        self.time_ns = time_ns;
        let kind = match member {
            Member::Anon => Kind::Anonymous,
            Member::File => Kind::File,
            Member::Shmem => Kind::Shared,
            Member::Swap => return take(Point { time_ns, pid, counter: Counter::Swapped, bytes: row.total }),
        };
        let gained = &mut self.gained[kind as usize];
        *gained = gained.saturating_add(row.delta);
        take(Point { time_ns, pid, counter: Counter::Gained(kind), bytes: *gained })?;
        take(Point { time_ns, pid, counter: Counter::Resident, bytes: row.total })
    }
}
