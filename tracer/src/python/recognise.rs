//! Is there a Python interpreter in a file? Reads little of it, so that every program of a machine can be asked.

use std::path::Path;

use object::{
    elf,
    read::{
        ReadCache, ReadRef,
        elf::{FileHeader as _, ProgramHeader as _},
    },
};

use super::{
    elf::{ElfError, MAX_SIZE, header, open},
    notes,
    tables::{Sections, Span, find_symbol},
    version,
};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// CPython's eval loop.
    CPython,
    /// PyPy.
    PyPy,
    /// Nothing of the kind.
    Other,
}

/// What can be said of a file at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// What it holds.
    pub kind: Kind,
    /// Is it loaded at the addresses that the file says, not anywhere?
    pub fixed: bool,
    /// Virtual address of the lowest segment.
    pub lowest_address: u64,
    /// Build id; empty: none.
    pub build_id: Vec<u8>,
}

/// Looks at a file.
///
/// # Errors
/// If it can't be read or is not an x86-64 ELF file.
pub fn recognise(path: &Path) -> Result<Recognised, ElfError> {
    let file = open(path)?;
    // All that is read below is within the file, so this bounds the memory it takes.
    if file.metadata()?.len() > MAX_SIZE {
        return Err(ElfError::TooLarge);
    }
    let data = &ReadCache::new(file);
    let (header, endian) = header(data)?;
    let programs = header.program_headers(endian, data)?;
    let loads = programs.iter().filter(|p| p.p_type(endian) == elf::PT_LOAD);
    let sections = Sections::read(header, endian, data)?;
    let build_id = sections.named(".note.gnu.build-id").map(|s| notes::build_id(read(data, s.span)));
    Ok(Recognised {
        kind: kind(&sections, data),
        fixed: header.e_type(endian) == elf::ET_EXEC,
        lowest_address: loads.map(|p| p.p_vaddr(endian)).min().unwrap_or_default(),
        build_id: build_id.unwrap_or_default(),
    })
}

/// Most programs do not even have the name among their strings; only of the others read the symbols.
fn kind<'a, R: ReadRef<'a>>(sections: &Sections, data: R) -> Kind {
    let Some((entries, names)) = sections.symbols(elf::SHT_DYNSYM) else { return Kind::Other };
    let names = read(data, names);
    let mentions =
        |wanted: &[&str]| names.split(|&b| b == 0).any(|n| wanted.iter().any(|w| w.as_bytes() == n));
    let has = |wanted: &[&str]| {
        mentions(wanted) && wanted.iter().any(|name| find_symbol(read(data, entries), names, name).is_some())
    };
    if has(&version::PYPY) {
        Kind::PyPy
    } else if has(&version::EVAL) {
        Kind::CPython
    } else {
        Kind::Other
    }
}

fn read<'a, R: ReadRef<'a>>(data: R, span: Span) -> &'a [u8] {
    data.read_bytes_at(span.offset, span.size).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_this_machine() {
        let python = recognise(Path::new("/usr/bin/python3.11")).expect("CPython 3.11");
        assert_eq!((python.kind, python.fixed, python.lowest_address), (Kind::CPython, true, 0x40_0000));
        assert_eq!(python.build_id.len(), 20);
        assert_eq!(recognise(Path::new("/bin/ls")).expect("ls").kind, Kind::Other);
        assert!(matches!(recognise(Path::new("/etc/passwd")), Err(ElfError::NotElf)));
    }
}
