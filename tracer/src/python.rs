//! What one CPython image is: its version, its layout, and the plan of where to hook it.

mod cost;
pub mod elf;
pub mod functions;
pub mod handler_table;
pub mod layout;
mod notes;
pub mod opcodes;
pub mod plan;
pub mod planner;
pub mod recognise;
pub mod refusal;
mod tables;
pub mod thread_state;
pub mod traits;
pub mod usdt_notes;
pub mod version;
pub mod versions;
pub(crate) mod x86_64;

/// The processor that this is built for. There is one up to now; on others only x86-64 files are read, and nothing is traced.
pub(crate) use x86_64 as machine;

pub use planner::plan;
pub use refusal::Refusal;
pub use traits::Traits;
