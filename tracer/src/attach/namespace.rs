//! The PID namespace that pytracer runs in, whose ids it is given and shows.

use std::{fs, io, os::unix::fs::MetadataExt as _};

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
}
