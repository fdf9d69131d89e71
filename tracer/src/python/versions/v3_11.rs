//! CPython 3.11.

use tracer_common::layout::Layout;

use super::{LAYOUT, Threads, VersionTable};
use crate::python::{
    opcodes::{Opcode, Opcodes, opcode, quick},
    thread_state::ThreadOffsets,
};

pub(super) static TABLE: VersionTable = VersionTable {
    minor: 11,
    proven: true,
    opcodes: Some(Opcodes {
        undefined: &[181..=254],
        // With a trace function set, DO_TRACING jumps to the RESUME handler while memory holds RESUME_QUICK.
        starts: &[
            Opcode { accepts: [150, 151], ..opcode(151, "RESUME") },
            Opcode { accepts: [150, 151], ..quick(150, "RESUME_QUICK") },
        ],
        yields: &[opcode(86, "YIELD_VALUE")],
        return_value: 83,
    }),
    layout: Layout {
        frame_code: 32,
        frame_previous: 48,
        frame_owner: 69,
        code_first_line: 72,
        str_ascii: 48,
        str_compact: 72,
        shim_owner: 0,
        ..LAYOUT
    },
    published: None,
    threads: Threads::Fixed(ThreadOffsets::COMMON),
};
