//! Offsets of kernel structures, from the running kernel's BTF.

use tracer_common::state::KernelOffsets;

use crate::btf::Btf;

/// What the kernel programs need to know of the running kernel. `Err` names the field that can't be found.
///
/// Where resident memory counters are not an array of `percpu_counter` (before Linux 6.2) the memory fields stay 0:
/// the programs then leave memory out.
///
/// `pid_namespace` is the inode number of ours; 0: the machine's first.
///
/// # Errors
/// The structure and field that this kernel's BTF does not have.
pub(super) fn of_kernel(btf: &Btf, pid_namespace: u32) -> Result<KernelOffsets, String> {
    let offset = |structure: &str, member: &str| {
        btf.member_offset(structure, member).ok_or_else(|| format!("{structure}.{member}"))
    };
    let mut offsets = KernelOffsets {
        task_pid: offset("task_struct", "pid")?,
        task_tgid: offset("task_struct", "tgid")?,
        task_mm: offset("task_struct", "mm")?,
        task_signal: offset("task_struct", "signal")?,
        signal_live: offset("signal_struct", "live")?,
        array_pptrs: offset("bpf_array", "pptrs")?,
        cpus: possible_cpus(),
        pid_namespace,
        ..KernelOffsets::default()
    };
    if pid_namespace != 0 {
        offsets.task_thread_pid = offset("task_struct", "thread_pid")?;
        offsets.task_group_leader = offset("task_struct", "group_leader")?;
        offsets.pid_level = offset("pid", "level")?;
        offsets.pid_numbers = offset("pid", "numbers")?;
        offsets.upid_size = btf.struct_size("upid").ok_or("upid")?;
        offsets.upid_nr = offset("upid", "nr")?;
        offsets.upid_ns = offset("upid", "ns")?;
        offsets.namespace_inode = offset("pid_namespace", "ns")? + offset("ns_common", "inum")?;
    }
    if btf.member_array("mm_struct", "rss_stat").is_some_and(|(element, _)| element == "percpu_counter") {
        offsets.mm_users = offset("mm_struct", "mm_users")?;
        offsets.mm_rss_stat = offset("mm_struct", "rss_stat")?;
        offsets.counter_count = offset("percpu_counter", "count")?;
        offsets.counter_locals = offset("percpu_counter", "counters")?;
        offsets.counter_size = btf.struct_size("percpu_counter").ok_or("percpu_counter")?;
    }
    if let Some((last_arrival, cfs_rq, rq, clock)) = scheduler_clock(btf) {
        offsets.task_last_arrival = last_arrival;
        offsets.task_cfs_rq = cfs_rq;
        offsets.cfs_rq_rq = rq;
        offsets.rq_clock = clock;
    }
    Ok(offsets)
}

/// Where the scheduler notes when a task came to its CPU, and what leads to the clock it takes that from. `None`: built
/// without `CONFIG_SCHED_INFO` or `CONFIG_FAIR_GROUP_SCHED`.
fn scheduler_clock(btf: &Btf) -> Option<(u32, u32, u32, u32)> {
    let task = |part, structure, member| {
        Some(btf.member_offset("task_struct", part)? + btf.member_offset(structure, member)?)
    };
    Some((
        task("sched_info", "sched_info", "last_arrival")?,
        task("se", "sched_entity", "cfs_rq")?,
        btf.member_offset("cfs_rq", "rq")?,
        btf.member_offset("rq", "clock")?,
    ))
}

fn possible_cpus() -> u32 {
    aya::util::nr_cpus().map_or(1, |cpus| cpus as u32)
}
