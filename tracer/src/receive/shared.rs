//! The ring buffer that all CPUs share, as the kernel lays it out for its readers (`kernel/bpf/ringbuf.c`): a page with
//! the reader's position, one with the writers', and the data, which is mapped twice so that no record is cut. aya's
//! reader takes a record that it shows; here it has to be known what comes next before it is taken.

use std::{
    ffi::c_void,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    slice,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use bytes::BytesMut;
use tracer_common::record::{Header, kind};
use zerocopy::FromBytes as _;

use super::source::{Next, Source, put};
use crate::{decode::kind_of, mapping::Mapping};

/// `BPF_RINGBUF_BUSY_BIT`: the record is being written.
const BUSY: u32 = 1 << 31;
/// `BPF_RINGBUF_DISCARD_BIT`: the record is none after all.
const DISCARDED: u32 = 1 << 30;
/// `BPF_RINGBUF_HDR_SZ`: the length and two bits, and a number of the kernel's.
const HEADER_BYTES: usize = 8;

/// The reading end.
#[derive(Debug)]
pub(super) struct SharedRing {
    descriptor: OwnedFd,
    /// The reader's position.
    read_page: Mapping,
    /// The writers' position, and one page behind it the data.
    pages: Mapping,
    page: usize,
    /// Bytes of data, a power of two.
    bytes: usize,
    written: u64,
    read: u64,
}

impl SharedRing {
    /// The reading end of a map.
    ///
    /// # Errors
    /// As `mmap(2)` gives them.
    pub(super) fn new(map: BorrowedFd<'_>, bytes: usize) -> io::Result<Self> {
        // SAFETY: no pointers.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        Ok(Self {
            read_page: Mapping::to_write(map, page)?,
            pages: Mapping::to_read(map, page, page + 2 * bytes)?,
            descriptor: map.try_clone_to_owned()?,
            page,
            bytes,
            written: 0,
            read: 0,
        })
    }

    /// The length of the record at a position, with its bits.
    fn length(&self, position: u64) -> u32 {
        // SAFETY: within the mapping, aligned to 8; only ever accessed atomically.
        unsafe { AtomicU32::from_ptr(self.at(position).cast()) }.load(Ordering::Acquire)
    }

    /// Address of the data at a position.
    fn at(&self, position: u64) -> *mut c_void {
        // SAFETY: within the mapping: the position is taken modulo the bytes of data.
        unsafe { self.pages.start().byte_add(self.page + (position as usize & (self.bytes - 1))) }
    }

    /// The record that comes next, which is there.
    fn record(&self) -> &[u8] {
        let bytes = (self.length(self.read) as usize).min(self.bytes - HEADER_BYTES);
        // SAFETY: within the mapping, in which the data is there twice. The kernel side does not write a record that it has
        // handed over before that is released.
        unsafe { slice::from_raw_parts(self.at(self.read).cast::<u8>().add(HEADER_BYTES), bytes) }
    }

    fn skip(&mut self, length: u32) {
        let bytes = (length & !(BUSY | DISCARDED)) as usize;
        self.read += (bytes + HEADER_BYTES).next_multiple_of(8) as u64;
    }

    fn skip_discarded(&mut self) {
        while self.read < self.written {
            let length = self.length(self.read);
            if length & (BUSY | DISCARDED) != DISCARDED {
                break;
            }
            self.skip(length);
        }
    }
}

impl Source for SharedRing {
    fn look(&mut self) {
        // SAFETY: the page of the writers' position; only ever accessed atomically.
        self.written = unsafe { AtomicU64::from_ptr(self.pages.start().cast()) }.load(Ordering::Acquire);
        self.skip_discarded();
    }

    fn next(&self) -> Next {
        if self.read == self.written {
            return Next::Nothing;
        }
        if self.length(self.read) & BUSY != 0 {
            return Next::Unfinished;
        }
        let record = self.record();
        // Names are needed before all that mentions them, and nothing has to come before them but what stands there.
        if kind_of(record) == Some(kind::FUNCTION) {
            return Next::At(0);
        }
        Next::At(Header::read_from_prefix(record).map_or(0, |(header, _)| header.time_ns))
    }

    fn take(&mut self, buffer: &mut BytesMut) {
        put(buffer, self.record());
        self.skip(self.length(self.read));
        self.skip_discarded();
    }

    fn release(&mut self) {
        // SAFETY: the page of the reader's position; only ever accessed atomically.
        unsafe { AtomicU64::from_ptr(self.read_page.start().cast()) }.store(self.read, Ordering::Release);
    }
}

impl AsFd for SharedRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsRawFd for SharedRing {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}
