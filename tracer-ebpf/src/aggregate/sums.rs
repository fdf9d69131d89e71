//! Sums in maps, to which several threads add at once.

use tracer_common::aggregate::{Amount, FrameCounts, FunctionSums, Stack};

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

/// Adds what was used between two moments of a thread.
///
/// # Safety
/// `sum` points into a map value.
#[inline(always)]
pub(super) unsafe fn add_used(sum: *mut Amount, from: &Amount, to: &Amount) {
    // SAFETY: by the caller's promise; all fields are aligned to 8. Negative changes of memory wrap as they should.
    unsafe {
        add(&raw mut (*sum).wall_ns, to.wall_ns.saturating_sub(from.wall_ns));
        add(&raw mut (*sum).off_cpu_ns, to.off_cpu_ns.saturating_sub(from.off_cpu_ns));
        add(&raw mut (*sum).faults, to.faults.saturating_sub(from.faults));
        add((&raw mut (*sum).rss_pages).cast(), to.rss_pages.wrapping_sub(from.rss_pages) as u64);
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
