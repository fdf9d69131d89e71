//! What this process may do.

use super::{
    Check,
    kernel::{hooks_by_perf_events, read},
};
use crate::{attach::namespace, btf::Btf};

/// Numbers of `include/uapi/linux/capability.h`.
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const PERFMON: u32 = 38;
const BPF: u32 = 39;

/// How to get what tracing needs.
const FIX: &str = "run as root, or: setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep FILE";

/// The same where hooks are perf events.
const FIX_ADMIN: &str = "run as root, or: setcap cap_bpf,cap_perfmon,cap_sys_admin,cap_sys_ptrace+ep FILE";

pub(super) fn checks(btf: Option<&Btf>) -> Vec<Check> {
    let status = read("/proc/self/status").unwrap_or_default();
    let held = effective(&status).unwrap_or_default();
    vec![
        load(held, hooks_by_perf_events(btf)),
        others(held),
        memory(held, read("/proc/sys/kernel/yama/ptrace_scope").as_deref()),
        user_namespace(),
        pid_namespace(),
        perf_paranoid(held),
        unprivileged(held),
    ]
}

/// Effective capabilities, one bit each.
fn effective(status: &str) -> Option<u64> {
    let hex = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(hex.trim(), 16).ok()
}

fn has(held: u64, capability: u32) -> bool {
    held >> capability & 1 == 1
}

fn load(held: u64, perf_events: bool) -> Check {
    const NAME: &str = "privileges";
    if has(held, SYS_ADMIN) {
        return Check::ok(NAME, "CAP_SYS_ADMIN");
    }
    let missing: Vec<_> = [(BPF, "CAP_BPF"), (PERFMON, "CAP_PERFMON")]
        .into_iter()
        .filter(|&(c, _)| !has(held, c))
        .map(|(_, n)| n)
        .collect();
    if missing.is_empty() && perf_events {
        Check::warn(NAME, "CAP_BPF, CAP_PERFMON; before Linux 6.6 hooks may need CAP_SYS_ADMIN", FIX_ADMIN)
    } else if missing.is_empty() {
        Check::ok(NAME, "CAP_BPF, CAP_PERFMON")
    } else if perf_events {
        Check::fail(NAME, format!("missing: {}", missing.join(", ")), FIX_ADMIN)
    } else {
        Check::fail(NAME, format!("missing: {}", missing.join(", ")), FIX)
    }
}

fn others(held: u64) -> Check {
    const NAME: &str = "other users' processes";
    if has(held, SYS_PTRACE) {
        Check::ok(NAME, "CAP_SYS_PTRACE")
    } else {
        Check::warn(NAME, "only your own", FIX)
    }
}

/// May the memory of processes be read? Samples and threads that do nothing are found there; functions and times are not.
fn memory(held: u64, scope: Option<&str>) -> Check {
    const NAME: &str = "ptrace scope";
    match scope {
        None => Check::ok(NAME, "not limited"),
        Some("0") => Check::ok(NAME, "0: not limited"),
        Some("3") => Check::warn(
            NAME,
            "3: nobody may read the memory of processes: no samples, no stacks of threads that do nothing",
            "it stays so until the machine starts again: boot with kernel.yama.ptrace_scope=2",
        ),
        Some(scope) if has(held, SYS_PTRACE) => {
            Check::ok(NAME, format!("{scope}; does not matter with these privileges"))
        }
        Some(scope) => Check::warn(
            NAME,
            format!(
                "{scope}: no samples of processes that this one did not start, no stacks of threads that do nothing"
            ),
            FIX,
        ),
    }
}

/// Capabilities inside a user namespace are none for the kernel programs.
fn user_namespace() -> Check {
    const NAME: &str = "user namespace";
    let map = read("/proc/self/uid_map").unwrap_or_default();
    if map.split_ascii_whitespace().eq(["0", "0", "4294967295"]) {
        Check::ok(NAME, "the machine's own")
    } else {
        Check::fail(
            NAME,
            "not the machine's own (a rootless container?)",
            "run outside the container, or in a privileged one",
        )
    }
}

/// Process ids from `/proc` must be those that the kernel takes from us.
fn pid_namespace() -> Check {
    const NAME: &str = "pid namespace";
    match namespace::of_this_process() {
        Ok(0) => Check::ok(NAME, "the machine's own"),
        Ok(_) => Check::ok(NAME, "not the machine's own: only processes in it are seen"),
        Err(error) => {
            Check::fail(NAME, error.to_string(), "mount a /proc of this namespace: unshare --mount-proc")
        }
    }
}

fn perf_paranoid(held: u64) -> Check {
    const NAME: &str = "perf_event_paranoid";
    let level = read("/proc/sys/kernel/perf_event_paranoid");
    match level {
        None => Check::fail(
            NAME,
            "the kernel has no performance events",
            "use a kernel with CONFIG_PERF_EVENTS=y",
        ),
        Some(level) if has(held, PERFMON) || has(held, SYS_ADMIN) => {
            Check::ok(NAME, format!("{level}; does not matter with these privileges"))
        }
        Some(level) => Check::warn(NAME, format!("{level}; hooks need CAP_PERFMON at any level"), FIX),
    }
}

fn unprivileged(held: u64) -> Check {
    const NAME: &str = "unprivileged_bpf_disabled";
    let level = read("/proc/sys/kernel/unprivileged_bpf_disabled").unwrap_or_else(|| "unknown".to_owned());
    if has(held, BPF) || has(held, SYS_ADMIN) {
        Check::ok(NAME, format!("{level}; does not matter with these privileges"))
    } else {
        Check::warn(NAME, format!("{level}; kernel programs of this kind need CAP_BPF at any level"), FIX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn capabilities_of_a_status_file() {
        let held = effective("Name:\tx\nCapEff:\t000000c000000000\n").expect("a line");
        assert!(has(held, BPF) && has(held, PERFMON) && !has(held, SYS_ADMIN));
        assert_eq!((load(held, false).status, load(held, true).status), (Status::Ok, Status::Warn));
        assert_eq!(load(1 << SYS_ADMIN, true).status, Status::Ok);
        assert_eq!((load(0, false).status, others(held).status), (Status::Fail, Status::Warn));
        assert_eq!(memory(0, Some("1")).status, Status::Warn);
        assert_eq!(
            (memory(1 << SYS_PTRACE, Some("1")).status, memory(0, None).status),
            (Status::Ok, Status::Ok)
        );
        assert_eq!(memory(1 << SYS_PTRACE, Some("3")).status, Status::Warn);
        assert_eq!(load(1 << PERFMON, true).found, "missing: CAP_BPF");
        assert_eq!(effective("CapEff: nonsense"), None);
    }
}
