//! The single numbers of the kernel side, mapped into our memory: counting in them takes no system call.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use aya::maps::Map;
use tracer_common::state::total;

use super::mapped::Mapped;

/// All of them, by the numbers of [`total`].
#[derive(Debug)]
pub(super) struct Totals(Mapped<u64>);

impl Totals {
    /// Maps the memory of the map `TOTALS`.
    ///
    /// # Errors
    /// As `mmap(2)` gives them.
    pub(super) fn new(map: Map) -> io::Result<Self> {
        Mapped::new(map, total::COUNT).map(Self)
    }

    fn number(&self, index: u32) -> &AtomicU64 {
        // SAFETY: within the mapping, aligned to 8. Only ever accessed atomically, as the kernel side does.
        unsafe { AtomicU64::from_ptr(self.0.at(index as usize)) }
    }

    pub(super) fn get(&self, index: u32) -> u64 {
        self.number(index).load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, index: u32, value: u64) {
        self.number(index).store(value, Ordering::Relaxed);
    }

    /// Counts one of them up, and returns what it was.
    pub(super) fn count(&self, index: u32) -> u64 {
        self.number(index).fetch_add(1, Ordering::AcqRel)
    }
}
