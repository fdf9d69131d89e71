//! The namespaces that pytracer runs in: that of PIDs, whose ids it is given and shows, and that of clocks.

use std::{fs, io, os::unix::fs::MetadataExt as _, sync::OnceLock};

/// Inode number of the machine's first PID namespace: `PROC_PID_INIT_INO` of the kernel's `include/linux/proc_ns.h`.
const FIRST: u64 = 0xefff_fffc;

/// Inode number of our PID namespace; 0: it is the machine's first.
///
/// # Errors
/// If `/proc` shows the processes of another namespace than ours: ids from there would mean nothing to the kernel.
pub fn of_this_process() -> io::Result<u32> {
    let shown = fs::read_link("/proc/self")?;
    if shown.to_str() != Some(std::process::id().to_string().as_str()) {
        return Err(io::Error::other("/proc shows another PID namespace than pytracer's own"));
    }
    let inode = fs::metadata("/proc/self/ns/pid")?.ino();
    Ok(if inode == FIRST { 0 } else { inode as u32 })
}

/// By how much `CLOCK_MONOTONIC` of this process's time namespace is ahead of the machine's, which the kernel programs read.
pub(super) fn monotonic_offset_ns() -> i64 {
    static OFFSET_NS: OnceLock<i64> = OnceLock::new();
    *OFFSET_NS.get_or_init(|| {
        // Kernels without time namespaces have no such file, and no offset.
        let text = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        monotonic_of(&text).unwrap_or(0)
    })
}

/// The offset in a text with lines of clock, seconds and nanoseconds.
fn monotonic_of(offsets: &str) -> Option<i64> {
    let line = offsets.lines().find_map(|line| line.strip_prefix("monotonic"))?;
    let mut numbers = line.split_ascii_whitespace().map(str::parse::<i64>);
    let (seconds, ns) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    seconds.checked_mul(1_000_000_000)?.checked_add(ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_of_this_test() {
        let link = fs::read_link("/proc/self/ns/pid").expect("a namespace").to_string_lossy().into_owned();
        let own = of_this_process().expect("a namespace");
        let shown = if own == 0 { FIRST as u32 } else { own };
        assert_eq!(link, format!("pid:[{shown}]"));
    }

    #[test]
    fn offsets_of_a_time_namespace() {
        assert_eq!(
            monotonic_of("monotonic      100000         5\nboottime  7  0\n"),
            Some(100_000_000_000_005)
        );
        assert_eq!(monotonic_of("monotonic         -10 500000000\n"), Some(-9_500_000_000));
        assert_eq!((monotonic_of(""), monotonic_of("monotonic x 0")), (None, None));
    }
}
