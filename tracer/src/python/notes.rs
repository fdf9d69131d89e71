//! ELF notes.

/// Type of the note that holds the build id.
const NT_GNU_BUILD_ID: u32 = 3;
/// Longest build id that is kept, in bytes; linkers write 8 to 32.
const MAX_BUILD_ID: usize = 64;

/// A note, and the bytes after it.
pub(super) struct Note<'a> {
    pub(super) kind: u32,
    pub(super) owner: &'a [u8],
    pub(super) description: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Note<'a> {
    /// The notes of a section, up to the first that is damaged.
    pub(super) fn all(mut bytes: &'a [u8]) -> impl Iterator<Item = Self> {
        std::iter::from_fn(move || {
            let note = Self::first(bytes)?;
            bytes = note.rest;
            Some(note)
        })
    }

    /// Sizes are padded to 4 bytes.
    fn first(bytes: &'a [u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let (owner_size, size, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
        let owner = bytes.get(12..)?.get(..owner_size)?;
        let start = 12 + owner_size.next_multiple_of(4);
        let description = bytes.get(start..)?.get(..size)?;
        let rest = bytes.get(start + size.next_multiple_of(4)..).unwrap_or_default();
        Some(Self { kind, owner, description, rest })
    }
}

/// The build id in the bytes of `.note.gnu.build-id`; empty: none.
pub(super) fn build_id(bytes: &[u8]) -> Vec<u8> {
    let note = Note::all(bytes).find(|n| n.kind == NT_GNU_BUILD_ID && n.owner == b"GNU\0");
    note.map_or_else(Vec::new, |n| n.description.iter().copied().take(MAX_BUILD_ID).collect())
}
