//! CPython 3.10.

use tracer_common::layout::Layout;

use super::{LAYOUT_OF_FRAME_OBJECTS, Threads, VersionTable};
use crate::python::thread_state::ThreadOffsets;

pub(super) static TABLE: VersionTable = VersionTable {
    minor: 10,
    proven: true,
    opcodes: None,
    layout: Layout { frame_last_index: 96, ..LAYOUT_OF_FRAME_OBJECTS },
    published: None,
    threads: Threads::Fixed(ThreadOffsets::OF_FRAME_OBJECTS),
};
