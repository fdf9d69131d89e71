//! Memory that the kernel side shares with us.

use std::{
    ffi::c_void,
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
    ptr::{self, NonNull},
};

/// The memory of a map, or a part of it.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<c_void>,
    bytes: usize,
}

// SAFETY: the mapping belongs to this value alone, which only hands out addresses.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps memory to read, from a whole number of pages on.
    ///
    /// # Errors
    /// As `mmap(2)` gives them.
    pub(crate) fn to_read(map: BorrowedFd<'_>, from: usize, bytes: usize) -> io::Result<Self> {
        Self::new(map, from, bytes, libc::PROT_READ)
    }

    /// Maps memory to read and write, from the beginning.
    ///
    /// # Errors
    /// As `mmap(2)` gives them.
    pub(crate) fn to_write(map: BorrowedFd<'_>, bytes: usize) -> io::Result<Self> {
        Self::new(map, 0, bytes, libc::PROT_READ | libc::PROT_WRITE)
    }

    fn new(map: BorrowedFd<'_>, from: usize, bytes: usize, protection: libc::c_int) -> io::Result<Self> {
        let (descriptor, from) = (map.as_raw_fd(), from as libc::off_t);
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start =
            unsafe { libc::mmap(ptr::null_mut(), bytes, protection, libc::MAP_SHARED, descriptor, from) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, bytes })
    }

    /// The first byte; page aligned. The kernel side may change what is there at any time.
    pub(crate) fn start(&self) -> *mut c_void {
        self.start.as_ptr()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and whoever has its address has this value too.
        unsafe { libc::munmap(self.start.as_ptr(), self.bytes) };
    }
}
