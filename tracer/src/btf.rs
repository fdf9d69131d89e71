//! Reads the running kernel's own type information (BTF): where a field of a kernel structure lies, and which
//! tracepoints there are. Only what the loader and `doctor` ask for.

use std::{fs, io, path::Path};

use thiserror::Error;

/// Where the kernel shows its type information.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
const TYPE_SIZE: usize = 12;
const MEMBER_SIZE: usize = 12;
const ENUMERATOR_SIZE: usize = 8;
/// Anonymous structures inside anonymous structures: the kernel's deepest is 4.
const MAX_NESTING: u32 = 16;
/// Qualifiers and typedefs in a row before the type they name.
const MAX_ALIASES: u32 = 32;

/// Kinds of types, by their number in `include/uapi/linux/btf.h`.
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
    pub(super) const LAST: u32 = 19;
}

/// Why type information can't be used.
#[derive(Debug, Error)]
pub enum BtfError {
    /// The file can't be read. Kernels are built with `CONFIG_DEBUG_INFO_BTF=y` to have it.
    #[error("can't read the kernel's type information: {0}")]
    Read(#[from] io::Error),
    /// The header is not BTF of this byte order.
    #[error("the kernel's type information does not begin with a BTF header")]
    Header,
    /// A type reaches past the end, or is of a kind this version does not know.
    #[error("type {id} of the kernel's type information can't be read (kind {kind})")]
    Type {
        /// Number of the type.
        id: u32,
        /// Its kind.
        kind: u32,
    },
}

/// Type information, indexed by type id.
#[derive(Debug)]
pub struct Btf {
    types: Vec<u8>,
    strings: Vec<u8>,
    /// Offset of each type in `types`; type 0 is `void` and has no entry.
    offsets: Vec<u32>,
}

/// One type as stored: name, kind, flag, number of elements, and size or referred type.
#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: u32,
    bitfields: bool,
    elements: usize,
    size_or_target: u32,
    /// Offset of what follows the type.
    rest: usize,
}

/// One member of a structure or union.
struct Member {
    name: u32,
    type_id: u32,
    bits: u32,
}

