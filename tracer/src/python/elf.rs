//! One ELF file, read whole: segments, symbols, relocations. Files come from other people's containers, so every
//! access is checked and nothing is mapped: a file that shrinks while it is read is an error, not a signal.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use object::{
    Architecture, Endianness, Object, ObjectKind, ObjectSection, ObjectSymbol, ObjectSymbolTable,
    RelocationFlags, RelocationTarget, elf,
    read::elf::{ElfFile64, ProgramHeader, SectionHeader},
};
use rustc_hash::FxHashMap;
use thiserror::Error;

/// Largest file that is read, in bytes. CPython with debug information has about 35 MB.
const MAX_SIZE: u64 = 512 << 20;

/// Why a file can't be read as an x86-64 ELF image.
#[derive(Debug, Error)]
pub enum ElfError {
    /// Opening or reading failed.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// Longer than any interpreter.
    #[error("the file has more than {} MB", MAX_SIZE >> 20)]
    TooLarge,
    /// No ELF file.
    #[error("not an ELF file")]
    NotElf,
    /// A 32-bit ELF file.
    #[error("a 32-bit program")]
    Bits32,
    /// An ELF file for another machine.
    #[error("not an x86-64 program")]
    Machine,
    /// Damaged.
    #[error("damaged ELF file: {0}")]
    Damaged(#[from] object::Error),
}

/// One `PT_LOAD` segment.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Virtual address.
    pub address: u64,
    /// Offset in the file.
    pub offset: u64,
    /// Bytes in the file.
    pub file_size: u64,
    /// Is it mapped executable?
    pub executable: bool,
}

/// A defined symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Virtual address.
    pub address: u64,
    /// Size in bytes; 0: unknown.
    pub size: u64,
}

/// What an interpreter image holds, in a form that is cheap to ask.
#[derive(Debug)]
pub struct Elf {
    bytes: Vec<u8>,
    position_independent: bool,
    interpreted: bool,
    segments: Vec<Segment>,
    symbols: FxHashMap<Vec<u8>, Symbol>,
    /// `R_X86_64_RELATIVE`: slot and the address put there, ordered by slot.
    relative: Vec<(u64, u64)>,
    /// Slots that the dynamic linker fills with the address of a named function.
    imports: FxHashMap<u64, Vec<u8>>,
    sections: FxHashMap<Vec<u8>, (u64, u64, u64)>,
    build_id: Vec<u8>,
}

impl Elf {
    /// Reads a file.
    ///
    /// # Errors
    /// If it can't be read or is not an x86-64 ELF file.
    pub fn open(path: &Path) -> Result<Self, ElfError> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
        Self::parse(bytes)
    }

    /// Reads bytes.
    ///
    /// # Errors
    /// If they are not an x86-64 ELF file.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, ElfError> {
        if bytes.len() as u64 > MAX_SIZE {
            return Err(ElfError::TooLarge);
        }
        check_ident(&bytes)?;
        let file = ElfFile64::<Endianness>::parse(bytes.as_slice())?;
        if file.architecture() != Architecture::X86_64 {
            return Err(ElfError::Machine);
        }
        let segments = load_segments(&file);
        let mut relative = relative_relocations(&file);
        relative.extend(packed_relocations(&file, &segments));
        relative.sort_unstable();
        Ok(Self {
            position_independent: file.kind() == ObjectKind::Dynamic,
            interpreted: file.elf_program_headers().iter().any(|p| p.p_type(file.endian()) == elf::PT_INTERP),
            symbols: symbols(&file),
            imports: imports(&file),
            sections: sections(&file),
            build_id: file.build_id().ok().flatten().unwrap_or_default().to_vec(),
            segments,
            relative,
            bytes,
        })
    }

    /// Is it loaded at an address of the kernel's choice (PIE or shared library)?
    pub fn position_independent(&self) -> bool {
        self.position_independent
    }

    /// Is it a program rather than a library?
    pub fn is_program(&self) -> bool {
        self.interpreted || !self.position_independent
    }

    /// The build id; empty: none.
    pub fn build_id(&self) -> &[u8] {
        &self.build_id
    }

    /// `PT_LOAD` segments in file order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Relocations that put an address of this file into a slot: (slot, address), ordered by slot.
    pub fn relative_relocations(&self) -> &[(u64, u64)] {
        &self.relative
    }

    /// A defined symbol, exported or local.
    pub fn symbol(&self, name: &str) -> Option<Symbol> {
        self.symbols.get(name.as_bytes()).copied()
    }

    /// Name of the function whose address the dynamic linker puts into this slot.
    pub fn import_at(&self, slot: u64) -> Option<&[u8]> {
        self.imports.get(&slot).map(Vec::as_slice)
    }

    /// Virtual address and bytes of a section.
    pub fn section(&self, name: &str) -> Option<(u64, &[u8])> {
        let &(address, offset, size) = self.sections.get(name.as_bytes())?;
        Some((address, self.file_range(offset, size)?))
    }

    /// File offset of a virtual address that is backed by the file.
    pub fn file_offset(&self, address: u64) -> Option<u64> {
        let segment = self.segment(address)?;
        segment.offset.checked_add(address - segment.address)
    }

    /// Is the address in an executable segment?
    pub fn is_code(&self, address: u64) -> bool {
        self.segment(address).is_some_and(|s| s.executable)
    }

    /// The file's bytes from a virtual address to the end of its segment.
    pub fn bytes_from(&self, address: u64) -> Option<&[u8]> {
        let segment = self.segment(address)?;
        let skip = address - segment.address;
        self.file_range(segment.offset.checked_add(skip)?, segment.file_size - skip)
    }

    /// The file's bytes at a virtual address.
    pub fn bytes_at(&self, address: u64, length: usize) -> Option<&[u8]> {
        self.bytes_from(address)?.get(..length)
    }

    /// The bytes of a segment.
    pub fn segment_bytes(&self, segment: &Segment) -> Option<&[u8]> {
        self.file_range(segment.offset, segment.file_size)
    }

    /// A little-endian number in the file.
    pub fn u32_at(&self, address: u64) -> Option<u32> {
        self.bytes_at(address, 4)?.try_into().ok().map(u32::from_le_bytes)
    }

    /// A little-endian number in the file.
    pub fn u64_at(&self, address: u64) -> Option<u64> {
        self.bytes_at(address, 8)?.try_into().ok().map(u64::from_le_bytes)
    }

    /// A pointer as it will be once the file is loaded, less the load bias.
    pub fn pointer_at(&self, slot: u64) -> Option<u64> {
        match self.relative.binary_search_by_key(&slot, |&(at, _)| at) {
            Ok(i) => self.relative.get(i).map(|&(_, target)| target),
            Err(_) => self.u64_at(slot),
        }
    }

    fn segment(&self, address: u64) -> Option<&Segment> {
        self.segments.iter().find(|s| address >= s.address && address - s.address < s.file_size)
    }

    fn file_range(&self, offset: u64, size: u64) -> Option<&[u8]> {
        let end = offset.checked_add(size)?;
        self.bytes.get(usize::try_from(offset).ok()?..usize::try_from(end).ok()?)
    }
}

