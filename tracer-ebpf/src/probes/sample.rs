//! Samples: a timer on each CPU looks at the thread that it interrupts.

use core::ptr;

use aya_ebpf::programs::PerfEventContext;
use tracer_common::{sample::origin, state::Process};

use crate::{
    maps::{PROCESSES, SAMPLED, THREADS, WINDOWS, atomic_add},
    registers,
    ring::{announce, count_loss},
    running, stack,
    thread::now,
};

/// The timer of this CPU.
#[inline(always)]
pub(crate) fn tick(ctx: &PerfEventContext) {
    // Threads have their slots from the loader or from their birth: none is made here, where other programs of the same CPU
    // may be in the middle of that.
    let Some(slot) = running::found_slot() else { return };
    let time_ns = now();
    let Some(thread) = THREADS.get_ptr_mut(slot) else { return };
    // SAFETY: a live map value of the running thread.
    let thread = unsafe { &mut *thread };
    let Some(process) = PROCESSES.get_ptr(thread.process) else { return };
    let process: *const Process = process;
    // SAFETY: a live map value.
    let pid = unsafe { (*process).pid };
    if amid_probes(thread.process) {
        return;
    }
    thread.hits += 1;
    if !announce(time_ns, slot, thread, pid)
        || !stack::send_sample(slot, origin_of(ctx, thread.process), time_ns)
    {
        count_loss(thread.process);
    }
}

/// Are there probes in the process, whose cost the sample would show as the program's? Counts samples left out.
#[inline(always)]
fn amid_probes(process: u32) -> bool {
    let Some(window) = WINDOWS.get_ptr_mut(process) else { return false };
    // SAFETY: a live map value, aligned to 8; the loader changes `probes` at any time.
    unsafe {
        let probes = ptr::read_volatile(&raw const (*window).probes) != 0;
        if probes {
            atomic_add(&raw mut (*window).samples_left_out, 1);
        }
        probes
    }
}

/// What the thread was doing.
#[inline(always)]
fn origin_of(ctx: &PerfEventContext, process: u32) -> u32 {
    let Some(instruction) = registers::user_instruction(ctx) else { return origin::SYSTEM };
    let Some(sampled) = SAMPLED.get_ptr(process) else { return origin::NATIVE };
    // SAFETY: a live map value.
    let (start, end) = unsafe { ((*sampled).text_start, (*sampled).text_end) };
    if (start..end).contains(&instruction) { origin::PYTHON } else { origin::NATIVE }
}
