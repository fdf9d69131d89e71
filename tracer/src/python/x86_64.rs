//! What of an interpreter is not CPython's but the processor's: its instructions, and how its files and its C library
//! say where things lie. Another processor gets such a module of its own ([`super::machine`]).
//!
//! The finders return [`Hook`]s: an address, and which registers hold what there.

pub(super) mod code;
pub(super) mod counter_sites;
pub(super) mod eval_sites;
pub(super) mod function_sites;
pub(super) mod run_sites;

use object::elf;

pub(super) use self::eval_sites::Hook;

/// What it is called.
pub(super) const NAME: &str = "x86-64";
/// What the header of an ELF file calls it.
pub(super) const ELF_MACHINE: u16 = elf::EM_X86_64;
/// The relocation that writes an address of the file itself.
pub(super) const RELATIVE: u32 = elf::R_X86_64_RELATIVE;
/// The relocations that write the address of an imported symbol.
pub(super) const IMPORTS: [u32; 2] = [elf::R_X86_64_JUMP_SLOT, elf::R_X86_64_GLOB_DAT];

/// Offsets in glibc's `struct pthread`.
pub(crate) mod pthread {
    /// `header.tcb`
    pub(crate) const TCB: u64 = 0;
    /// `header.self`
    pub(crate) const SELF: u64 = 16;
    /// `tid`
    pub(crate) const ID: u64 = 720;
}
