//! CPython 3.12.

use tracer_common::layout::Layout;

use super::{LAYOUT, Threads, VersionTable};
use crate::python::{
    opcodes::{Opcodes, instrumented, opcode},
    thread_state::{ThreadId, ThreadOffsets},
};

pub(super) static TABLE: VersionTable = VersionTable {
    minor: 12,
    proven: true,
    opcodes: Some(Opcodes {
        undefined: &[169..=170, 177..=236, 255..=255],
        starts: &[opcode(151, "RESUME"), instrumented(240, "INSTRUMENTED_RESUME")],
        yields: &[opcode(150, "YIELD_VALUE"), opcode(243, "INSTRUMENTED_YIELD_VALUE")],
        return_value: 83,
    }),
    layout: Layout { code_version: LAYOUT.code_name + 32, ..LAYOUT },
    published: None,
    threads: Threads::Fixed(ThreadOffsets {
        first_thread: 72,
        frame_in_c_frame: Some(0),
        thread: ThreadId::Native(144),
        ..ThreadOffsets::COMMON
    }),
};
