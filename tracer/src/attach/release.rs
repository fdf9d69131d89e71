//! Taking probes away so that none stays behind, whatever happens to us meanwhile.
//!
//! The kernel takes a breakpoint out of a process while the last descriptor of its probe is closed, and gives up half
//! way if the thread that closes it is being killed: `uprobe: failed to unregister, leaking uprobe` in the kernel's log
//! (seen on Linux 6.18), and the breakpoint stays, slow but harmless, until the process ends. A process that is ending
//! by itself closes what it has left without being disturbed. So probes are closed by small processes of their own:
//! killing us does not reach them, and all of them wait for the kernel at the same time.

use std::{
    io::{PipeReader, pipe},
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

/// Most processes at once. With more probes than that each closes several, one after the other.
const CLOSERS: usize = 32;

/// Closes groups of descriptors, and returns when the probes are gone.
pub(super) fn close(groups: Vec<Vec<OwnedFd>>) {
    // Where there is no pipe or no process to be had, they are closed here.
    let Ok((go, hold)) = pipe() else { return };
    let share = groups.len().div_ceil(CLOSERS).max(1);
    let closers: Vec<libc::pid_t> =
        groups.chunks(share).filter_map(|groups| start_closer(groups, &go)).collect();
    // These are not the last ones of each: the closers have theirs, and hold them until the pipe is closed.
    drop(groups);
    drop(hold);
    for closer in closers {
        // SAFETY: no pointers that are followed; the process is our child and nobody else waits for it.
        unsafe { libc::waitpid(closer, std::ptr::null_mut(), 0) };
    }
}

/// Starts a process that keeps nothing but these descriptors, and ends when the pipe is closed.
fn start_closer(groups: &[Vec<OwnedFd>], go: &PipeReader) -> Option<libc::pid_t> {
    let go = go.as_raw_fd();
    let mut kept: Vec<RawFd> = groups.iter().flatten().map(AsRawFd::as_raw_fd).chain([go]).collect();
    kept.sort_unstable();
    // SAFETY: the child makes system calls only, none of which touches a lock or memory but its own stack and `kept`.
    match unsafe { libc::fork() } {
        0 => {
            outlive_lack_of_memory();
            close_all_but(&kept);
            let mut byte = 0_u8;
            // SAFETY: `byte` lives until the call returns; nothing is ever written to the pipe. Then the process ends
            // without running anything of ours, and the kernel closes the rest.
            unsafe {
                libc::read(go, (&raw mut byte).cast(), 1);
                libc::_exit(0)
            }
        }
        -1 => None,
        child => Some(child),
    }
}

/// Asks the kernel to spare this process when memory runs out, also when it ends a whole control group then. That takes
/// `CAP_SYS_RESOURCE`; without it the process is as likely to be ended as others. Makes system calls only.
pub(super) fn outlive_lack_of_memory() {
    const NEVER: &[u8] = b"-1000";
    // SAFETY: the path ends with a zero, the bytes live until the call returns, and the descriptor is our own.
    unsafe {
        let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if file >= 0 {
            libc::write(file, NEVER.as_ptr().cast(), NEVER.len());
            libc::close(file);
        }
    }
}

/// Closes all descriptors but these, given in order. Makes system calls only.
pub(super) fn close_all_but(kept: &[RawFd]) {
    let mut from = 0;
    for &descriptor in kept {
        if descriptor > from {
            // SAFETY: no pointers. Other processes keep their own.
            unsafe { libc::syscall(libc::SYS_close_range, from, descriptor - 1, 0) };
        }
        from = descriptor + 1;
    }
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_close_range, from, libc::c_uint::MAX, 0) };
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read as _, pipe},
    };

    use super::*;

    #[test]
    fn all_is_closed_when_it_returns() {
        let (mut first_end, first) = pipe().unwrap();
        let (mut second_end, second) = pipe().unwrap();
        let other = File::open("/dev/null").unwrap();
        let many = (0..3 * CLOSERS).map(|_| vec![File::open("/dev/null").unwrap().into()]);
        close([vec![first.into(), other.into()], vec![second.into()]].into_iter().chain(many).collect());
        let mut bytes = Vec::new();
        // The end of a pipe is seen only when nobody has its other end any more.
        assert_eq!(first_end.read_to_end(&mut bytes).unwrap(), 0);
        assert_eq!(second_end.read_to_end(&mut bytes).unwrap(), 0);
    }
}
