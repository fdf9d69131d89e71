//! One ELF file, read whole: segments, symbols, relocations. Files come from other people's containers, so every
//! access is checked and nothing is mapped: a file that shrinks while it is read is an error, not a signal.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use object::{
    Endianness,
    elf::{self, FileHeader64, ProgramHeader64},
    read::{
        ReadRef,
        elf::{FileHeader as _, ProgramHeader as _},
    },
};
use thiserror::Error;

use super::{
    machine,
    tables::{self, Sections, Span},
};

/// Largest file that is read, in bytes. CPython with debug information has about 35 MB.
pub(super) const MAX_SIZE: u64 = 512 << 20;

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
    #[error("not an {} program", machine::NAME)]
    Machine,
    /// More sections than make sense.
    #[error("the file has too many sections")]
    Sections,
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

/// What an interpreter image holds.
#[derive(Debug)]
pub struct Elf {
    bytes: Vec<u8>,
    position_independent: bool,
    program: bool,
    segments: Vec<Segment>,
    sections: Sections,
    /// [`machine::RELATIVE`]: slot and the address put there, ordered by slot.
    relative: Vec<(u64, u64)>,
    /// Slots that the dynamic linker fills with an address, and the number of the symbol; ordered by slot.
    imports: Vec<(u64, u32)>,
}

impl Elf {
    /// Reads a file.
    ///
    /// # Errors
    /// If it can't be read or is not an x86-64 ELF file.
    pub fn open(path: &Path) -> Result<Self, ElfError> {
        let mut bytes = Vec::new();
        open(path)?.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
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
        let (header, endian) = header(bytes.as_slice())?;
        let programs = header.program_headers(endian, bytes.as_slice())?;
        let sections = Sections::read(header, endian, bytes.as_slice())?;
        let position_independent = header.e_type(endian) == elf::ET_DYN;
        let interpreted = programs.iter().any(|p| p.p_type(endian) == elf::PT_INTERP);
        let mut image = Self {
            position_independent,
            program: interpreted || !position_independent,
            segments: segments(programs, endian),
            sections,
            relative: Vec::new(),
            imports: Vec::new(),
            bytes,
        };
        image.relocate();
        Ok(image)
    }

    fn relocate(&mut self) {
        for r in tables::relocations(&self.sections, &self.bytes) {
            match r.kind {
                machine::RELATIVE => self.relative.push((r.slot, r.addend)),
                kind if machine::IMPORTS.contains(&kind) => self.imports.push((r.slot, r.symbol)),
                _ => {}
            }
        }
        let packed = tables::packed_slots(&self.sections, &self.bytes);
        let packed: Vec<_> = packed.into_iter().filter_map(|slot| Some((slot, self.u64_at(slot)?))).collect();
        self.relative.extend(packed);
        self.relative.sort_unstable();
        self.imports.sort_unstable();
    }

    /// Is it loaded at an address of the kernel's choice (PIE or shared library)?
    pub fn position_independent(&self) -> bool {
        self.position_independent
    }

    /// Is it a program rather than a library?
    pub fn is_program(&self) -> bool {
        self.program
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
        [elf::SHT_DYNSYM, elf::SHT_SYMTAB].into_iter().find_map(|kind| {
            let (entries, names) = self.sections.symbols(kind)?;
            tables::find_symbol(entries.of(&self.bytes), names.of(&self.bytes), name)
        })
    }

    /// Does the dynamic linker put the address of this function into the slot?
    pub fn imports_at(&self, slot: u64, name: &str) -> bool {
        let imported =
            self.imports.binary_search_by_key(&slot, |&(at, _)| at).ok().and_then(|i| self.imports.get(i));
        let symbols = self.sections.symbols(elf::SHT_DYNSYM);
        imported.zip(symbols).is_some_and(|(&(_, symbol), (entries, names))| {
            tables::is_symbol(entries.of(&self.bytes), names.of(&self.bytes), symbol, name)
        })
    }

    /// Virtual address and bytes of a section.
    pub fn section(&self, name: &str) -> Option<(u64, &[u8])> {
        let section = self.sections.named(name)?;
        Some((section.address, section.span.of(&self.bytes)))
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
        Some(Span { offset, size }.of(&self.bytes)).filter(|bytes| bytes.len() as u64 == size)
    }
}

/// Opens a regular file: where someone has put a pipe in its place, neither opening nor reading may wait for them.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Do the first bytes promise a 64-bit little-endian ELF file?
fn check_ident(bytes: &[u8]) -> Result<(), ElfError> {
    if bytes.get(..4) != Some(&elf::ELFMAG) {
        return Err(ElfError::NotElf);
    }
    match bytes.get(4..6) {
        Some([1, _]) => Err(ElfError::Bits32),
        Some([2, 1]) => Ok(()),
        _ => Err(ElfError::Machine),
    }
}

/// The header of an x86-64 file.
pub(super) fn header<'a, R: ReadRef<'a>>(
    data: R,
) -> Result<(&'a FileHeader64<Endianness>, Endianness), ElfError> {
    check_ident(data.read_bytes_at(0, 6).map_err(|()| ElfError::NotElf)?)?;
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    if header.e_machine(endian) == machine::ELF_MACHINE {
        Ok((header, endian))
    } else {
        Err(ElfError::Machine)
    }
}

fn segments(headers: &[ProgramHeader64<Endianness>], endian: Endianness) -> Vec<Segment> {
    let loaded = headers.iter().filter(|p| p.p_type(endian) == elf::PT_LOAD);
    loaded
        .map(|p| Segment {
            address: p.p_vaddr(endian),
            offset: p.p_offset(endian),
            file_size: p.p_filesz(endian),
            executable: p.p_flags(endian) & elf::PF_X != 0,
        })
        .collect()
}
