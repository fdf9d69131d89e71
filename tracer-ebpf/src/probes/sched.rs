//! Off-CPU time of traced threads, and the note of which thread runs on a CPU.

use aya_ebpf::programs::BtfTracePointContext;

use crate::{
    ids,
    maps::{CURRENT, TASKS, THREADS},
    mm,
    thread::{UNTRACED, note, now},
};

/// `sched_switch(bool preempt, task_struct *prev, task_struct *next, ...)`.
#[inline(always)]
pub(crate) fn switch(ctx: &BtfTracePointContext) {
    // SAFETY: this CPU's live map value.
    let Some(noted) = CURRENT.get_ptr(0).map(|slot| unsafe { *slot }) else { return };
    let leaving = match noted {
        UNTRACED => 0,
        0 => slot_of(ctx.arg::<u64>(1)),
        slot => slot,
    };
    let coming = slot_of(ctx.arg::<u64>(2));
    if leaving != 0 || coming != 0 {
        let now = now();
        if let Some(thread) = THREADS.get_ptr_mut(leaving)
            && leaving != 0
        {
            // SAFETY: a live map value; this is the CPU that runs the thread.
            unsafe { (*thread).switched_out_ns = now };
        }
        if let Some(thread) = THREADS.get_ptr_mut(coming)
            && coming != 0
        {
            // SAFETY: as above.
            unsafe {
                if (*thread).switched_out_ns != 0 {
                    (*thread).off_cpu_ns += now - (*thread).switched_out_ns;
                    (*thread).switched_out_ns = 0;
                }
                // Here `current` is still the thread that leaves: the address space is that of `next`.
                if mm::is_unknown((*thread).process) {
                    mm::learn((*thread).process, ctx.arg::<u64>(2));
                }
            }
        }
    }
    note(if coming == 0 { UNTRACED } else { coming });
}

/// Slot of a task; 0: not traced.
#[inline(always)]
fn slot_of(task: u64) -> u32 {
    // SAFETY: a live map value.
    TASKS.get_ptr(ids::thread_of(task)).map_or(0, |slot| unsafe { *slot })
}
