//! pytracer: a system-wide tracer for CPython on Linux.
//!
//! The modules are the stages, in order; arrows point one way. `discover` finds Python processes, `python` plans
//! where to hook their interpreter, `attach` puts the kernel programs there, `receive` empties the rings,
//! `decode` makes [`event::Event`]s of its bytes, `stacks` rebuilds each thread's call stack, `charge` gives every
//! call its time and memory, `summary` adds up per function, and `report`, `log` and later stages show or keep it.
//! From `event` on the stages are pure: events in, values out.

pub mod aggregate;
pub mod analysis;
pub mod attach;
pub mod btf;
pub mod budget;
pub mod charge;
pub mod cli;
pub mod correction;
pub mod decode;
pub mod diff;
pub mod discover;
pub mod doctor;
pub mod engine;
pub mod event;
pub mod export;
pub mod filter;
pub mod functions;
#[doc(hidden)]
pub mod fuzzing;
pub mod html;
pub mod launch;
pub mod log;
mod mapping;
pub mod mix;
pub mod pipeline;
pub mod privileges;
pub mod python;
pub mod receive;
pub mod record;
pub mod report;
pub mod select;
pub mod stacks;
pub mod summary;
mod terminal;
pub mod text;
pub mod units;
pub mod unwind;
pub mod views;
