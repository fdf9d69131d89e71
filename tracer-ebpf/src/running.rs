//! Which thread runs on a CPU, as `sched_switch` keeps it.

use tracer_common::state::{Running, Thread, UNTRACED};

use crate::{
    arrival, ids,
    kernel::current_task,
    maps::{CURRENT, TASKS, THREADS},
};

/// What was noted of this CPU.
#[inline(always)]
pub(crate) fn noted() -> Option<Running> {
    // SAFETY: a live map value of this CPU.
    CURRENT.get_ptr(0).map(|current| unsafe { *current })
}

/// Notes which thread runs on this CPU. `slot`: 0 if it has none.
#[inline(always)]
pub(crate) fn note(task: u64, slot: u32) {
    if let Some(current) = CURRENT.get_ptr_mut(0) {
        let slot = if slot == 0 { UNTRACED } else { slot };
        // SAFETY: a live map value of this CPU.
        unsafe { *current = Running { task, slot, pad: 0 } };
    }
}

/// Slot of the thread that a switch has brought. `None`: not known, or not traced. A switch away from a traced thread is
/// always reported: what was noted of a traced thread holds.
#[inline(always)]
pub(crate) fn slot() -> Option<u32> {
    // SAFETY: a live map value of this CPU.
    let slot = unsafe { (*CURRENT.get_ptr(0)?).slot };
    if slot == 0 || slot == UNTRACED { None } else { Some(slot) }
}

/// As [`slot`], also of a thread that was brought by a switch that was not reported.
#[inline(always)]
pub(crate) fn checked_slot() -> Option<u32> {
    let running = noted()?;
    if running.slot == UNTRACED && running.task == current_task() {
        return None;
    }
    slot().or_else(find)
}

/// As [`slot`], by a look at all slots if need be: also of a thread that got its slot while it ran.
#[inline(always)]
pub(crate) fn found_slot() -> Option<u32> {
    slot().or_else(find)
}

#[inline(always)]
fn find() -> Option<u32> {
    let slot = look_up();
    if slot == 0 { None } else { Some(slot) }
}

#[inline(never)]
fn look_up() -> u32 {
    let (_, tid) = ids::current();
    // SAFETY: a live map value.
    let slot = TASKS.get_ptr(tid).map_or(0, |slot| unsafe { *slot });
    came(slot);
    slot
}

/// Notes the running thread, whose slot was looked up.
#[inline(always)]
pub(crate) fn came(slot: u32) {
    if slot != 0
        && let Some(thread) = THREADS.get_ptr_mut(slot)
    {
        // SAFETY: a live map value of the running thread.
        end_wait(unsafe { &mut *thread });
    }
    note(current_task(), slot);
}

/// Ends the wait of the running thread, if the switch that brought it was not reported.
#[inline(always)]
pub(crate) fn end_wait(thread: &mut Thread) {
    let task = current_task();
    let missed = noted().is_some_and(|noted| noted.is_not(task));
    arrival::end_wait(thread, task, missed);
}
