//! Offsets of kernel structures, from the running kernel's BTF.

use tracer_common::state::KernelOffsets;

use crate::btf::Btf;

/// What the kernel programs need to know of the running kernel. `Err` names the field that can't be found.
///
/// Where resident memory counters are not an array of `percpu_counter` (before Linux 6.2) the memory fields stay 0:
/// the programs then leave memory out.
///
/// # Errors
/// The structure and field that this kernel's BTF does not have.
pub(super) fn of_kernel(btf: &Btf) -> Result<KernelOffsets, String> {
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
        ..KernelOffsets::default()
    };
    if btf.member_array("mm_struct", "rss_stat").is_some_and(|(element, _)| element == "percpu_counter") {
        offsets.mm_users = offset("mm_struct", "mm_users")?;
        offsets.mm_rss_stat = offset("mm_struct", "rss_stat")?;
        offsets.counter_count = offset("percpu_counter", "count")?;
        offsets.counter_locals = offset("percpu_counter", "counters")?;
        offsets.counter_size = btf.struct_size("percpu_counter").ok_or("percpu_counter")?;
    }
    Ok(offsets)
}

fn possible_cpus() -> u32 {
    aya::util::nr_cpus().map_or(1, |cpus| cpus as u32)
}
