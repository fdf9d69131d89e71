//! Runs of the programs on tracepoints that the kernel has left out: it does not run such a program while the same one is
//! under way on the same CPU. Where threads are switched also within tracepoints (seen on Linux 7.2, preemptible), that
//! may be another thread's run.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::programs::BtfTracePoint;

use super::{
    Kernel,
    load::{MEMORY_TRACEPOINTS, TRACEPOINTS},
};

impl Kernel {
    /// Tracepoints that were passed without their program, and how often.
    pub fn skipped_runs(&self) -> Vec<(&'static str, u64)> {
        let all = TRACEPOINTS.into_iter().chain(MEMORY_TRACEPOINTS);
        all.map(|name| (name, self.skipped(name).unwrap_or(0))).filter(|(_, runs)| *runs > 0).collect()
    }

    /// `None`: it is not loaded, or the kernel does not tell (before Linux 5.12).
    fn skipped(&self, name: &str) -> Option<u64> {
        let program: &BtfTracePoint = self.ebpf.program(name)?.try_into().ok()?;
        let fd = program.fd().ok()?.as_fd().as_raw_fd();
        skipped_in(&fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?)
    }
}

/// The number in what the kernel says of a program's descriptor.
fn skipped_in(about: &str) -> Option<u64> {
    let number = about.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?;
    number.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_by_a_line() {
        let about = "pos:\t0\nflags:\t02000002\nprog_type:\t26\nrun_cnt:\t0\nrecursion_misses:\t17\nverified_insns:\t3\n";
        assert_eq!(skipped_in(about), Some(17));
        assert_eq!(skipped_in("pos:\t0\n"), None);
    }
}
