//! The system call `bpf(2)`, for what aya 0.14 can't ask of it.

use std::{
    io,
    os::fd::{FromRawFd as _, OwnedFd},
};

/// `enum bpf_cmd`.
pub(super) const PROG_LOAD: libc::c_int = 5;
/// `enum bpf_cmd`.
pub(super) const BTF_LOAD: libc::c_int = 18;
/// `enum bpf_cmd`.
pub(super) const LINK_CREATE: libc::c_int = 28;

/// Makes something that has a descriptor. `attr` is the part of `union bpf_attr` that the kernel reads for this command; all
/// addresses in it must be of memory that lives until the call returns.
///
/// # Errors
/// As `bpf(2)` gives them.
pub(super) fn bpf<T>(command: libc::c_int, attr: &T) -> io::Result<OwnedFd> {
    // SAFETY: `attr` is a prefix of `union bpf_attr` for this command, its size is passed, and its callers keep what it
    // points to.
    owned(unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<T>()) })
}

/// The descriptor that a system call has made, or its error.
pub(super) fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system call has just made this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(result as i32) })
}
