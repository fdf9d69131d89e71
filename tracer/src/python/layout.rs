//! Where the fields of frame, code and str objects lie.
//!
//! From 3.13 on an interpreter publishes most of it (`_Py_DebugOffsets`, at the start of `_PyRuntime`), already in
//! the file. What it publishes wins over the constants of [`super::versions`].

use thiserror::Error;
use tracer_common::layout::Layout;

use super::{elf::Elf, versions::VersionTable};

/// First bytes of the published offsets.
const COOKIE: &[u8] = b"xdebugpy";
/// A larger published offset is a sign of damage.
const MAX_OFFSET: u64 = 4096;
/// `PyCompactUnicodeObject` less `PyASCIIObject`: length and pointer of the UTF-8 form (3.12+).
const COMPACT_EXTRA: u16 = 16;

/// By how much an object's header is longer in free-threaded builds.
const FREE_THREADED_HEADER: u16 = 16;
/// Free-threaded builds from this version on keep whether a str is interned in a byte of its own.
const FIRST_WITH_INTERNED_BYTE: u8 = 14;

/// Why a layout can't be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// It should publish its offsets, but what is there makes no sense.
    #[error("the offsets that it publishes can't be read")]
    Published,
}

/// The layout of an image of a version.
///
/// # Errors
/// If it should publish it, and what is there can't be read.
pub fn of(table: &VersionTable, elf: &Elf) -> Result<Layout, LayoutError> {
    let mut layout = table.layout;
    if let Some(published) = &table.published {
        published.apply(table.minor, elf, &mut layout)?;
    }
    Ok(layout)
}

/// Where in the published block each offset stands.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names are those of `Layout`")]
pub struct Published {
    pub frame_previous: u64,
    pub frame_code: u64,
    pub frame_instruction: u64,
    pub frame_owner: u64,
    pub code_file: u64,
    pub code_name: u64,
    pub code_first_line: u64,
    pub object_type: u64,
    pub str_state: u64,
    pub str_length: u64,
    pub str_ascii: u64,
}

impl Published {
    fn apply(&self, minor: u8, elf: &Elf, layout: &mut Layout) -> Result<(), LayoutError> {
        let runtime = elf.symbol("_PyRuntime").ok_or(LayoutError::Published)?.address;
        let word = |at: u64| elf.u64_at(runtime.checked_add(at)?);
        if elf.bytes_at(runtime, COOKIE.len()) != Some(COOKIE)
            || word(8).map(|v| v >> 16 & 0xff) != Some(minor.into())
        {
            return Err(LayoutError::Published);
        }
        let offset =
            |at| word(at).filter(|&v| v < MAX_OFFSET).map(|v| v as u16).ok_or(LayoutError::Published);
        let fixed_name = layout.code_name;
        layout.frame_previous = offset(self.frame_previous)?;
        layout.frame_code = offset(self.frame_code)?;
        layout.frame_instruction = offset(self.frame_instruction)?;
        layout.frame_owner = offset(self.frame_owner)?;
        layout.code_file = offset(self.code_file)?;
        layout.code_name = offset(self.code_name)?;
        layout.code_first_line = offset(self.code_first_line)?;
        layout.object_type = offset(self.object_type)?;
        if layout.code_version != 0 {
            // Not published; in all builds of a version it is as far from the name.
            layout.code_version = layout.code_version - fixed_name + layout.code_name;
        }
        layout.str_state = offset(self.str_state)?;
        layout.str_length = offset(self.str_length)?;
        layout.str_ascii = offset(self.str_ascii)?;
        layout.str_compact = layout.str_ascii + COMPACT_EXTRA;
        if word(16) != Some(0) {
            layout.code_flags += FREE_THREADED_HEADER;
            layout.frame_object_frame += FREE_THREADED_HEADER;
            if minor >= FIRST_WITH_INTERNED_BYTE {
                layout.str_kind_shift = 8;
            }
        }
        Ok(())
    }
}
