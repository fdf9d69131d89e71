//! What the programs do, one file per family.

pub(crate) mod frame;
pub(crate) mod memory;
pub(crate) mod process;
pub(crate) mod sample;
pub(crate) mod sched;
pub(crate) mod window;
