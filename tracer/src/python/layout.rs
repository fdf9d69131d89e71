//! Where the fields of frame, code and str objects lie, per minor version of CPython.
//!
//! From 3.13 on an interpreter publishes most of it (`_Py_DebugOffsets`, at the start of `_PyRuntime`), already in
//! the file. What it publishes wins over the constants here.

use thiserror::Error;
use tracer_common::layout::Layout;

use super::elf::Elf;

/// First bytes of the published offsets.
const COOKIE: &[u8] = b"xdebugpy";
/// `FRAME_OWNED_BY_CSTACK` (3.12, 3.13), `FRAME_OWNED_BY_INTERPRETER` (3.14+).
const SHIM_OWNER: u8 = 3;
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
    /// No row for this minor version.
    #[error("its object layout is unknown")]
    Unknown,
    /// It should publish its offsets, but what is there makes no sense.
    #[error("the offsets that it publishes can't be read")]
    Published,
}

/// The layout of an image of CPython 3.`minor`.
///
/// # Errors
/// If there is none for the version or the build.
pub fn of(minor: u8, elf: &Elf) -> Result<Layout, LayoutError> {
    let mut layout = constants(minor).ok_or(LayoutError::Unknown)?;
    if let Some(positions) = PUBLISHED.iter().find(|p| p.minor == minor) {
        positions.apply(elf, &mut layout)?;
    }
    Ok(layout)
}

/// Source: the structures of the version's headers, compiled, and objects of live processes read back.
fn constants(minor: u8) -> Option<Layout> {
    let common = Layout {
        frame_code: 0,
        frame_previous: 8,
        frame_instruction: 56,
        frame_owner: 70,
        frame_object_frame: 24,
        object_type: 8,
        code_flags: 48,
        code_first_line: 68,
        code_file: 112,
        code_name: 128,
        str_length: 16,
        str_state: 32,
        str_ascii: 40,
        str_compact: 56,
        code_tag_mask: 0,
        str_kind_shift: 2,
        shim_owner: SHIM_OWNER,
        resume_mask: 3,
        ..Layout::default()
    };
    // Frames are objects, and know only the index of their last instruction.
    let before_3_11 = Layout {
        frame_code: 32,
        frame_previous: 24,
        frame_instruction: 0,
        frame_object_frame: 0,
        code_flags: 36,
        code_first_line: 40,
        code_file: 104,
        code_name: 112,
        str_ascii: 48,
        str_compact: 72,
        shim_owner: 0,
        ..common
    };
    Some(match minor {
        8 | 9 => Layout { frame_last_index: 104, ..before_3_11 },
        10 => Layout { frame_last_index: 96, ..before_3_11 },
        11 => Layout {
            frame_code: 32,
            frame_previous: 48,
            frame_owner: 69,
            code_first_line: 72,
            str_ascii: 48,
            str_compact: 72,
            shim_owner: 0,
            ..common
        },
        12 => Layout { code_version: common.code_name + 32, ..common },
        13 => Layout { code_version: common.code_name + 40, ..common },
        14 => Layout { frame_owner: 74, code_tag_mask: 3, ..common },
        15 => Layout { frame_owner: 74, code_tag_mask: 3, resume_mask: 7, resume_ignored: 4, ..common },
        _ => return None,
    })
}

/// Where in the published block each offset stands. Source: `Include/internal/pycore_debug_offsets.h`.
struct Published {
    minor: u8,
    frame_previous: u64,
    frame_code: u64,
    frame_instruction: u64,
    frame_owner: u64,
    code_file: u64,
    code_name: u64,
    code_first_line: u64,
    object_type: u64,
    str_state: u64,
    str_length: u64,
    str_ascii: u64,
}

static PUBLISHED: [Published; 3] = [
    Published {
        minor: 13,
        frame_previous: 232,
        frame_code: 240,
        frame_instruction: 248,
        frame_owner: 264,
        code_file: 280,
        code_name: 296,
        code_first_line: 312,
        object_type: 360,
        str_state: 544,
        str_length: 552,
        str_ascii: 560,
    },
    Published {
        minor: 14,
        frame_previous: 256,
        frame_code: 264,
        frame_instruction: 272,
        frame_owner: 288,
        code_file: 320,
        code_name: 336,
        code_first_line: 352,
        object_type: 408,
        str_state: 624,
        str_length: 632,
        str_ascii: 640,
    },
    Published {
        minor: 15,
        frame_previous: 320,
        frame_code: 328,
        frame_instruction: 336,
        frame_owner: 352,
        code_file: 384,
        code_name: 400,
        code_first_line: 416,
        object_type: 472,
        str_state: 720,
        str_length: 728,
        str_ascii: 736,
    },
];

impl Published {
    fn apply(&self, elf: &Elf, layout: &mut Layout) -> Result<(), LayoutError> {
        let runtime = elf.symbol("_PyRuntime").ok_or(LayoutError::Published)?.address;
        let word = |at: u64| elf.u64_at(runtime.checked_add(at)?);
        if elf.bytes_at(runtime, COOKIE.len()) != Some(COOKIE)
            || word(8).map(|v| v >> 16 & 0xff) != Some(self.minor.into())
        {
            return Err(LayoutError::Published);
        }
        let offset =
            |at| word(at).filter(|&v| v < MAX_OFFSET).map(|v| v as u16).ok_or(LayoutError::Published);
        layout.frame_previous = offset(self.frame_previous)?;
        layout.frame_code = offset(self.frame_code)?;
        layout.frame_instruction = offset(self.frame_instruction)?;
        layout.frame_owner = offset(self.frame_owner)?;
        layout.code_file = offset(self.code_file)?;
        layout.code_name = offset(self.code_name)?;
        layout.code_first_line = offset(self.code_first_line)?;
        layout.object_type = offset(self.object_type)?;
        if self.minor == 13 {
            layout.code_version = layout.code_name + 40;
        }
        layout.str_state = offset(self.str_state)?;
        layout.str_length = offset(self.str_length)?;
        layout.str_ascii = offset(self.str_ascii)?;
        layout.str_compact = layout.str_ascii + COMPACT_EXTRA;
        if word(16) != Some(0) {
            layout.code_flags += FREE_THREADED_HEADER;
            layout.frame_object_frame += FREE_THREADED_HEADER;
            if self.minor >= FIRST_WITH_INTERNED_BYTE {
                layout.str_kind_shift = 8;
            }
        }
        Ok(())
    }
}
