//! What is fixed within a minor version of CPython: one table for each. A new version needs one more, and nothing else.
//!
//! Sources: the version's headers, compiled (`Include/opcode_ids.h`, before 3.13 `Include/opcode.h`;
//! `Include/internal/pycore_debug_offsets.h` for what is published), checked against handlers and live objects of real
//! builds: those of `tests/pythons/src/table.rs`.

mod v3_08;
mod v3_09;
mod v3_10;
mod v3_11;
mod v3_12;
mod v3_13;
mod v3_14;
mod v3_15;

use tracer_common::layout::Layout;

use super::{
    layout::Published,
    opcodes::Opcodes,
    thread_state::{PublishedThreads, ThreadOffsets},
};

/// One minor version.
#[derive(Debug)]
pub struct VersionTable {
    /// 11 in 3.11.
    pub minor: u8,
    /// Were counts by its plan compared, call by call, with what the interpreter itself reports?
    pub proven: bool,
    /// Its opcodes; `None` up to 3.10, where none is hooked.
    pub opcodes: Option<Opcodes>,
    /// Where fields of its objects lie, in builds with a GIL.
    pub layout: Layout,
    /// Where it publishes that itself (3.13+), which wins.
    pub published: Option<Published>,
    /// The way to its threads.
    pub threads: Threads,
}

/// How the way from the runtime to the frames that run is known.
#[derive(Debug)]
pub enum Threads {
    /// By constants.
    Fixed(ThreadOffsets),
    /// It is published at these places.
    Published(PublishedThreads),
}

static VERSIONS: [&VersionTable; 8] = [
    &v3_08::TABLE,
    &v3_09::TABLE,
    &v3_10::TABLE,
    &v3_11::TABLE,
    &v3_12::TABLE,
    &v3_13::TABLE,
    &v3_14::TABLE,
    &v3_15::TABLE,
];

/// The table of CPython 3.`minor`.
pub fn of(minor: u8) -> Option<&'static VersionTable> {
    VERSIONS.into_iter().find(|table| table.minor == minor)
}

/// Most versions' layout.
const LAYOUT: Layout = Layout {
    frame_code: 0,
    frame_previous: 8,
    frame_instruction: 56,
    frame_last_index: 0,
    frame_owner: 70,
    frame_object_frame: 24,
    object_type: 8,
    code_flags: 48,
    code_first_line: 68,
    code_file: 112,
    code_name: 128,
    code_version: 0,
    str_length: 16,
    str_state: 32,
    str_ascii: 40,
    str_compact: 56,
    code_tag_mask: 0,
    str_kind_shift: 2,
    // `FRAME_OWNED_BY_CSTACK` (3.12, 3.13), `FRAME_OWNED_BY_INTERPRETER` (3.14+).
    shim_owner: 3,
    resume_mask: 3,
    resume_opcodes: [0; 4],
    resume_ignored: 0,
    ready: 0,
    pad: [0; 2],
};

/// That of 3.8 and 3.9: frames are objects, and know only the index of their last instruction.
const LAYOUT_OF_FRAME_OBJECTS: Layout = Layout {
    frame_code: 32,
    frame_previous: 24,
    frame_instruction: 0,
    frame_last_index: 104,
    frame_object_frame: 0,
    code_flags: 36,
    code_first_line: 40,
    code_file: 104,
    code_name: 112,
    str_ascii: 48,
    str_compact: 72,
    shim_owner: 0,
    ..LAYOUT
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_one_table() {
        for minor in 8..=15 {
            let tables = VERSIONS.iter().filter(|table| table.minor == minor);
            assert_eq!(tables.count(), 1, "3.{minor}");
        }
        assert!(of(7).is_none() && of(16).is_none());
    }

    #[test]
    fn hooked_opcodes_are_defined_ones() {
        for (minor, opcodes) in
            VERSIONS.iter().filter_map(|table| Some((table.minor, table.opcodes.as_ref()?)))
        {
            let undefined = |n: u8| opcodes.undefined.iter().any(|r| r.contains(&n));
            for opcode in opcodes.starts.iter().chain(opcodes.yields) {
                assert!(!undefined(opcode.number), "3.{minor} {}", opcode.name);
            }
            assert!(!undefined(opcodes.return_value));
        }
    }
}
