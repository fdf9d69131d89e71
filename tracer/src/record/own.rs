//! What this process may take, and what it has taken.

use crate::report::OwnCost;

/// Lets us have as many open files as may be: each probe of each process is one.
pub(super) fn raise_file_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` lives until the call returns.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0 {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: as above. If it is refused the limit stays, and an attach that needs more says so.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    }
}

/// What we have taken so far.
pub(super) fn own_cost() -> Option<OwnCost> {
    // SAFETY: all zeros are a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` lives until the call returns.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) } != 0 {
        return None;
    }
    let ns = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1000;
    // The kernel tells the peak in units of 1024 bytes.
    let peak_rss_bytes = usage.ru_maxrss as u64 * 1024;
    Some(OwnCost { cpu_ns: ns(usage.ru_utime) + ns(usage.ru_stime), peak_rss_bytes })
}
