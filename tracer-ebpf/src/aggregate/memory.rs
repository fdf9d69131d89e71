//! Resident memory: what each process has, and whom its changes are charged to.

use tracer_common::aggregate::{Stack, stack_state};

use super::{enter, is_over, leave, sums};
use crate::{
    maps::{PROCESS_SUMS, STACKS, atomic_add},
    mm::MEMBERS,
    verifier::hidden,
};

/// Swapped out pages: no resident memory.
const SWAP: u32 = 2;

/// Who caused a change.
#[derive(Clone, Copy)]
pub(crate) enum Cause {
    /// The thread of this slot, which runs.
    Thread(u32),
    /// A thread without a slot.
    Unfollowed,
    /// Another task.
    Outside,
}

/// The totals of an address space when counting begins. With a second one (exec) the jump to it is nobody's change.
#[inline(always)]
pub(crate) fn base(process: u32, pages: &[i64; 4]) {
    let Some(sums) = PROCESS_SUMS.get_ptr_mut(process) else { return };
    // SAFETY: a live map value.
    if unsafe { (*sums).has_base } == 0 {
        // SAFETY: as above.
        unsafe {
            (*sums).base = *pages;
            (*sums).has_base = 1;
        }
        return;
    }
    let mut member = 0;
    while member < MEMBERS {
        let at = member as usize & 3;
        // SAFETY: as above; `at` is below 4.
        let jump = unsafe { pages[at] - ((*sums).base[at] + (*sums).delta[at]) };
        if jump != 0 {
            count(process, member, jump, Cause::Outside);
        }
        member += 1;
    }
}

/// A change of a process's memory.
#[inline(always)]
pub(crate) fn change(process: u32, member: u32, pages: i64, cause: Cause, time_ns: u64) {
    if !is_over(time_ns) {
        count(process, member, pages, cause);
    }
}

#[inline(always)]
fn count(process: u32, member: u32, pages: i64, cause: Cause) {
    let Some(sums) = PROCESS_SUMS.get_ptr_mut(process) else { return };
    let at = hidden(member as usize) & 3;
    // SAFETY: a live map value; all fields are aligned to 8.
    unsafe {
        sums::add((&raw mut (*sums).delta[at]).cast(), pages as u64);
        if member == SWAP {
            return;
        }
        let rss = atomic_add((&raw mut (*sums).rss_delta).cast(), pages as u64) as i64 + pages;
        // Of threads that get here at the same time one may be overwritten by a lower peak, until the next change.
        if rss > (*sums).rss_peak {
            (*sums).rss_peak = rss;
        }
        match cause {
            Cause::Thread(slot) => charge(slot, process, pages),
            Cause::Unfollowed => sums::add((&raw mut (*sums).no_frame).cast(), pages as u64),
            Cause::Outside => sums::add((&raw mut (*sums).outside).cast(), pages as u64),
        }
    }
}

/// Charges the running thread, and so the function on top of it.
#[inline(always)]
fn charge(slot: u32, process: u32, pages: i64) {
    let Some(stack) = STACKS.get_ptr_mut(slot) else { return };
    // SAFETY: a live map value of the running thread.
    let stack = unsafe { &mut *stack };
    enter(stack);
    stack.postponed_pages += pages;
    if stack.state & stack_state::SEEN != 0 {
        settle(process, stack);
    }
    leave(stack);
}

/// Charges changes from before the stack was known: they belong to the frame that was found on top.
#[inline(always)]
pub(super) fn settle(process: u32, stack: &mut Stack) {
    let pages = stack.postponed_pages;
    stack.postponed_pages = 0;
    stack.now.rss_pages += pages;
    if stack.depth == 0
        && let Some(sums) = PROCESS_SUMS.get_ptr_mut(process)
    {
        // SAFETY: a live map value, aligned to 8.
        unsafe { sums::add((&raw mut (*sums).no_frame).cast(), pages as u64) };
    }
}
