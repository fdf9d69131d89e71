//! The rings of events: how large they are, and where they are mapped from.

use std::io;

use aya::Ebpf;
use tracer_common::{
    limits::{CPU_RING_BYTES, RING_BYTES, SHARED_RING_BYTES},
    ring::{NEAR_SLOTS, Slot},
};

use super::maps::duplicate;
use crate::receive::Rings;

/// Least size of a ring: a page.
const LEAST_RING_BYTES: u32 = 4096;

/// How large the rings are.
#[derive(Clone, Copy)]
pub(super) struct RingSizes {
    /// Event rings of either kind, a power of two: those of CPUs with the same remainder are one.
    rings: u32,
    /// Slots of each near ring, a power of two.
    near: u32,
    /// Slots of each far ring, a power of two; 0: there are none.
    far: u32,
    /// Bytes of the ring buffer for the rest.
    pub(super) shared_bytes: u32,
}

impl RingSizes {
    pub(super) fn new(asked: Option<u32>) -> Self {
        let cpus = aya::util::online_cpus().map_or(1, |cpus| cpus.len() as u32);
        let rings = cpus.next_power_of_two();
        let bytes = asked.unwrap_or_else(|| RING_BYTES.max(rings * CPU_RING_BYTES));
        let slots = (bytes / rings).max(LEAST_RING_BYTES) / size_of::<Slot>() as u32;
        // What was asked for is small enough for near rings alone, or what the far ones have.
        let (near, far) = if slots <= NEAR_SLOTS { (slots, 0) } else { (NEAR_SLOTS, slots) };
        Self { rings, near, far, shared_bytes: bytes.min(SHARED_RING_BYTES) }
    }

    /// Slots of all event rings.
    pub(super) fn slots(self) -> u32 {
        self.rings * (self.near + self.far)
    }

    /// Event rings of both kinds.
    pub(super) fn event_rings(self) -> u32 {
        2 * self.rings
    }

    /// Constants of the programs that these sizes decide on.
    pub(super) fn globals(self) -> [(&'static str, u32); 3] {
        [("EVENT_RINGS", self.rings), ("NEAR_RING_SLOTS", self.near), ("FAR_RING_SLOTS", self.far)]
    }
}

/// The rings of a loaded object.
pub(super) fn rings(ebpf: &Ebpf, sizes: RingSizes) -> io::Result<Rings> {
    let descriptor = |name| ebpf.map(name).and_then(duplicate).unwrap_or(Err(io::ErrorKind::NotFound.into()));
    Ok(Rings {
        shared: descriptor("RING")?,
        shared_bytes: sizes.shared_bytes,
        event_slots: descriptor("EVENT_SLOTS")?,
        event_positions: descriptor("EVENT_POSITIONS")?,
        slots_of_rings: [sizes.near, sizes.far].map(|slots| vec![slots; sizes.rings as usize]).concat(),
    })
}
