//! CPython 3.13.

use tracer_common::layout::Layout;

use super::{LAYOUT, Threads, VersionTable};
use crate::python::{
    layout::Published,
    opcodes::{Opcodes, instrumented, opcode, quick},
    thread_state::PublishedThreads,
};

pub(super) static TABLE: VersionTable = VersionTable {
    minor: 13,
    proven: true,
    opcodes: Some(Opcodes {
        undefined: &[119..=148, 223..=235, 255..=255],
        starts: &[
            opcode(149, "RESUME"),
            quick(207, "RESUME_CHECK"),
            instrumented(236, "INSTRUMENTED_RESUME"),
        ],
        yields: &[opcode(118, "YIELD_VALUE"), opcode(241, "INSTRUMENTED_YIELD_VALUE")],
        return_value: 36,
    }),
    layout: Layout { code_version: LAYOUT.code_name + 40, ..LAYOUT },
    published: Some(Published {
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
    }),
    threads: Threads::Published(PublishedThreads {
        next_thread: 168,
        frame: 184,
        native_id: 200,
        ..PublishedThreads::COMMON
    }),
};
