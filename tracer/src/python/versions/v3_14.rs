//! CPython 3.14.

use tracer_common::layout::Layout;

use super::{LAYOUT, Threads, VersionTable};
use crate::python::{
    layout::Published,
    opcodes::{Opcodes, instrumented, opcode, quick},
    thread_state::PublishedThreads,
};

pub(super) static TABLE: VersionTable = VersionTable {
    minor: 14,
    proven: true,
    opcodes: Some(Opcodes {
        undefined: &[121..=127, 212..=233],
        starts: &[
            opcode(128, "RESUME"),
            quick(196, "RESUME_CHECK"),
            instrumented(245, "INSTRUMENTED_RESUME"),
        ],
        yields: &[opcode(120, "YIELD_VALUE"), opcode(247, "INSTRUMENTED_YIELD_VALUE")],
        return_value: 35,
    }),
    layout: Layout { frame_owner: 74, code_tag_mask: 3, ..LAYOUT },
    published: Some(Published {
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
    }),
    threads: Threads::Published(PublishedThreads {
        next_thread: 192,
        frame: 208,
        native_id: 224,
        ..PublishedThreads::COMMON
    }),
};
