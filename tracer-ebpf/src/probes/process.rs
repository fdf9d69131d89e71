//! Processes and threads that come and go.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, programs::BtfTracePointContext};
use aya_log_ebpf::debug;
use tracer_common::{
    record::kind,
    state::{Process, Thread, thread_state},
};

use crate::{
    kernel::{current_task, read_kernel},
    maps::{
        MMS, PROCESS_OF, PROCESSES, TASKS, THREADS, all, atomic_add, interpreter, kernel_offset,
        set_interpreter,
    },
    ring::{lose, send_counters, send_loss, send_task, with_process},
    thread::{self, UNTRACED, note, now},
};

fn process_of(pid: u32) -> Option<u32> {
    // SAFETY: a live map value.
    PROCESS_OF.get_ptr(pid).map(|process| unsafe { *process })
}

/// `sched_process_fork(task_struct *parent, task_struct *child)`.
#[inline(always)]
pub(crate) fn fork(ctx: &BtfTracePointContext) {
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let Some(process) = process_of(pid) else { return };
    let child = ctx.arg::<u64>(1);
    let Some(child) = read_kernel::<u32>(child + kernel_offset!(task_tgid)) else { return };
    if child != pid {
        debug!(ctx, "process {} forked {}", pid, child);
        send_task(now(), kind::FORK, 0, process, pid, child);
    }
}

/// The running process has called exec: its memory, its threads and perhaps its interpreter are new.
#[inline(always)]
pub(crate) fn exec(ctx: &BtfTracePointContext) {
    let pid_tgid = bpf_get_current_pid_tgid();
    let (pid, tid) = ((pid_tgid >> 32) as u32, pid_tgid as u32);
    let Some(process) = process_of(pid) else {
        if all() {
            send_task(now(), kind::EXEC, 0, 0, pid, tid);
        }
        return;
    };
    debug!(ctx, "process {} called exec", pid);
    if let Some(entry) = PROCESSES.get_ptr_mut(process) {
        let entry: *mut Process = entry;
        // SAFETY: a live map value; the process has only this thread now.
        unsafe {
            let _ = MMS.remove((*entry).mm);
            (*entry).mm = 0;
        }
    }
    if let Some(interpreter) = interpreter(process) {
        set_interpreter(process, interpreter.image);
    }
    let time_ns = now();
    if let Some((slot, thread)) = slot(tid) {
        // The calls that end here are charged what the thread has used until now.
        if thread.state & thread_state::ANNOUNCED != 0 && !send_counters(slot, thread, time_ns) {
            lose(thread);
        }
        thread.state &= !thread_state::SYNCED;
        thread.last_start = 0;
    }
    send_task(time_ns, kind::EXEC, 0, process, pid, tid);
    thread::learn_memory(process);
}

/// A task ends.
#[inline(always)]
pub(crate) fn exit(ctx: &BtfTracePointContext) {
    let pid_tgid = bpf_get_current_pid_tgid();
    let (pid, tid) = ((pid_tgid >> 32) as u32, pid_tgid as u32);
    let time_ns = now();
    if let Some((slot, thread)) = slot(tid) {
        with_process(thread.process, |process: *mut Process| {
            // SAFETY: a live map value, aligned to 8.
            unsafe { atomic_add(&raw mut (*process).hits, thread.hits) };
        });
        leave(slot, thread, pid, time_ns);
        let _ = TASKS.remove(tid);
        note(UNTRACED);
    }
    let Some(process) = process_of(pid) else { return };
    if last_of_process()
        && let Some(entry) = PROCESSES.get_ptr_mut(process)
    {
        // SAFETY: a live map value; the process is gone but for this task.
        let _ = MMS.remove(unsafe { (*entry).mm });
        debug!(ctx, "process {} ended", pid);
        send_task(time_ns, kind::EXIT, 0, process, pid, tid);
    }
}

/// Sends what is left of a thread.
#[inline(always)]
fn leave(slot: u32, thread: &mut Thread, pid: u32, time_ns: u64) {
    if thread.state & thread_state::ANNOUNCED == 0 {
        // The loader must learn of the slot to hand it out again.
        if !send_task(time_ns, kind::THREAD, slot, thread.process, pid, thread.tid) {
            return;
        }
    }
    if !send_loss(slot, thread, time_ns) || !send_counters(slot, thread, time_ns) {
        lose(thread);
    }
    send_task(time_ns, kind::THREAD_EXIT, slot, thread.process, pid, thread.tid);
}

#[inline(always)]
fn slot(tid: u32) -> Option<(u32, &'static mut Thread)> {
    // SAFETY: live map values, of the running thread.
    unsafe {
        let slot = *TASKS.get_ptr(tid)?;
        Some((slot, &mut *THREADS.get_ptr_mut(slot)?))
    }
}

/// Is no other thread of the running process left? (`signal_struct.live` counts them and is already down.)
#[inline(always)]
fn last_of_process() -> bool {
    let signal = read_kernel::<u64>(current_task() + kernel_offset!(task_signal));
    let live = signal.and_then(|signal| read_kernel::<i32>(signal + kernel_offset!(signal_live)));
    live.is_none_or(|live| live <= 0)
}
