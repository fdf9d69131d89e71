//! Sums per function.

use std::ops::AddAssign;

use crate::charge::{Began, Cost, FinishedCall};
use crate::functions::Row;

/// What samples tell of one function: of the moments at which it was on top of a stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// Samples of its thread running.
    pub cpu: u64,
    /// Samples of its thread not running.
    pub off_cpu: u64,
    /// Part of its own CPU time in code that is not the interpreter's.
    pub native_ns: u64,
    /// Part of its own CPU time in the kernel.
    pub system_ns: u64,
}

impl AddAssign for Samples {
    fn add_assign(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.off_cpu += other.off_cpu;
        self.native_ns = self.native_ns.saturating_add(other.native_ns);
        self.system_ns = self.system_ns.saturating_add(other.system_ns);
    }
}

/// What all calls of one function took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionSums {
    /// Calls that began in the window.
    pub calls: u64,
    /// Resumptions of generators and coroutines.
    pub resumes: u64,
    /// Calls that were open at attach: they are no calls of the window.
    pub open_at_attach: u64,
    /// Calls, resumptions, and calls found open, at attach or after a loss.
    pub activations: u64,
    /// How often it ended by itself in the window: returned, raised, or was suspended.
    pub ends: u64,
    /// Those of them that came out only later: their times are bounds from above.
    pub late_ends: u64,
    /// Calls and resumptions made directly by it.
    pub calls_made: u64,
    /// Without what it called.
    pub own: Cost,
    /// With all that it called; recursion counted once.
    pub cumulative: Cost,
    /// Of a sampled recording.
    pub samples: Samples,
}

impl FunctionSums {
    /// Counts one call.
    pub fn add(&mut self, call: &FinishedCall) {
        match call.began {
            Began::Call => self.calls += 1,
            Began::Resumed => self.resumes += 1,
            Began::OpenAtAttach => self.open_at_attach += 1,
            Began::Unseen => {}
        }
        self.activations += 1;
        self.ends += u64::from(call.ended.by_itself());
        self.late_ends += u64::from(call.ended.is_late());
        self.calls_made += call.calls_made;
        self.own += call.own;
        if !call.recursive {
            self.cumulative += call.total;
        }
    }

    /// Adds the sums of the same function from elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.resumes += other.resumes;
        self.open_at_attach += other.open_at_attach;
        self.activations += other.activations;
        self.ends += other.ends;
        self.late_ends += other.late_ends;
        self.calls_made += other.calls_made;
        self.own += other.own;
        self.cumulative += other.cumulative;
        self.samples += other.samples;
    }
}

/// The sums of all functions, by [`Row`].
#[derive(Clone, Debug, Default)]
pub struct Summary {
    rows: Vec<FunctionSums>,
}

impl Summary {
    /// Counts one call of the function in `row`.
    pub fn add(&mut self, row: Row, call: &FinishedCall) {
        self.at(row).add(call);
    }

    /// Charges what was sampled to the functions of a stack, outermost first.
    pub fn add_sample(&mut self, stack: &[Row], cost: Cost, samples: Samples) {
        for (at, &row) in stack.iter().enumerate() {
            // Recursion counts once: for the outermost.
            if !stack[..at].contains(&row) {
                self.at(row).cumulative += cost;
            }
        }
        if let Some(&top) = stack.last() {
            let sums = self.at(top);
            sums.own += cost;
            sums.samples += samples;
        }
    }

    fn at(&mut self, row: Row) -> &mut FunctionSums {
        let row = row as usize;
        if row >= self.rows.len() {
            self.rows.resize(row + 1, FunctionSums::default());
        }
        &mut self.rows[row]
    }

    /// Adds sums of the function in `row` that were made elsewhere.
    pub fn merge(&mut self, row: Row, sums: &FunctionSums) {
        self.at(row).merge(sums);
    }

    /// The sums of one function.
    pub fn row(&self, row: usize) -> FunctionSums {
        self.rows.get(row).copied().unwrap_or_default()
    }
}
