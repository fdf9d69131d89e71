//! USDT probes of an image (`.note.stapsdt`): a `nop` at a known place, and a counter (semaphore) that must be
//! above 0 for the program to get there.

use super::{elf::Elf, notes::Note};

/// Type of a note that describes a probe.
const NT_STAPSDT: u32 = 3;

/// One probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsdtNote {
    /// Who defined it: `python`.
    pub provider: String,
    /// Its name: `function__return`.
    pub name: String,
    /// Virtual address of the `nop`.
    pub address: u64,
    /// Virtual address of the semaphore, a 16-bit counter.
    pub semaphore: Option<u64>,
}

/// All probes of an image. Damaged notes are left out.
pub fn read(elf: &Elf) -> Vec<UsdtNote> {
    let base = elf.section(".stapsdt.base").map(|(address, _)| address);
    elf.section(".note.stapsdt").map_or_else(Vec::new, |(_, bytes)| parse(bytes, base))
}

/// Reads the section. `base` is where the linker has put `.stapsdt.base`: prelinking moves it, and addresses in the
/// notes move along.
fn parse(bytes: &[u8], base: Option<u64>) -> Vec<UsdtNote> {
    let probes = Note::all(bytes).filter(|note| note.kind == NT_STAPSDT && note.owner == b"stapsdt\0");
    probes.filter_map(|note| parse_note(note.description, base)).collect()
}

/// Address, base and semaphore, then provider, name and arguments as C strings.
fn parse_note(description: &[u8], base: Option<u64>) -> Option<UsdtNote> {
    let word = |at: usize| Some(u64::from_le_bytes(description.get(at..at + 8)?.try_into().ok()?));
    let (address, linked_base, semaphore) = (word(0)?, word(8)?, word(16)?);
    let moved = base.map_or(0, |base| base.wrapping_sub(linked_base));
    let mut strings = description.get(24..)?.split(|&b| b == 0);
    let mut text = || Some(String::from_utf8_lossy(strings.next()?).into_owned());
    Some(UsdtNote {
        provider: text()?,
        name: text()?,
        address: address.wrapping_add(moved),
        semaphore: (semaphore != 0).then(|| semaphore.wrapping_add(moved)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(address: u64, base: u64, semaphore: u64, strings: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let size = 24 + strings.len();
        for word in [8, size as u32, NT_STAPSDT] {
            out.extend(word.to_le_bytes());
        }
        out.extend(b"stapsdt\0");
        for word in [address, base, semaphore] {
            out.extend(word.to_le_bytes());
        }
        out.extend(strings);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    #[test]
    fn two_notes_and_a_moved_base() {
        let mut bytes = note(0x1000, 0x9000, 0x8000, b"python\0function__return\08@%rbp\0");
        bytes.extend(note(0x2000, 0x9000, 0, b"python\0gc__start\0\0"));
        let notes = parse(&bytes, Some(0x9010));
        assert_eq!(notes.len(), 2);
        assert_eq!(notes[0].name, "function__return");
        assert_eq!((notes[0].address, notes[0].semaphore), (0x1010, Some(0x8010)));
        assert_eq!((notes[1].provider.as_str(), notes[1].semaphore), ("python", None));
    }

    #[test]
    fn truncated_and_mutated_notes_do_not_panic() {
        let good = note(0x1000, 0x9000, 0x8000, b"python\0function__return\08@%rbp\0");
        for length in 0..good.len() {
            parse(&good[..length], Some(0));
        }
        for at in 0..good.len() {
            for value in [0, 3, 4, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                parse(&bad, None);
            }
        }
    }
}
