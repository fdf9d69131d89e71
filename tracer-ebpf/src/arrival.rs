//! Switches to a thread that the kernel has not reported. Kernels of some hosted machines run no program on a switch away
//! from a process that they hide (seen on a hosted 6.18: each switch away from the threads of PID 1). A thread that comes
//! after such a one would seem to be off its CPU still, or, without the time of its coming, to have been on it all along.
//!
//! The scheduler itself notes when a task came to a CPU (`sched_info.last_arrival`), by a clock of its own. Each run queue
//! holds that clock as of its last switch, when ours is read too: the difference of the two is kept up to date.

use tracer_common::state::{Thread, total};

use crate::{
    kernel::read_kernel,
    maps::{TOTALS, add_total, atomic_add_only, compare_exchange, kernel_offset},
    thread::now,
};

/// After this time the two clocks are compared anew: in it they part by 50 µs at most where ours is slewed at full rate.
const CLOCKS_KEEP_NS: u64 = 100_000_000;

/// Compares the clocks if that is due, in a switch away from `task` that happens at `now_ns`.
#[inline(always)]
pub(crate) fn compare_clocks(task: u64, now_ns: u64) {
    let Some(compared_ns) = TOTALS.get_ptr(total::CLOCKS_COMPARED_NS) else { return };
    // SAFETY: a live map value, which other CPUs may write.
    if now_ns.wrapping_sub(unsafe { *compared_ns }) >= CLOCKS_KEEP_NS {
        compare(task, now_ns);
    }
}

#[inline(never)]
fn compare(task: u64, now_ns: u64) -> u32 {
    let Some(clock_ns) = run_queue_clock(task) else { return 0 };
    if let (Some(difference), Some(compared_ns)) =
        (TOTALS.get_ptr_mut(total::CLOCKS_DIFFER_NS), TOTALS.get_ptr_mut(total::CLOCKS_COMPARED_NS))
    {
        // SAFETY: live map values; another CPU that compares at the same time finds the same.
        unsafe {
            *difference = now_ns.wrapping_sub(clock_ns);
            *compared_ns = now_ns;
        }
    }
    1
}

/// The clock of a task's run queue, as of the switch that is under way.
#[inline(always)]
fn run_queue_clock(task: u64) -> Option<u64> {
    if kernel_offset!(task_last_arrival) == 0 {
        return None;
    }
    let fair = read_kernel::<u64>(task + kernel_offset!(task_cfs_rq))?;
    let queue = read_kernel::<u64>(fair + kernel_offset!(cfs_rq_rq))?;
    read_kernel::<u64>(queue + kernel_offset!(rq_clock))
}

/// Ends the wait of a thread that runs and whose wait no switch has ended. `missed`: one should have been reported.
#[inline(always)]
pub(crate) fn end_wait(thread: &mut Thread, task: u64, missed: bool) {
    if thread.switched_out_ns != 0 {
        arrive(thread, task, missed);
    }
}

#[inline(never)]
fn arrive(thread: &mut Thread, task: u64, missed: bool) -> u32 {
    let (now_ns, since_ns) = (now(), thread.switched_out_ns);
    // Not `clamp`, which can panic.
    let arrival_ns = arrival(task).unwrap_or(now_ns).min(now_ns).max(since_ns);
    // A timer that samples, or a switch, may come in between: one of them ends the wait, and none forgets another's.
    // SAFETY: fields of a live map value, aligned to 8.
    unsafe {
        if compare_exchange(&raw mut thread.switched_out_ns, since_ns, 0) != since_ns {
            return 0;
        }
        atomic_add_only(&raw mut thread.off_cpu_ns, arrival_ns - since_ns);
    }
    if missed {
        add_total(total::UNREPORTED_SWITCHES, 1);
    }
    1
}

/// When a running task has come to its CPU. `None`: this kernel does not tell.
#[inline(always)]
fn arrival(task: u64) -> Option<u64> {
    if kernel_offset!(task_last_arrival) == 0 {
        return None;
    }
    // SAFETY: a live map value.
    let difference = unsafe { *TOTALS.get_ptr(total::CLOCKS_DIFFER_NS)? };
    if difference == 0 {
        return None;
    }
    read_kernel::<u64>(task + kernel_offset!(task_last_arrival))
        .map(|clock_ns| clock_ns.wrapping_add(difference))
}