/// Do the first bytes promise a 64-bit little-endian ELF file?
pub(super) fn check_ident(bytes: &[u8]) -> Result<(), ElfError> {
    if bytes.get(..4) != Some(&elf::ELFMAG) {
        return Err(ElfError::NotElf);
    }
    match bytes.get(4..6) {
        Some([1, _]) => Err(ElfError::Bits32),
        Some([2, 1]) => Ok(()),
        _ => Err(ElfError::Machine),
    }
}

type File64<'a> = ElfFile64<'a, Endianness>;

fn load_segments(file: &File64<'_>) -> Vec<Segment> {
    let endian = file.endian();
    let headers = file.elf_program_headers().iter().filter(|p| p.p_type(endian) == elf::PT_LOAD);
    headers
        .map(|p| Segment {
            address: p.p_vaddr(endian),
            offset: p.p_offset(endian),
            file_size: p.p_filesz(endian),
            executable: p.p_flags(endian) & elf::PF_X != 0,
        })
        .collect()
}

/// Exported symbols win over local ones of the same name.
fn symbols(file: &File64<'_>) -> FxHashMap<Vec<u8>, Symbol> {
    let all = file.symbols().chain(file.dynamic_symbols());
    all.filter(ObjectSymbol::is_definition)
        .filter_map(|s| {
            Some((s.name_bytes().ok()?.to_vec(), Symbol { address: s.address(), size: s.size() }))
        })
        .collect()
}

fn relative_relocations(file: &File64<'_>) -> Vec<(u64, u64)> {
    let all = file.dynamic_relocations().into_iter().flatten();
    all.filter(|(_, r)| r.flags() == RelocationFlags::Elf { r_type: elf::R_X86_64_RELATIVE })
        .map(|(slot, r)| (slot, r.addend() as u64))
        .collect()
}

/// `DT_RELR`: a word is the next slot, or a bitmap (lowest bit set) of the 63 slots that follow.
fn packed_relocations(file: &File64<'_>, segments: &[Segment]) -> Vec<(u64, u64)> {
    let endian = file.endian();
    let packed = file.elf_section_table().iter().find(|s| s.sh_type(endian) == elf::SHT_RELR);
    let Some(words) = packed.and_then(|s| s.data(endian, file.data()).ok()) else { return Vec::new() };
    let mut slots = Vec::new();
    let mut next = 0u64;
    for word in words.chunks_exact(8).filter_map(|w| w.try_into().ok()).map(u64::from_le_bytes) {
        if word & 1 == 0 {
            slots.push(word);
            next = word.wrapping_add(8);
        } else {
            slots.extend(
                (0..63).filter(|bit| word >> (bit + 1) & 1 == 1).map(|bit| next.wrapping_add(8 * bit)),
            );
            next = next.wrapping_add(63 * 8);
        }
    }
    let stored = |slot: u64| {
        let s = segments.iter().find(|s| slot >= s.address && slot - s.address < s.file_size)?;
        let at = usize::try_from(s.offset.checked_add(slot - s.address)?).ok()?;
        let bytes = file.data().get(at..at.checked_add(8)?)?;
        Some((slot, u64::from_le_bytes(bytes.try_into().ok()?)))
    };
    slots.into_iter().filter_map(stored).collect()
}

fn imports(file: &File64<'_>) -> FxHashMap<u64, Vec<u8>> {
    let all = file.dynamic_relocations().into_iter().flatten();
    let named = all.filter_map(|(slot, r)| {
        let RelocationFlags::Elf { r_type: elf::R_X86_64_JUMP_SLOT | elf::R_X86_64_GLOB_DAT } = r.flags()
        else {
            return None;
        };
        let RelocationTarget::Symbol(index) = r.target() else { return None };
        let symbol = file.dynamic_symbol_table()?.symbol_by_index(index).ok()?;
        Some((slot, symbol.name_bytes().ok()?.to_vec()))
    });
    named.collect()
}

fn sections(file: &File64<'_>) -> FxHashMap<Vec<u8>, (u64, u64, u64)> {
    let named = file.sections().filter_map(|s| {
        let (offset, size) = s.file_range()?;
        Some((s.name_bytes().ok()?.to_vec(), (s.address(), offset, size)))
    });
    named.collect()
}
