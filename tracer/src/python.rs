//! What one CPython image is: its version, its layout, and the plan of where to hook it.

mod code;
mod cost;
pub mod elf;
mod eval_sites;
mod function_sites;
pub mod functions;
pub mod handler_table;
pub mod layout;
mod notes;
pub mod opcodes;
pub mod plan;
pub mod planner;
pub mod recognise;
pub mod refusal;
mod run_sites;
mod tables;
pub mod thread_state;
pub mod traits;
pub mod usdt_notes;
pub mod version;
pub mod versions;

pub use planner::plan;
pub use refusal::Refusal;
pub use traits::Traits;
