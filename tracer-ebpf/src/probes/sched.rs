//! Off-CPU time of traced threads, and the note of which thread runs on a CPU.

use aya_ebpf::programs::BtfTracePointContext;
use tracer_common::state::UNTRACED;

use crate::{
    arrival, ids,
    maps::{TASKS, THREADS},
    mm, running,
    thread::now,
};

/// `sched_switch(bool preempt, task_struct *prev, task_struct *next, ...)`.
#[inline(always)]
pub(crate) fn switch(ctx: &BtfTracePointContext) {
    let Some(noted) = running::noted() else { return };
    let (leaver, comer) = (ctx.arg::<u64>(1), ctx.arg::<u64>(2));
    let leaving = match noted.slot {
        UNTRACED if noted.task == leaver => 0,
        slot if noted.task == leaver && slot != 0 => slot,
        _ => slot_of(leaver),
    };
    let coming = slot_of(comer);
    if leaving != 0 || coming != 0 {
        let now = now();
        if let Some(thread) = THREADS.get_ptr_mut(leaving)
            && leaving != 0
        {
            // SAFETY: a live map value; this is the CPU that runs the thread.
            let thread = unsafe { &mut *thread };
            arrival::end_wait(thread, leaver, noted.is_not(leaver));
            thread.switched_out_ns = now;
            arrival::compare_clocks(leaver, now);
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
                    mm::learn((*thread).process, comer);
                }
            }
        }
    }
    running::note(comer, coming);
}

/// Slot of a task; 0: not traced.
#[inline(always)]
fn slot_of(task: u64) -> u32 {
    // SAFETY: a live map value.
    TASKS.get_ptr(ids::thread_of(task)).map_or(0, |slot| unsafe { *slot })
}
