//! The tables of an ELF file: sections by name, symbols, relocations.
//!
//! A file may claim anything, so names are compared within their first bytes only and every table has a limit: no
//! claim makes the work more than a pass over the file.

use object::{
    Endianness,
    elf::{self, FileHeader64},
    read::{
        ReadRef, SectionIndex,
        elf::{FileHeader as _, SectionHeader as _},
    },
};

use super::elf::{ElfError, Symbol};

/// More sections than any linker makes of a program.
const MAX_SECTIONS: usize = 1024;
/// More relocations than a program of 500 MB has.
const MAX_RELOCATIONS: usize = 8 << 20;
/// Bytes of a `.symtab` or `.dynsym` entry, and of a `.rela` entry.
const ENTRY: usize = 24;

/// Part of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Span {
    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        let end = self.offset.saturating_add(self.size);
        bytes.get(self.offset as usize..end as usize).unwrap_or_default()
    }
}

/// A section that has a name.
#[derive(Clone, Debug)]
pub(super) struct Section {
    name: Vec<u8>,
    pub(super) kind: u32,
    pub(super) loaded: bool,
    pub(super) address: u64,
    pub(super) span: Span,
    /// For symbols: number of the section with their names.
    link: usize,
}

/// All sections, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Sections(Vec<Section>);

impl Sections {
    /// Reads the section headers; none at all is no error.
    pub(super) fn read<'a, R: ReadRef<'a>>(
        header: &FileHeader64<Endianness>,
        endian: Endianness,
        data: R,
    ) -> Result<Self, ElfError> {
        let headers = header.section_headers(endian, data)?;
        if headers.len() > MAX_SECTIONS {
            return Err(ElfError::Sections);
        }
        let names = header.section_strings_index(endian, data).unwrap_or(SectionIndex(0));
        let names = headers.get(names.0).and_then(|s| s.file_range(endian)).unwrap_or_default();
        let sections = headers.iter().map(|s| {
            let (offset, size) = s.file_range(endian).unwrap_or_default();
            Section {
                name: name(data, names, s.sh_name(endian)),
                kind: s.sh_type(endian),
                loaded: s.sh_flags(endian) & u64::from(elf::SHF_ALLOC) != 0,
                address: s.sh_addr(endian),
                span: Span { offset, size },
                link: s.sh_link(endian) as usize,
            }
        });
        Ok(Self(sections.collect()))
    }

    pub(super) fn named(&self, name: &str) -> Option<&Section> {
        self.0.iter().find(|s| s.name == name.as_bytes())
    }

    /// Sections that are loaded with the program, of one kind.
    pub(super) fn loaded(&self, kind: u32) -> impl Iterator<Item = &Section> {
        self.0.iter().filter(move |s| s.loaded && s.kind == kind)
    }

    /// Where the symbols of a kind stand, and their names.
    pub(super) fn symbols(&self, kind: u32) -> Option<(Span, Span)> {
        let table = self.0.iter().find(|s| s.kind == kind)?;
        Some((table.span, self.0.get(table.link)?.span))
    }
}

fn name<'a, R: ReadRef<'a>>(data: R, (start, size): (u64, u64), at: u32) -> Vec<u8> {
    const LONGEST: u64 = 32;
    let left = size.saturating_sub(at.into()).min(LONGEST);
    let bytes =
        start.checked_add(at.into()).and_then(|at| data.read_bytes_at(at, left).ok()).unwrap_or_default();
    bytes.split(|&b| b == 0).next().unwrap_or_default().to_vec()
}

/// Finds a defined symbol by its name.
pub(super) fn find_symbol(entries: &[u8], names: &[u8], wanted: &str) -> Option<Symbol> {
    entries.chunks_exact(ENTRY).find_map(|entry| {
        let name = u32::from_le_bytes(entry.get(..4)?.try_into().ok()?);
        let section = u16::from_le_bytes(entry.get(6..8)?.try_into().ok()?);
        let defined = section != elf::SHN_UNDEF && is_name(names, name, wanted);
        defined.then_some(Symbol { address: u64_at(entry, 8)?, size: u64_at(entry, 16)? })
    })
}

