//! CPython 3.9.

use super::{LAYOUT_OF_FRAME_OBJECTS, Threads, VersionTable};
use crate::python::thread_state::ThreadOffsets;

pub(super) static TABLE: VersionTable = VersionTable {
    minor: 9,
    proven: true,
    opcodes: None,
    layout: LAYOUT_OF_FRAME_OBJECTS,
    published: None,
    threads: Threads::Fixed(ThreadOffsets::OF_FRAME_OBJECTS),
};
