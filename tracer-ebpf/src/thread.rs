//! From a hit to the slot of the thread that runs, made on first sight.

use core::ptr;

use aya_ebpf::{bindings::BPF_NOEXIST, helpers::generated::bpf_ktime_get_ns, programs::ProbeContext};
use tracer_common::{
    limits,
    record::{Header, TaskRecord, kind},
    state::{Process, Thread, total},
};

use crate::{
    aggregate, ids,
    kernel::current_task,
    maps::{
        FREE_PROCESSES, FREE_THREADS, LAYOUTS, PROCESS_OF, PROCESS_SUMS, PROCESSES, TASKS, THREADS,
        add_total, aggregating, all, atomic_add, free_index, set_interpreter,
    },
    mm, ring, running, site,
};

/// Monotonic time in nanoseconds.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_ktime_get_ns() }
}

/// Now, as the time of an event of the running thread, whose off-CPU time is noted as of the same moment: a switch between
/// the two is seen, and the time taken anew.
#[inline(always)]
pub(crate) fn event_time(thread: &mut Thread) -> u64 {
    let off_cpu = |thread: &Thread| {
        // SAFETY: a field of a live map value, which `sched_switch` may change.
        unsafe { ptr::read_volatile(&raw const thread.off_cpu_ns) }
    };
    let before = off_cpu(thread);
    let time_ns = now();
    let after = off_cpu(thread);
    thread.off_cpu_at_event_ns = after;
    if after == before { time_ns } else { now() }
}

/// Slot and state of the running thread, which has hit a probe; made on first sight. `None`: not traced.
#[inline(always)]
pub(crate) fn current(ctx: &ProbeContext) -> Option<(u32, &'static mut Thread)> {
    let slot = if let Some(slot) = running::slot() {
        slot
    } else {
        let slot = enter(site::exact(ctx).image());
        if slot == 0 {
            stray();
            return None;
        }
        slot
    };
    let thread = THREADS.get_ptr_mut(slot)?;
    // SAFETY: only this thread's own probes and the switch that takes it off its CPU write to its slot.
    Some((slot, unsafe { &mut *thread }))
}

#[inline(never)]
fn stray() -> u64 {
    add_total(total::STRAY_HITS, 1)
}

/// Finds or makes the slot of the running thread; 0 if it is not traced. `image`: of the probe that was hit, by
/// which `--all` takes up a process it has not seen.
// Global: verified once, by itself.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn enter(image: u32) -> u32 {
    let (pid, tid) = ids::current();
    if pid == 0 {
        return 0;
    }
    if let Some(slot) = TASKS.get_ptr(tid) {
        // SAFETY: a live map value.
        let slot = unsafe { *slot };
        running::came(slot);
        if let Some(process) = process_of(slot) {
            learn_memory(process);
        }
        return slot;
    }
    let process = match PROCESS_OF.get_ptr(pid) {
        // SAFETY: a live map value.
        Some(process) => unsafe { *process },
        None if all() && is_ready(image) => take_up(pid, image),
        None => 0,
    };
    if process == 0 { 0 } else { make(process, tid) }
}

/// Are all sites of an image in place?
#[inline(always)]
fn is_ready(image: u32) -> bool {
    // SAFETY: a live map value.
    LAYOUTS.get_ptr(image).is_some_and(|layout| unsafe { (*layout).ready != 0 })
}

/// Gives a process of a hooked image an index (`--all`); 0: none is left, or the loader can't be told now.
#[inline(always)]
fn take_up(pid: u32, image: u32) -> u32 {
    let process = new_process(pid);
    if process == 0 {
        return 0;
    }
    set_interpreter(process, image, 0);
    if PROCESS_OF.insert(pid, process, u64::from(BPF_NOEXIST)).is_err() {
        // Another thread of it was faster.
        let _ = FREE_PROCESSES.push(process, 0);
        // SAFETY: a live map value.
        return PROCESS_OF.get_ptr(pid).map_or(0, |process| unsafe { *process });
    }
    let header = Header { time_ns: now(), value: process, thread: 0, kind: kind::PROCESS, flags: 0 };
    if !ring::send_shared(TaskRecord { header, pid, other: pid }) {
        add_total(total::LOST_TASKS, 1);
        // An index that the loader does not know of would never be handed back: again at the next hit.
        let _ = PROCESS_OF.remove(pid);
        let _ = FREE_PROCESSES.push(process, 0);
        return 0;
    }
    process
}

/// An index for a process, which is not to be found by its pid yet; 0: none is left.
#[inline(always)]
pub(crate) fn new_process(pid: u32) -> u32 {
    let Some(process) = free_index(total::NEW_PROCESSES, limits::PROCESSES, &FREE_PROCESSES) else {
        return 0;
    };
    let Some(entry) = PROCESSES.get_ptr_mut(process) else { return 0 };
    // SAFETY: a live map value that nobody else uses yet: its index was free.
    unsafe {
        ptr::write_bytes(entry, 0, 1);
        (*entry).pid = pid;
        (*entry).number = add_total(total::SPACES, 1) as u32 + 1;
    }
    if let Some(sums) = PROCESS_SUMS.get_ptr_mut(process) {
        // SAFETY: as above.
        unsafe { ptr::write_bytes(sums, 0, 1) };
    }
    process
}

/// Makes a slot for the running thread.
#[inline(always)]
fn make(process: u32, tid: u32) -> u32 {
    let slot = new_slot(process, tid, 0);
    // First the map, then this CPU's note: a switch in between leaves the note right.
    if slot != 0 {
        running::note(current_task(), slot);
        learn_memory(process);
    }
    slot
}

/// A slot for a thread, off its CPU since `switched_out_ns` (0: it runs); 0: none is left.
#[inline(always)]
pub(crate) fn new_slot(process: u32, tid: u32, switched_out_ns: u64) -> u32 {
    let Some(slot) = free_index(total::NEW_THREADS, limits::THREADS, &FREE_THREADS) else {
        ring::with_process(process, |process: *mut Process| {
            // SAFETY: a live map value, aligned to 8.
            unsafe { atomic_add(&raw mut (*process).no_slot, 1) };
        });
        return 0;
    };
    let Some(entry) = THREADS.get_ptr_mut(slot) else { return 0 };
    // SAFETY: a live map value that nobody else uses yet: the slot was free.
    unsafe {
        ptr::write_bytes(entry, 0, 1);
        (*entry).process = process;
        (*entry).tid = tid;
        (*entry).switched_out_ns = switched_out_ns;
    }
    if aggregating() {
        aggregate::reset(slot);
    }
    if TASKS.insert(tid, slot, 0).is_err() {
        let _ = FREE_THREADS.push(slot, 0);
        return 0;
    }
    slot
}

/// Process of a slot.
#[inline(always)]
pub(crate) fn process_of(slot: u32) -> Option<u32> {
    // SAFETY: a live map value.
    THREADS.get_ptr(slot).map(|thread| unsafe { (*thread).process })
}

/// Begins to follow the memory of the running thread's process, unless that is done already.
#[inline(always)]
pub(crate) fn learn_memory(process: u32) {
    if mm::is_unknown(process) {
        mm::learn(process, current_task());
    }
}
