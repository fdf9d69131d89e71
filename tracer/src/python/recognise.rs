//! Is there a Python interpreter in a file? Reads little of it, so that every program of a machine can be asked.

use std::{fs::File, path::Path};

use object::{
    Architecture, Endianness, Object, ObjectKind, ObjectSection, ObjectSymbol, elf,
    read::{
        ReadCache, ReadRef,
        elf::{ElfFile64, ProgramHeader},
    },
};

use super::{elf::ElfError, version};

/// Larger string tables belong to no interpreter, in bytes.
const MAX_NAMES: u64 = 64 << 20;

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
    let cache = ReadCache::new(File::open(path)?);
    let ident = (&cache).read_bytes_at(0, 6).map_err(|()| ElfError::NotElf)?;
    super::elf::check_ident(ident)?;
    let file = ElfFile64::<Endianness, _>::parse(&cache)?;
    if file.architecture() != Architecture::X86_64 {
        return Err(ElfError::Machine);
    }
    let endian = file.endian();
    let loads = file.elf_program_headers().iter().filter(|p| p.p_type(endian) == elf::PT_LOAD);
    Ok(Recognised {
        kind: kind(&file),
        fixed: file.kind() == ObjectKind::Executable,
        lowest_address: loads.map(|p| p.p_vaddr(endian)).min().unwrap_or_default(),
        build_id: file.build_id().ok().flatten().unwrap_or_default().to_vec(),
    })
}

/// Most programs do not even have the name in their string table, which is one read; only then look at symbols.
fn kind<'a, R: ReadRef<'a>>(file: &ElfFile64<'a, Endianness, R>) -> Kind {
    let names = file.section_by_name(".dynstr").filter(|s| s.size() < MAX_NAMES);
    let names = names.and_then(|s| s.data().ok()).unwrap_or_default();
    let among = |wanted: &[&str]| names.split(|&b| b == 0).any(|n| wanted.iter().any(|w| w.as_bytes() == n));
    let defines = |wanted: &[&str]| {
        let defined = file.dynamic_symbols().filter(ObjectSymbol::is_definition);
        defined.filter_map(|s| s.name_bytes().ok()).any(|n| wanted.iter().any(|w| w.as_bytes() == n))
    };
    let has = |wanted: &[&str]| among(wanted) && defines(wanted);
    if has(&version::PYPY) {
        Kind::PyPy
    } else if has(&version::EVAL) {
        Kind::CPython
    } else {
        Kind::Other
    }
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
