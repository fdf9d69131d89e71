//! The event rings: small records, in memory that the loader maps. Each CPU has two: a near one, small enough to stay in
//! the CPU's own cache, so that writing a record waits for no memory, and a far one for what finds no room there while the
//! loader is busy elsewhere. Near rings come first, then the far ones.
//!
//! A ring is a power of two of slots of one record each. The kernel side takes a slot by counting `written` up, fills it,
//! and writes its first word last: that has the record's time, and in the highest bit whether this is an odd round of the
//! ring. So the loader knows a slot that is filled from one that is not yet, and writes nothing but `read`.

/// A slot.
pub type Slot = [u64; SLOT_WORDS];
/// Words of a slot: the largest record of those that are sent this way has 32 bytes.
pub const SLOT_WORDS: usize = 4;
/// Slots of a near ring, at most: half a MiB, the events of some milliseconds at full speed.
pub const NEAR_SLOTS: u32 = 1 << 14;
/// Bit of a slot's first word, see [`mark`].
pub const MARK: u64 = 1 << 63;

/// How far a ring is written and read, in slots since the beginning.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Positions {
    /// By the kernel side: slots taken.
    pub written: u64,
    /// Keeps apart what different CPUs write.
    pub apart: [u64; 15],
    /// By the loader: slots that may be taken again.
    pub read: u64,
    /// As above.
    pub apart_from_next: [u64; 15],
}

/// What the first word of the slot at a position has above the record's time, once it is filled. Memory that was never
/// written has it not.
#[inline(always)]
pub fn mark(position: u64, slots: u64) -> u64 {
    if position & slots == 0 { MARK } else { 0 }
}

/// Is this the first word of the slot at a position, filled? Then the record's.
#[inline(always)]
pub fn unmark(word: u64, position: u64, slots: u64) -> Option<u64> {
    if word & MARK == mark(position, slots) { Some(word & !MARK) } else { None }
}

#[cfg(feature = "user")]
// SAFETY: repr(C), integers only, no padding.
unsafe impl aya::Pod for Positions {}
