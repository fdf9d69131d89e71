//! CPython 3.15.

use tracer_common::layout::Layout;

use super::{LAYOUT, Threads, VersionTable};
use crate::python::{
    layout::Published,
    opcodes::{Opcodes, instrumented, opcode, quick},
    thread_state::PublishedThreads,
};

pub(super) static TABLE: VersionTable = VersionTable {
    minor: 15,
    proven: true,
    opcodes: Some(Opcodes {
        undefined: &[120..=127, 219..=232],
        starts: &[
            opcode(128, "RESUME"),
            quick(200, "RESUME_CHECK"),
            quick(201, "RESUME_CHECK_JIT"),
            instrumented(244, "INSTRUMENTED_RESUME"),
        ],
        yields: &[opcode(119, "YIELD_VALUE"), opcode(246, "INSTRUMENTED_YIELD_VALUE")],
        return_value: 33,
    }),
    layout: Layout { frame_owner: 74, code_tag_mask: 3, resume_mask: 7, resume_ignored: 4, ..LAYOUT },
    published: Some(Published {
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
    }),
    threads: Threads::Published(PublishedThreads {
        next_thread: 192,
        frame: 208,
        native_id: 248,
        ..PublishedThreads::COMMON
    }),
};
