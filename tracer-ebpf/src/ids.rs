//! Process and thread ids as the loader has them: where it runs in a PID namespace of its own, those of that
//! namespace, else the machine's.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;

use crate::{
    kernel::{current_task, read_kernel},
    maps::kernel_offset,
};

/// `MAX_PID_NS_LEVEL` of the kernel's `include/linux/pid_namespace.h`: PID namespaces within each other.
const LEVELS: u32 = 32;

/// Process and thread id of the running thread; 0 and 0: it is none that the loader can see.
#[inline(always)]
pub(crate) fn current() -> (u32, u32) {
    if is_first_namespace() {
        let pid_tgid = bpf_get_current_pid_tgid();
        return ((pid_tgid >> 32) as u32, pid_tgid as u32);
    }
    let task = current_task();
    (process_of(task), in_namespace(task))
}

/// Thread id that the running thread had before it called exec, when the kernel knew it by `kernel_id`. 0: another one
/// than now, but not known: it is the first thread of its process now, in all namespaces, and its own ids are gone.
#[inline(always)]
pub(crate) fn before_exec(kernel_id: u32) -> u32 {
    if is_first_namespace() {
        kernel_id
    } else if kernel_id == bpf_get_current_pid_tgid() as u32 {
        current().1
    } else {
        0
    }
}

/// Id of a task's process.
#[inline(always)]
pub(crate) fn process_of(task: u64) -> u32 {
    if is_first_namespace() {
        return read_kernel::<u32>(task + kernel_offset!(task_tgid)).unwrap_or(0);
    }
    read_kernel::<u64>(task + kernel_offset!(task_group_leader)).map_or(0, in_namespace)
}

/// Id of a task.
#[inline(always)]
pub(crate) fn thread_of(task: u64) -> u32 {
    if is_first_namespace() {
        return read_kernel::<u32>(task + kernel_offset!(task_pid)).unwrap_or(0);
    }
    in_namespace(task)
}

/// Is the loader in the machine's first PID namespace? A constant for the verifier, which drops what is not needed.
#[inline(always)]
fn is_first_namespace() -> bool {
    kernel_offset!(pid_namespace) == 0
}

/// Id of a task in the loader's PID namespace; 0: it is in none of its own or below.
#[inline(never)]
fn in_namespace(task: u64) -> u32 {
    find(task).unwrap_or(0)
}

/// A task has an id in its own namespace and in all those around it: `pid.numbers`, the outermost first.
#[inline(always)]
fn find(task: u64) -> Option<u32> {
    let pid = read_kernel::<u64>(task + kernel_offset!(task_thread_pid))?;
    let level = read_kernel::<u32>(pid + kernel_offset!(pid_level))?;
    // From the inside: mostly the task's own namespace is the loader's.
    let mut up = 0;
    while up <= LEVELS && up <= level {
        let number = pid + kernel_offset!(pid_numbers) + u64::from(level - up) * kernel_offset!(upid_size);
        let namespace = read_kernel::<u64>(number + kernel_offset!(upid_ns))?;
        let inode = read_kernel::<u32>(namespace + kernel_offset!(namespace_inode))?;
        if u64::from(inode) == kernel_offset!(pid_namespace) {
            return read_kernel::<u32>(number + kernel_offset!(upid_nr));
        }
        up += 1;
    }
    None
}