/// Is the name of a symbol, by its number in the table, this one?
pub(super) fn is_symbol(entries: &[u8], names: &[u8], index: u32, wanted: &str) -> bool {
    let start = index as usize * ENTRY;
    let name =
        entries.get(start..).and_then(|e| e.get(..4)).and_then(|e| e.try_into().ok()).map(u32::from_le_bytes);
    name.is_some_and(|name| is_name(names, name, wanted))
}

fn is_name(names: &[u8], at: u32, wanted: &str) -> bool {
    let found = names.get(at as usize..).and_then(|rest| rest.strip_prefix(wanted.as_bytes()));
    found.is_some_and(|rest| rest.first() == Some(&0))
}

/// An entry of a `.rela` section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relocation {
    pub(super) slot: u64,
    pub(super) kind: u32,
    pub(super) symbol: u32,
    pub(super) addend: u64,
}

/// The relocations that the dynamic linker makes.
pub(super) fn relocations<'a>(
    sections: &'a Sections,
    bytes: &'a [u8],
) -> impl Iterator<Item = Relocation> + 'a {
    let entries = sections.loaded(elf::SHT_RELA).flat_map(|s| s.span.of(bytes).chunks_exact(ENTRY));
    entries.take(MAX_RELOCATIONS).filter_map(|entry| {
        let info = u64_at(entry, 8)?;
        let (slot, addend) = (u64_at(entry, 0)?, u64_at(entry, 16)?);
        Some(Relocation { slot, kind: info as u32, symbol: (info >> 32) as u32, addend })
    })
}

/// Slots of packed relative relocations (`SHT_RELR`): a word is the next slot, or a bitmap (lowest bit set) of the 63
/// slots that follow.
pub(super) fn packed_slots(sections: &Sections, bytes: &[u8]) -> Vec<u64> {
    let words = sections.loaded(elf::SHT_RELR).flat_map(|s| s.span.of(bytes).chunks_exact(8));
    let mut slots = Vec::new();
    let mut next = 0u64;
    for word in words.filter_map(|word| u64_at(word, 0)) {
        if slots.len() > MAX_RELOCATIONS {
            break;
        }
        if word & 1 == 0 {
            slots.push(word);
            next = word.wrapping_add(8);
        } else {
            let set = (0..63).filter(|bit| word >> (bit + 1) & 1 == 1);
            slots.extend(set.map(|bit| next.wrapping_add(8 * bit)));
            next = next.wrapping_add(63 * 8);
        }
    }
    slots
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_relocations_are_unpacked() {
        let words: [u64; 4] = [0x1000, 0b1011, 0x3000, 1];
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        let span = Span { offset: 0, size: bytes.len() as u64 };
        let section =
            Section { name: Vec::new(), kind: elf::SHT_RELR, loaded: true, address: 0, span, link: 0 };
        assert_eq!(packed_slots(&Sections(vec![section]), &bytes), [0x1000, 0x1008, 0x1018, 0x3000]);
    }

    #[test]
    fn symbols_by_whole_name() {
        let names = b"\0PyCode_TypeX\0PyCode_Type\0";
        let entry = |name: u32, section: u16, address: u64| {
            let mut bytes = name.to_le_bytes().to_vec();
            bytes.extend([0, 0]);
            bytes.extend(section.to_le_bytes());
            bytes.extend(address.to_le_bytes());
            bytes.extend(8u64.to_le_bytes());
            bytes
        };
        let table = [entry(1, 5, 1), entry(14, 0, 2), entry(14, 5, 3), entry(999, 5, 4)].concat();
        assert_eq!(find_symbol(&table, names, "PyCode_Type"), Some(Symbol { address: 3, size: 8 }));
        assert_eq!(find_symbol(&table, names, "Py"), None);
        assert!(is_symbol(&table, names, 2, "PyCode_Type") && !is_symbol(&table, names, 7, "PyCode_Type"));
    }
}
