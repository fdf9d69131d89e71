//! An array map of the kernel side in our memory: reading it takes no system call.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
    ptr,
};

use aya::maps::{Map, MapData, MapError};

/// All values of an array map.
#[derive(Debug)]
pub(super) struct Mapped<T> {
    values: *mut T,
    len: usize,
    /// Programs that are loaded later name it by its descriptor.
    _map: Map,
}

// SAFETY: the mapping belongs to this value alone; it is read and written as volatile, since the kernel side changes it
// at any time.
unsafe impl<T> Send for Mapped<T> {}

impl<T: Copy> Mapped<T> {
    /// Maps an array map of `len` values, which must be of this type, in whole 8 bytes.
    ///
    /// # Errors
    /// As `mmap(2)` gives them.
    pub(super) fn new(map: Map, len: u32) -> io::Result<Self> {
        const { assert!(size_of::<T>().is_multiple_of(8)) };
        let len = len as usize;
        let fd = data(&map).map_err(io::Error::other)?.fd().as_fd().as_raw_fd();
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let address =
            unsafe { libc::mmap(ptr::null_mut(), len * size_of::<T>(), protection, libc::MAP_SHARED, fd, 0) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { values: address.cast(), len, _map: map })
    }

    /// Address of a value.
    pub(super) fn at(&self, index: usize) -> *mut T {
        // SAFETY: within the mapping: taken modulo its length.
        unsafe { self.values.add(index % self.len) }
    }

    /// A copy of a value.
    pub(super) fn get(&self, index: usize) -> T {
        // SAFETY: within the mapping; any bytes are a valid value of the types in use, which are integers only.
        unsafe { ptr::read_volatile(self.at(index)) }
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nothing refers to it any more.
        unsafe { libc::munmap(self.values.cast(), self.len * size_of::<T>()) };
    }
}

fn data(map: &Map) -> Result<&MapData, MapError> {
    match map {
        Map::Array(data) => Ok(data),
        _ => Err(MapError::InvalidMapType { map_type: 0 }),
    }
}
