//! Where functions begin and end, also in stripped files: the table that exception handling needs
//! (`.eh_frame_hdr`) lists the start of every function and of every part of it that was split off.

use std::ops::Range;

use super::elf::Elf;

/// `DW_EH_PE_udata4`, the encoding of the table's length.
const UDATA4: u8 = 0x03;
/// `DW_EH_PE_datarel | DW_EH_PE_sdata4`, the encoding of the table's entries: all linkers write this one.
const DATAREL_SDATA4: u8 = 0x3b;

/// Start addresses of all functions, in order.
#[derive(Debug, Default)]
pub struct Functions {
    starts: Vec<u64>,
}

impl Functions {
    /// Reads the table. Empty if the file has none in the common encoding.
    pub fn of(elf: &Elf) -> Self {
        let mut starts = read(elf).unwrap_or_default();
        starts.sort_unstable();
        starts.dedup();
        Self { starts }
    }

    /// The function, or the part of one, that holds an address; ends where the next begins.
    pub fn containing(&self, address: u64) -> Option<Range<u64>> {
        let next = self.starts.partition_point(|&s| s <= address);
        let start = *self.starts.get(next.checked_sub(1)?)?;
        Some(start..*self.starts.get(next)?)
    }
}

fn read(elf: &Elf) -> Option<Vec<u64>> {
    let (base, bytes) = elf.section(".eh_frame_hdr")?;
    let &[1, _, UDATA4, DATAREL_SDATA4] = bytes.first_chunk::<4>()? else { return None };
    let table = bytes.get(12..)?.chunks_exact(8);
    let count = u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?) as usize;
    let starts = table.take(count).filter_map(|entry| {
        let offset = i32::from_le_bytes(entry.get(..4)?.try_into().ok()?);
        Some(base.wrapping_add_signed(i64::from(offset)))
    });
    Some(starts.collect())
}
