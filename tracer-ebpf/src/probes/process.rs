//! Processes and threads that come and go.
//!
//! Where threads are switched also within tracepoints (Linux 7.2, preemptible), the kernel leaves a program out for a thread
//! while it is under way for another one of the same CPU. So forks are seen where the scheduler holds its lock, and no thread
//! is switched; and an exec wakes the loader up, which may take the CPU at once, by a program of its own: a wakeup can be
//! spared.

use aya_ebpf::programs::BtfTracePointContext;
use aya_log_ebpf::debug;
use tracer_common::{
    record::{Header, TaskRecord, flag, kind},
    state::{Process, Thread, thread_state, total},
};

use crate::{
    aggregate, ids,
    kernel::{current_task, read_kernel},
    maps::{
        FREE_PROCESSES, MMS, PROCESS_OF, PROCESSES, TASKS, THREADS, add_total, aggregating, atomic_add,
        following, interpreter, kernel_offset, sampling, set_interpreter, streaming, watch_exec,
    },
    mm,
    ring::{
        announce, lose, send_counters, send_loss, send_shared, send_task, send_urgent, wake_loader,
        with_process,
    },
    running,
    thread::{self, now},
};

fn process_of(pid: u32) -> Option<u32> {
    // SAFETY: a live map value.
    PROCESS_OF.get_ptr(pid).map(|process| unsafe { *process })
}

/// `sched_wakeup_new(task_struct *child)`, in the parent: the child has not run yet.
#[inline(always)]
pub(crate) fn fork(ctx: &BtfTracePointContext) {
    if !following() && !sampling() {
        return;
    }
    let (parent, _) = ids::current();
    let Some(process) = process_of(parent) else { return };
    let task = ctx.arg::<u64>(0);
    let child = ids::process_of(task);
    if child == parent && sampling() {
        // No probe will tell of a new thread.
        thread::new_slot(process, ids::thread_of(task), now());
    }
    if following() && child != parent && child != 0 {
        debug!(ctx, "process {} forked {}", parent, child);
        if follow(process, parent, child, task) == 0 {
            add_total(total::NOT_FOLLOWED, 1);
        }
    }
}

/// Makes a child of a traced process a traced process. 0: no index is left, or the loader can't be told.
#[inline(never)]
fn follow(parent_process: u32, parent: u32, child: u32, task: u64) -> u32 {
    let Some(interpreter) = interpreter(parent_process) else { return 0 };
    let process = thread::new_process(child);
    if process == 0 {
        return 0;
    }
    set_interpreter(process, interpreter.image, interpreter.code_type);
    let time_ns = now();
    let shared = mm::of_task(task) == mm::of_task(current_task());
    let flags = if shared { flag::SHARED_MEMORY } else { 0 };
    let header = Header { time_ns, value: process, thread: 0, kind: kind::FORK, flags };
    let inserted = PROCESS_OF.insert(child, process, 0).is_ok();
    if !inserted || !send_urgent(TaskRecord { header, pid: child, other: parent }) {
        let _ = PROCESS_OF.remove(child);
        let _ = FREE_PROCESSES.push(process, 0);
        return 0;
    }
    if !shared {
        let slot = thread::new_slot(process, child, time_ns);
        if slot != 0
            && let Some(thread) = THREADS.get_ptr_mut(slot)
        {
            // SAFETY: a live map value; the thread has not run yet.
            announce(time_ns, slot, unsafe { &mut *thread }, child);
        }
        if mm::is_unknown(process) {
            mm::learn(process, task);
        }
    }
    1
}

