//! The kernel side's thread slots, mapped into our memory: reading or seeding one takes no system call.

use std::{io, ptr};

use aya::maps::Map;
use tracer_common::{
    limits::THREADS,
    state::{Thread, thread_state},
};

use super::mapped::Mapped;
use crate::event::Slot;

/// All thread slots. Their fields are read and written as volatile: the kernel side changes them at any time.
#[derive(Debug)]
pub struct ThreadTable(Mapped<Thread>);

impl ThreadTable {
    /// Maps the memory of the map `THREADS`.
    ///
    /// # Errors
    /// As `mmap(2)` gives them.
    pub(super) fn new(map: Map) -> io::Result<Self> {
        Mapped::new(map, THREADS).map(Self)
    }

    fn slot(&self, slot: Slot) -> *mut Thread {
        self.0.at(usize::from(slot))
    }

    /// A copy of a slot.
    pub fn get(&self, slot: Slot) -> Thread {
        self.0.get(usize::from(slot))
    }

    /// Slots with [`thread_state::LEFT`], which is taken from them.
    pub fn take_left(&self) -> Vec<Slot> {
        let take = |slot: &Slot| {
            // SAFETY: within the mapping; only the address is taken.
            let state = unsafe { &raw mut (*self.slot(*slot)).state };
            // SAFETY: an aligned u32 within the mapping. With the bit set the thread is gone: nobody else writes it.
            unsafe {
                let found = ptr::read_volatile(state);
                if found & thread_state::LEFT != 0 {
                    ptr::write_volatile(state, found & !thread_state::LEFT);
                }
                found & thread_state::LEFT != 0
            }
        };
        (1..THREADS as Slot).filter(take).collect()
    }

    /// Fills a slot that is not handed out yet.
    pub fn seed(&self, slot: Slot, thread: Thread) {
        // SAFETY: within the mapping; the kernel side does not know the slot yet.
        unsafe { ptr::write_volatile(self.slot(slot), thread) }
    }

    /// Says that a thread is off its CPU since `since_ns`, unless the kernel side has said so already.
    pub fn set_switched_out(&self, slot: Slot, since_ns: u64) {
        // SAFETY: within the mapping; only the address is taken.
        let field = unsafe { &raw mut (*self.slot(slot)).switched_out_ns };
        // SAFETY: an aligned u64 within the mapping. If the thread is switched in or out right now the kernel side
        // writes it anew; a stale value is overwritten by the next switch.
        unsafe {
            if ptr::read_volatile(field) == 0 {
                ptr::write_volatile(field, since_ns);
            }
        }
    }
}
