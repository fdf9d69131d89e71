//! One thread of a log, between two rows.

use crate::charge::{Began, Cost, FinishedCall};
use crate::log::schema::EventRow;

/// What is known of a thread between two rows.
#[derive(Debug, Default)]
pub(super) struct Thread {
    /// Sums of calls whose caller has not ended yet, by depth, outermost first.
    ended: Vec<Level>,
    /// Of an events log: calls that have begun, outermost first.
    begun: Vec<EventRow>,
}

/// Calls of one depth.
#[derive(Debug)]
pub(super) struct Level {
    depth: u32,
    first_start_ns: u64,
    pub(super) total: Cost,
    pub(super) made: u64,
}

impl Thread {
    /// A call has ended: takes what it called off, and adds it to its own depth.
    pub(super) fn finish(&mut self, call: &FinishedCall) -> Level {
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
    pub(super) fn begin(&mut self, row: EventRow) -> u64 {
        let lost = self.drop_deeper(row.depth);
        self.begun.push(row);
        lost
    }

    /// A call has ended: its beginning, and how many halves are left out.
    pub(super) fn end(&mut self, row: &EventRow) -> (Option<EventRow>, u64) {
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