/// `sched_process_exec(task_struct *task, pid_t old_pid, ...)`: the memory of the running process, its threads and
/// perhaps its interpreter are new.
#[inline(always)]
pub(crate) fn exec(ctx: &BtfTracePointContext) {
    let (pid, tid) = ids::current();
    let Some(process) = process_of(pid) else {
        if watch_exec() && pid != 0 {
            send_exec(now(), 0, pid, pid);
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
        set_interpreter(process, interpreter.image, 0);
    }
    let time_ns = now();
    // Later than what is sent of that time: the loader orders records of different rings by their times. Of both ways to add
    // up, what ends here ends then, and what is found open afterwards is charged from then on.
    let mut over_ns = time_ns;
    let old_tid = ids::before_exec(ctx.arg::<u32>(1));
    if old_tid != tid {
        // Not the first thread has called exec: it goes on under the first one's id.
        leave(old_tid, pid, time_ns);
    } else if let Some((slot, thread)) = ending(tid) {
        // The calls that end here are charged what the thread has used until now.
        if streaming() && thread.state & thread_state::ANNOUNCED != 0 && !send_counters(slot, thread, time_ns)
        {
            lose(thread);
        }
        over_ns = now();
        if aggregating() {
            aggregate::end_stack(slot, over_ns);
        }
        thread.state &= !thread_state::SYNCED;
        thread.last_start = 0;
        thread::learn_memory(process);
    }
    // Without a slot its memory is learned with its first hit: what runs no Python has no events.
    send_exec(over_ns.max(time_ns + 1), process, pid, old_tid);
}

/// After [`exec`].
#[inline(always)]
pub(crate) fn wake_after_exec() {
    let (pid, _) = ids::current();
    if process_of(pid).is_some() || watch_exec() && pid != 0 {
        wake_loader();
    }
}

#[inline(always)]
fn send_exec(time_ns: u64, process: u32, pid: u32, old_tid: u32) {
    let header = Header { time_ns, value: process, thread: 0, kind: kind::EXEC, flags: 0 };
    if !send_shared(TaskRecord { header, pid, other: old_tid }) {
        add_total(total::LOST_TASKS, 1);
    }
}

/// A task ends.
#[inline(always)]
pub(crate) fn exit(ctx: &BtfTracePointContext) {
    let (pid, tid) = ids::current();
    let time_ns = now();
    leave(tid, pid, time_ns);
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

/// Takes the running thread's slot away, if it has one under this id, and sends what is left of it.
#[inline(never)]
fn leave(tid: u32, pid: u32, time_ns: u64) -> u32 {
    let Some((slot, thread)) = ending(tid) else { return 0 };
    with_process(thread.process, |process: *mut Process| {
        // SAFETY: a live map value, aligned to 8.
        unsafe { atomic_add(&raw mut (*process).hits, thread.hits) };
    });
    let _ = TASKS.remove(tid);
    running::note(current_task(), 0);
    if streaming()
        && announce(time_ns, slot, thread, pid)
        && !(send_loss(slot, thread, time_ns) && send_counters(slot, thread, time_ns))
    {
        lose(thread);
    }
    if aggregating() {
        aggregate::end_stack(slot, time_ns);
    }
    // The slot is the loader's again once it knows that the thread has ended.
    let told = announce(time_ns, slot, thread, pid)
        && send_task(time_ns, kind::THREAD_EXIT, slot, thread.process, pid, thread.tid);
    if !told {
        thread.state |= thread_state::LEFT;
    }
    1
}

/// Slot and state of the running thread, all calls of which end now.
#[inline(always)]
fn ending(tid: u32) -> Option<(u32, &'static mut Thread)> {
    // SAFETY: live map values, of the running thread.
    let (slot, thread) = unsafe {
        let slot = *TASKS.get_ptr(tid)?;
        (slot, &mut *THREADS.get_ptr_mut(slot)?)
    };
    running::end_wait(thread);
    thread.off_cpu_at_event_ns = thread.off_cpu_ns;
    Some((slot, thread))
}

/// Is no other thread of the running process left? (`signal_struct.live` counts them and is already down.)
#[inline(always)]
fn last_of_process() -> bool {
    let signal = read_kernel::<u64>(current_task() + kernel_offset!(task_signal));
    let live = signal.and_then(|signal| read_kernel::<i32>(signal + kernel_offset!(signal_live)));
    live.is_none_or(|live| live <= 0)
}