impl Btf {
    /// The running kernel's.
    ///
    /// # Errors
    /// If the kernel has none or it is of a newer format.
    pub fn of_kernel() -> Result<Self, BtfError> {
        Self::open(Path::new(VMLINUX))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it can't be read or is not BTF.
    pub fn open(path: &Path) -> Result<Self, BtfError> {
        Self::parse(&fs::read(path)?)
    }

    /// Reads bytes.
    ///
    /// # Errors
    /// If they are not BTF.
    pub fn parse(bytes: &[u8]) -> Result<Self, BtfError> {
        let magic = bytes.get(..2).and_then(|b| b.try_into().ok()).map(u16::from_le_bytes);
        if magic != Some(MAGIC) {
            return Err(BtfError::Header);
        }
        let field = |at| u32_at(bytes, at).map(|v| v as usize).ok_or(BtfError::Header);
        let header = field(4)?;
        let section = |offset: usize, length: usize| -> Result<Vec<u8>, BtfError> {
            let start = header.checked_add(offset).ok_or(BtfError::Header)?;
            let end = start.checked_add(length).ok_or(BtfError::Header)?;
            bytes.get(start..end).map(<[u8]>::to_vec).ok_or(BtfError::Header)
        };
        let types = section(field(8)?, field(12)?)?;
        let strings = section(field(16)?, field(20)?)?;
        let offsets = index(&types)?;
        Ok(Self { types, strings, offsets })
    }

    /// Offset in bytes of a member of a structure, also where it sits in an anonymous structure or union inside.
    pub fn member_offset(&self, structure: &str, member: &str) -> Option<u32> {
        self.find_member(structure, member).map(|(bits, _)| bits / 8)
    }

    /// Size of a structure in bytes.
    pub fn struct_size(&self, name: &str) -> Option<u32> {
        self.structs(name).map(|t| t.size_or_target).next()
    }

    /// Is there a typedef of this name? Tracepoint `x` has `btf_trace_x`.
    pub fn has_typedef(&self, name: &str) -> bool {
        self.all().any(|t| t.kind == kind::TYPEDEF && self.name(t.name) == Some(name))
    }

    /// Is there an enumerator of this name? Helper `x` of kernel programs has `BPF_FUNC_x`.
    pub fn has_enumerator(&self, name: &str) -> bool {
        self.all().filter(|t| t.kind == kind::ENUM).any(|t| {
            let names = (0..t.elements).filter_map(|i| u32_at(&self.types, t.rest + i * ENUMERATOR_SIZE));
            names.into_iter().any(|at| self.name(at) == Some(name))
        })
    }

    /// Name of the type of which a member is an array, and the array's length.
    pub fn member_array(&self, structure: &str, member: &str) -> Option<(&str, u32)> {
        let (_, id) = self.find_member(structure, member)?;
        let array = self.resolve(id)?;
        if array.kind != kind::ARRAY {
            return None;
        }
        let element = self.resolve(u32_at(&self.types, array.rest)?)?;
        Some((self.name(element.name)?, u32_at(&self.types, array.rest + 8)?))
    }

    /// Bit offset and type of a member.
    fn find_member(&self, structure: &str, member: &str) -> Option<(u32, u32)> {
        self.structs(structure).find_map(|t| self.find_in(t, member, 0))
    }

    fn find_in(&self, parent: Type, wanted: &str, depth: u32) -> Option<(u32, u32)> {
        if depth > MAX_NESTING {
            return None;
        }
        (0..parent.elements).find_map(|i| {
            let member = self.member(parent, i)?;
            if member.name != 0 {
                return (self.name(member.name)? == wanted).then_some((member.bits, member.type_id));
            }
            let inner = self.resolve(member.type_id)?;
            if inner.kind != kind::STRUCT && inner.kind != kind::UNION {
                return None;
            }
            let (bits, type_id) = self.find_in(inner, wanted, depth + 1)?;
            Some((member.bits.checked_add(bits)?, type_id))
        })
    }

    fn member(&self, parent: Type, i: usize) -> Option<Member> {
        let at = parent.rest + i * MEMBER_SIZE;
        let offset = u32_at(&self.types, at + 8)?;
        let bits = if parent.bitfields { offset & 0xff_ffff } else { offset };
        Some(Member { name: u32_at(&self.types, at)?, type_id: u32_at(&self.types, at + 4)?, bits })
    }

    fn structs<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Type> + 'a {
        self.all().filter(move |t| t.kind == kind::STRUCT && self.name(t.name) == Some(name))
    }

    fn all(&self) -> impl Iterator<Item = Type> + '_ {
        self.offsets.iter().filter_map(|&at| read_type(&self.types, at as usize))
    }

    /// The type behind qualifiers and typedefs.
    fn resolve(&self, mut id: u32) -> Option<Type> {
        for _ in 0..MAX_ALIASES {
            let at = *self.offsets.get(id.checked_sub(1)? as usize)?;
            let found = read_type(&self.types, at as usize)?;
            match found.kind {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    id = found.size_or_target;
                }
                _ => return Some(found),
            }
        }
        None
    }

    fn name(&self, at: u32) -> Option<&str> {
        let bytes = self.strings.get(at as usize..)?;
        let end = bytes.iter().position(|&b| b == 0)?;
        std::str::from_utf8(&bytes[..end]).ok()
    }
}

/// Offset of each type.
fn index(types: &[u8]) -> Result<Vec<u32>, BtfError> {
    let mut offsets = Vec::new();
    let mut at = 0;
    while at < types.len() {
        let id = offsets.len() as u32 + 1;
        let found = read_type(types, at).ok_or(BtfError::Type { id, kind: 0 })?;
        let rest = rest_size(found).ok_or(BtfError::Type { id, kind: found.kind })?;
        offsets.push(at as u32);
        at = found.rest + rest;
        if at > types.len() {
            return Err(BtfError::Type { id, kind: found.kind });
        }
    }
    Ok(offsets)
}

fn read_type(types: &[u8], at: usize) -> Option<Type> {
    let info = u32_at(types, at + 4)?;
    Some(Type {
        name: u32_at(types, at)?,
        kind: info >> 24 & 0x1f,
        bitfields: info >> 31 == 1,
        elements: (info & 0xffff) as usize,
        size_or_target: u32_at(types, at + 8)?,
        rest: at + TYPE_SIZE,
    })
}

