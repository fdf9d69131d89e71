//! What the kernel offers.

use std::{fs, path::Path};

use super::Check;
use crate::btf::{Btf, BtfError};

/// First kernel with `bpf_loop`; attach cookies came with 5.15.
const FIRST: (u32, u32) = (5, 17);
/// First kernel whose uprobe-multi links of a process see all its threads.
const ALL_THREADS: (u32, u32) = (6, 10);
/// What kernels with uprobe-multi links (Linux 6.6) know.
const LINKS: &str = "BPF_TRACE_UPROBE_MULTI";
/// Helpers by which a kernel older than [`FIRST`] is known to have them from its vendor.
const HELPERS: [&str; 2] = ["BPF_FUNC_loop", "BPF_FUNC_get_attach_cookie"];

pub(super) fn version(btf: Option<&Btf>) -> Check {
    const NAME: &str = "kernel";
    const FIX: &str = "use Linux 5.17 or later on x86-64 (Debian 12 and Ubuntu 24.04 have it)";
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned());
    let found = format!("Linux {release} on {}", std::env::consts::ARCH);
    let helpers = || btf.is_some_and(|btf| HELPERS.iter().all(|helper| btf.has_enumerator(helper)));
    let recent = parse(&release).is_some_and(|version| version >= FIRST) || helpers();
    if recent && cfg!(target_arch = "x86_64") {
        Check::ok(NAME, found)
    } else {
        Check::fail(NAME, found, FIX)
    }
}

/// May hooks need `CAP_SYS_ADMIN`? Uprobe-multi links never do; perf events do since CVE-2025-38466 was mended, also in
/// updates of older kernels.
pub(super) fn hooks_by_perf_events(btf: Option<&Btf>) -> bool {
    !btf.is_some_and(|btf| btf.has_enumerator(LINKS))
}

pub(super) fn links(btf: &Btf) -> Check {
    const NAME: &str = "uprobe-multi links";
    const FIX: &str = "use Linux 6.10 or later";
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    if hooks_by_perf_events(Some(btf)) {
        let found = "not supported: a perf event for each place instead; no --max-overhead";
        Check::warn(NAME, found, FIX)
    } else if parse(&release).is_some_and(|version| version < ALL_THREADS) {
        let found =
            "they may see one thread of a process only: then perf events instead, and no --max-overhead";
        Check::warn(NAME, found, FIX)
    } else {
        Check::ok(NAME, "supported")
    }
}

/// Major and minor of `6.18.44-cloud`, `7.3-rc7`.
fn parse(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

pub(super) fn type_information(btf: &Result<Btf, BtfError>) -> Check {
    const NAME: &str = "type information";
    match btf {
        Ok(_) => Check::ok(NAME, crate::btf::VMLINUX),
        Err(error) => Check::fail(
            NAME,
            error.to_string(),
            "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distributions do",
        ),
    }
}

pub(super) fn tracepoints(btf: &Btf) -> Check {
    const NAME: &str = "tracepoints";
    const NEEDED: [&str; 3] = ["sched_switch", "rss_stat", "page_fault_user"];
    let missing: Vec<_> =
        NEEDED.into_iter().filter(|t| !btf.has_typedef(&format!("btf_trace_{t}"))).collect();
    if missing.is_empty() {
        return Check::ok(NAME, NEEDED.join(", "));
    }
    let found = format!("missing: {}", missing.join(", "));
    let fix = "use a kernel with CONFIG_TRACEPOINTS=y and CONFIG_PERF_EVENTS=y, as distributions do";
    Check::fail(NAME, found, fix)
}

pub(super) fn memory_counters(btf: &Btf) -> Check {
    const NAME: &str = "memory counters";
    match btf.member_array("mm_struct", "rss_stat") {
        Some(("percpu_counter", kinds)) => Check::ok(NAME, format!("{kinds} per process, counted per CPU")),
        _ => Check::warn(
            NAME,
            "counted per thread and added up late: memory per function is not available",
            "use Linux 6.2 or later to see memory",
        ),
    }
}

pub(super) fn ring_buffer(btf: &Btf) -> Check {
    const NAME: &str = "ring buffer";
    match btf.struct_size("bpf_ringbuf") {
        Some(_) => Check::ok(NAME, "supported"),
        None => Check::fail(NAME, "not supported", "use Linux 5.17 or later with CONFIG_BPF_SYSCALL=y"),
    }
}

pub(super) fn uprobes() -> Check {
    const NAME: &str = "uprobes";
    if Path::new("/sys/bus/event_source/devices/uprobe/type").exists() {
        Check::ok(NAME, "supported")
    } else {
        Check::fail(NAME, "not supported, or /sys is not mounted", "use a kernel with CONFIG_UPROBE_EVENTS=y")
    }
}

pub(super) fn jit() -> Check {
    const NAME: &str = "bpf jit";
    const FIX: &str = "sysctl net.core.bpf_jit_enable=1";
    match read("/proc/sys/net/core/bpf_jit_enable").as_deref() {
        Some("0") => Check::warn(NAME, "off: every event costs several times as much", FIX),
        Some(_) => Check::ok(NAME, "on"),
        None => Check::warn(NAME, "can't be read", "run as root to see it; distributions have it on"),
    }
}

pub(super) fn lockdown() -> Check {
    const NAME: &str = "lockdown";
    match read("/sys/kernel/security/lockdown") {
        Some(modes) if modes.contains("[confidentiality]") => Check::fail(
            NAME,
            "confidentiality: kernel programs may not read memory",
            "boot with lockdown=integrity or without lockdown",
        ),
        Some(modes) if modes.contains("[integrity]") => Check::ok(NAME, "integrity: does not matter"),
        _ => Check::ok(NAME, "none"),
    }
}

pub(super) fn tracefs() -> Check {
    const NAME: &str = "tracefs";
    let mounted = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"]
        .into_iter()
        .find(|dir| Path::new(dir).join("events").exists());
    match mounted {
        Some(dir) => {
            Check::ok(NAME, format!("at {dir}; not needed: tracepoints are found by type information"))
        }
        None => Check::ok(
            NAME,
            "not mounted or not readable; not needed: tracepoints are found by type information",
        ),
    }
}

pub(super) fn locked_memory() -> Check {
    Check::ok("locked memory", "not limited: kernel programs count as ordinary memory since Linux 5.11")
}

pub(super) fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_two_and_three_parts() {
        assert_eq!(parse("6.18.44-fc-v595"), Some((6, 18)));
        assert_eq!(parse("7.3-cloud-amd64"), Some((7, 3)));
        assert_eq!(parse("5.4.0-216-generic"), Some((5, 4)));
        assert_eq!(parse("unknown"), None);
        assert!(parse("6.8.0") < Some(ALL_THREADS) && parse("6.12.107") > Some(ALL_THREADS));
        assert!(parse("5.15.0") < Some(FIRST) && parse("5.17") >= Some(FIRST) && parse("6.1") >= Some(FIRST));
    }
}
