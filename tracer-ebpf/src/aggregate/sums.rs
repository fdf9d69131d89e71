//! Sums in maps, to which several threads add at once.

use core::ptr;

use tracer_common::aggregate::{Amount, FrameCounts, FunctionSums, Stack};

use super::stack::Began;
use crate::maps::{PROCESS_SUMS, SUMS, atomic_add_only};

/// The sums of a row.
#[inline(always)]
pub(super) fn of_row(row: u32) -> Option<*mut FunctionSums> {
    SUMS.get_ptr_mut(row)
}

/// Adds to one of the sums.
///
/// # Safety
/// `sum` points into a map value and is aligned to 8.
#[inline(always)]
pub(super) unsafe fn add(sum: *mut u64, amount: u64) {
    // Most amounts but times are 0.
    if amount != 0 {
        // SAFETY: by the caller's promise.
        unsafe { atomic_add_only(sum, amount) };
    }
}

/// Adds to all of an amount.
///
/// # Safety
/// `sum` points into a map value.
#[inline(always)]
pub(super) unsafe fn add_amount(sum: *mut Amount, amount: &Amount) {
    // SAFETY: by the caller's promise; all fields are aligned to 8. Negative changes of memory wrap as they should.
    unsafe {
        add(&raw mut (*sum).wall_ns, amount.wall_ns);
        add(&raw mut (*sum).off_cpu_ns, amount.off_cpu_ns);
        add(&raw mut (*sum).faults, amount.faults);
        add((&raw mut (*sum).rss_pages).cast(), amount.rss_pages as u64);
    }
}

/// Copies an amount, word by word: of an assignment the compiler makes a call that copies bytes (20 ns).
#[inline(always)]
pub(super) fn set(to: &mut Amount, from: &Amount) {
    to.wall_ns = from.wall_ns;
    to.off_cpu_ns = from.off_cpu_ns;
    to.faults = from.faults;
    to.rss_pages = from.rss_pages;
}

/// Makes an amount zero, word by word: of anything else the compiler makes a call that clears bytes (15 ns).
#[inline(always)]
pub(super) fn clear(amount: &mut Amount) {
    // SAFETY: fields of a live value.
    unsafe {
        ptr::write_volatile(&raw mut amount.wall_ns, 0);
        ptr::write_volatile(&raw mut amount.off_cpu_ns, 0);
        ptr::write_volatile(&raw mut amount.faults, 0);
        ptr::write_volatile(&raw mut amount.rss_pages, 0);
    }
}

/// Counts a frame's beginning.
#[inline(always)]
pub(super) fn count_begun(sums: *mut FunctionSums, began: Began) {
    // SAFETY: a live map value; all fields are aligned to 8.
    unsafe {
        let count = match began {
            Began::Call => &raw mut (*sums).calls,
            Began::Resumed | Began::Thrown => &raw mut (*sums).resumes,
            Began::OpenAtAttach => &raw mut (*sums).open_at_attach,
            Began::Unseen => &raw mut (*sums).found,
        };
        add(count, 1);
    }
}

/// Adds what was counted of a thread that ends to its process.
#[inline(always)]
pub(super) fn add_counts(process: u32, stack: &mut Stack) {
    if let Some(sums) = PROCESS_SUMS.get_ptr_mut(process) {
        let counts = stack.counts;
        // SAFETY: a live map value; all fields are aligned to 8.
        unsafe {
            let sums = &raw mut (*sums).counts;
            add(&raw mut (*sums).events, counts.events);
            add(&raw mut (*sums).duplicates, counts.duplicates);
            add(&raw mut (*sums).unmatched_ends, counts.unmatched_ends);
            add(&raw mut (*sums).repaired, counts.repaired);
            add(&raw mut (*sums).untimed, counts.untimed);
        }
        stack.counts = FrameCounts::default();
    }
}
