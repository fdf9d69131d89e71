//! An array map of the kernel side in our memory: reading it takes no system call.

use std::{io, marker::PhantomData, os::fd::AsFd as _, ptr};

use aya::maps::Map;

use super::maps::map_data;
use crate::mapping::Mapping;

/// All values of an array map.
#[derive(Debug)]
pub(super) struct Mapped<T> {
    memory: Mapping,
    len: usize,
    /// Programs that are loaded later name it by its descriptor.
    _map: Map,
    values: PhantomData<T>,
}

impl<T: Copy> Mapped<T> {
    /// Maps an array map of `len` values, which must be of this type, in whole 8 bytes.
    ///
    /// # Errors
    /// As `mmap(2)` gives them.
    pub(super) fn new(map: Map, len: u32) -> io::Result<Self> {
        const { assert!(size_of::<T>().is_multiple_of(8)) };
        let len = len as usize;
        let data = map_data(&map).map_err(io::Error::other)?;
        let memory = Mapping::to_write(data.fd().as_fd(), len * size_of::<T>())?;
        Ok(Self { memory, len, _map: map, values: PhantomData })
    }

    /// Address of a value.
    pub(super) fn at(&self, index: usize) -> *mut T {
        // SAFETY: within the mapping: taken modulo its length.
        unsafe { self.memory.start().cast::<T>().add(index % self.len) }
    }

    /// A copy of a value.
    pub(super) fn get(&self, index: usize) -> T {
        // SAFETY: within the mapping; any bytes are a valid value of the types in use, which are integers only. Volatile,
        // since the kernel side changes it at any time.
        unsafe { ptr::read_volatile(self.at(index)) }
    }
}
