//! The event rings, two for each CPU (`tracer_common::ring`).

use std::{
    io,
    os::fd::BorrowedFd,
    ptr,
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::BytesMut;
use tracer_common::ring::{Positions, SLOT_WORDS, Slot, unmark};
use zerocopy::IntoBytes as _;

use super::source::{Next, Source, put};
use crate::mapping::Mapping;

/// The reading end of one of them.
#[derive(Debug)]
pub(super) struct EventRing {
    memory: Rc<Memory>,
    number: usize,
    /// Where its slots begin among those of all rings.
    first: usize,
    slots: u64,
    /// Up to here it was written at the last look.
    written: u64,
    /// Up to here it is read.
    read: u64,
}

/// The memory of all rings.
#[derive(Debug)]
struct Memory {
    slots: Mapping,
    positions: Mapping,
}

impl EventRing {
    /// The reading ends of all of them, from the maps of their slots and positions. `slots`: of each, a power of two, or 0 if
    /// there is none.
    ///
    /// # Errors
    /// As `mmap(2)` gives them.
    pub(super) fn all(
        slots_map: BorrowedFd<'_>,
        positions_map: BorrowedFd<'_>,
        slots: &[u32],
    ) -> io::Result<Vec<Self>> {
        let memory = Rc::new(Memory {
            slots: Mapping::to_read(slots_map, 0, slots.iter().sum::<u32>() as usize * size_of::<Slot>())?,
            positions: Mapping::to_write(positions_map, slots.len() * size_of::<Positions>())?,
        });
        let mut next = 0;
        let rings = slots.iter().enumerate().map(|(number, &slots)| {
            let first = next;
            next += slots as usize;
            Self { memory: Rc::clone(&memory), number, first, slots: u64::from(slots), written: 0, read: 0 }
        });
        Ok(rings.filter(|ring| ring.slots > 0).collect())
    }

    fn positions(&self) -> (&AtomicU64, &AtomicU64) {
        let positions = self.memory.positions.start().cast::<Positions>();
        // SAFETY: within the mapping, which lives as long as this value; only ever accessed atomically, as the kernel side
        // does.
        unsafe {
            let positions = positions.add(self.number);
            (
                AtomicU64::from_ptr(&raw mut (*positions).written),
                AtomicU64::from_ptr(&raw mut (*positions).read),
            )
        }
    }

    /// The slot that is read next.
    fn slot(&self) -> *mut u64 {
        let slot = self.first + (self.read & (self.slots - 1)) as usize;
        // SAFETY: within the mapping: the number is of a ring, and the position is taken modulo its slots.
        unsafe { self.memory.slots.start().cast::<u64>().add(slot * SLOT_WORDS) }
    }

    /// The record's first word, if it is written to its end.
    fn first_word(&self) -> Option<u64> {
        // SAFETY: an aligned word within the mapping. The kernel side writes it last.
        let word = unsafe { AtomicU64::from_ptr(self.slot()) }.load(Ordering::Acquire);
        unmark(word, self.read, self.slots)
    }
}

impl Source for EventRing {
    fn look(&mut self) {
        self.written = self.positions().0.load(Ordering::Acquire);
    }

    #[inline]
    fn next(&self) -> Next {
        if self.read == self.written {
            return Next::Nothing;
        }
        self.first_word().map_or(Next::Unfinished, Next::At)
    }

    #[inline]
    fn take(&mut self, buffer: &mut BytesMut) {
        let Some(first) = self.first_word() else { return };
        // SAFETY: within the mapping; the slot is filled, and nobody writes it before it is released.
        let mut words: Slot = unsafe { ptr::read(self.slot().cast()) };
        words[0] = first;
        put(buffer, words.as_bytes());
        self.read += 1;
    }

    fn release(&mut self) {
        self.positions().1.store(self.read, Ordering::Release);
    }
}
