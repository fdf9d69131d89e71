//! Everything that the kernel programs and the loader agree on: ring buffer records, map values, and the
//! 64-bit word that tells a probe what its site means. Layout only; no logic beyond packing and unpacking.
#![no_std]

pub mod aggregate;
pub mod layout;
pub mod limits;
pub mod record;
pub mod ring;
pub mod sample;
pub mod site;
pub mod state;