/// Bytes that follow a type; `None`: unknown kind.
fn rest_size(of: Type) -> Option<usize> {
    Some(match of.kind {
        kind::INT | kind::VAR | kind::DECL_TAG => 4,
        kind::ARRAY => 12,
        kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => of.elements * 12,
        kind::ENUM | kind::FUNC_PROTO => of.elements * 8,
        1..=kind::LAST => 0,
        _ => return None,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let end = at.checked_add(4)?;
    bytes.get(at..end)?.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that hold on every kernel, and relations between members where the numbers change.
    #[test]
    fn fields_of_the_running_kernel() {
        let btf = Btf::of_kernel().unwrap();
        for (structure, member) in [
            ("task_struct", "pid"),
            ("task_struct", "mm"),
            ("mm_struct", "mm_users"),
            ("mm_struct", "rss_stat"),
            ("bpf_array", "pptrs"),
        ] {
            let offset = btf.member_offset(structure, member).unwrap();
            assert!(offset <= btf.struct_size(structure).unwrap(), "{structure}.{member}");
        }
        let pid = btf.member_offset("task_struct", "pid").unwrap();
        assert_eq!(btf.member_offset("task_struct", "tgid"), Some(pid + 4));
        let pptrs = btf.member_offset("bpf_array", "pptrs");
        assert_eq!(btf.member_offset("bpf_array", "value"), pptrs);
        let count = btf.member_offset("percpu_counter", "count").unwrap();
        let counters = btf.member_offset("percpu_counter", "counters").unwrap();
        let size = btf.struct_size("percpu_counter").unwrap();
        assert!(count + 8 <= counters && counters + 8 == size, "{count} {counters} {size}");
        assert_eq!(btf.member_array("mm_struct", "rss_stat"), Some(("percpu_counter", 4)));
    }

    #[test]
    fn tracepoints_and_absent_names() {
        let btf = Btf::of_kernel().unwrap();
        for name in ["btf_trace_rss_stat", "btf_trace_page_fault_user", "btf_trace_sched_switch"] {
            assert!(btf.has_typedef(name), "{name}");
        }
        assert!(!btf.has_typedef("btf_trace_no_such_tracepoint"));
        assert!(btf.has_enumerator("BPF_FUNC_loop") && !btf.has_enumerator("BPF_FUNC_no_such_helper"));
        assert_eq!(btf.member_offset("task_struct", "no_such_member"), None);
        assert_eq!(btf.struct_size("no_such_struct"), None);
    }

    /// Type 1: `int`; 2: an anonymous union with members `a`, `b` at 0; 3: a struct with that union at byte 8.
    fn synthetic() -> Vec<u8> {
        let strings = b"\0int\0outer\0a\0b\0";
        let words: &[u32] = &[
            1,
            1 << 24,
            4,
            32, // int
            0,
            5 << 24 | 2,
            4,
            11,
            1,
            0,
            13,
            1,
            0, // union { int a; int b; }
            5,
            4 << 24 | 1,
            12,
            0,
            2,
            64, // struct outer { ...; union }
        ];
        let types: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        let mut out = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32] {
            out.extend(word.to_le_bytes());
        }
        out.extend(types);
        out.extend(strings);
        out
    }

    #[test]
    fn members_of_anonymous_members_are_found() {
        let btf = Btf::parse(&synthetic()).unwrap();
        assert_eq!(btf.member_offset("outer", "b"), Some(8));
        assert_eq!(btf.struct_size("outer"), Some(12));
    }

    #[test]
    fn damaged_bytes_do_not_panic() {
        let good = synthetic();
        for length in 0..good.len() {
            if let Ok(btf) = Btf::parse(&good[..length]) {
                btf.member_offset("outer", "b");
            }
        }
        for at in 0..good.len() {
            for value in [0, 1, 2, 0x7f, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                if let Ok(btf) = Btf::parse(&bad) {
                    btf.member_offset("outer", "b");
                    btf.member_array("outer", "b");
                }
            }
        }
    }
}
