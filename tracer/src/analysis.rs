//! What a log says: its rows made into calls again, each with its call path and what it took itself, and what reports,
//! views and exports are made of: sums by call path, the calls in their order, memory.
//!
//! Calls are read backward. Rows stand in the order in which calls ended, so that from the last to the first every
//! call comes after its caller: its path is known at once, and no more is kept than the calls that are open.

pub(crate) mod blocks;
pub mod by_task;
pub mod coroutines;
pub mod groups;
pub mod latency;
pub mod measure;
pub mod memory;
pub mod names;
pub mod outline;
pub mod paths;
pub mod place;
pub mod rebuild;
pub mod rss_history;
mod sampled;
pub mod samples;
pub mod scope;
pub mod source;
mod thinned;
pub mod timeline;
pub mod top_calls;
pub mod tree;
mod walk;

pub use source::Source;
pub use walk::Visit;
