//! Finds where to hook an opcode handler, and which registers hold what there.
//!
//! In CPython 3.11 and later a handler that can leave the frame stores the instruction pointer into it:
//! `mov [Rf+0x38], Rip`. So `Rf` holds the frame from there on, as long as nothing overwrites it.

use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register as Iced};
use tracer_common::{layout::Layout, site::Register};

use super::code;
use crate::python::elf::Elf;

/// Longest handler part that is looked at, in instructions; the sites are within the first 60.
const REACH: usize = 160;

/// An instruction to hook and what the registers hold when it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::python) struct Hook {
    /// Virtual address.
    pub(in crate::python) address: u64,
    /// Register with the frame (or what else the site is about).
    pub(in crate::python) frame: Register,
    /// Register with the frame's instruction pointer, and by how much it is ahead of the stored one.
    pub(in crate::python) instruction: Option<(Register, i8)>,
    /// Register that says whether an exception is thrown into the frame.
    pub(in crate::python) thrown: Option<Register>,
    /// Disassembly.
    pub(in crate::python) text: String,
}

impl Hook {
    /// A hook at an instruction.
    pub(super) fn at(instruction: &Instruction, frame: Register) -> Self {
        Self {
            address: instruction.ip(),
            frame,
            instruction: None,
            thrown: None,
            text: code::text(instruction),
        }
    }
}

/// The first instruction after the handler's store of the instruction pointer on which a probe is cheap.
pub(in crate::python) fn after_store(elf: &Elf, handler: u64, layout: &Layout) -> Option<Hook> {
    let mut path = code::instructions(elf, handler, REACH);
    let (frame, stored) = path.by_ref().take_while(|i| !code::leaves(i)).find_map(|i| store(&i, layout))?;
    let mut ahead = Some(0);
    for instruction in path {
        if code::emulated(elf, &instruction) {
            let held = ahead.and_then(|ahead| Some((code::register(stored)?, ahead)));
            return Some(Hook { instruction: held, ..Hook::at(&instruction, code::register(frame)?) });
        }
        if code::leaves(&instruction) || code::writes(&instruction, frame) {
            return None;
        }
        ahead = ahead.and_then(|ahead| advance(&instruction, stored, ahead));
    }
    None
}

/// The first instruction after the handler's store of the instruction pointer, whatever it is: the kernel single-steps it.
pub(in crate::python) fn right_after_store(elf: &Elf, handler: u64, layout: &Layout) -> Option<Hook> {
    let mut path = code::instructions(elf, handler, REACH);
    let (frame, _) = path.by_ref().take_while(|i| !code::leaves(i)).find_map(|i| store(&i, layout))?;
    Some(Hook::at(&path.next()?, code::register(frame)?))
}

/// The first instruction after a handler has cleared the frame's `previous` on which a probe is cheap: how a
/// generator is left whose handler has no such place before (3.12).
pub(in crate::python) fn after_unlink(elf: &Elf, handler: u64, layout: &Layout) -> Option<Hook> {
    let mut path = code::instructions(elf, handler, REACH);
    let mut zeroed = Vec::new();
    let frame = path.by_ref().take_while(|i| !code::leaves(i)).find_map(|i| {
        let unlinked = unlink(&i, layout, &zeroed);
        zeroed.retain(|&register| !code::writes(&i, register));
        if i.mnemonic() == Mnemonic::Xor && i.op0_register() == i.op1_register() {
            zeroed.push(i.op0_register().full_register());
        }
        unlinked
    })?;
    next_cheap(elf, path, frame)
}

/// The first instruction of a path on which a probe is cheap, while the register still holds the frame.
pub(super) fn next_cheap(elf: &Elf, path: impl Iterator<Item = Instruction>, frame: Iced) -> Option<Hook> {
    for instruction in path {
        if code::emulated(elf, &instruction) {
            return Some(Hook::at(&instruction, code::register(frame)?));
        }
        if code::leaves(&instruction) || code::writes(&instruction, frame) {
            return None;
        }
    }
    None
}

/// The function called first on the way of a handler, through jumps.
pub(super) fn first_call(elf: &Elf, handler: u64) -> Option<u64> {
    let mut at = handler;
    // A cycle of jumps ends here too.
    for _ in 0..8 {
        let end = code::instructions(elf, at, REACH)
            .find(|i| i.is_call_near() || code::leaves(i))
            .filter(|i| i.is_call_near() || i.is_jmp_short_or_near())?;
        if end.is_call_near() {
            return Some(end.near_branch_target());
        }
        at = end.near_branch_target();
    }
    None
}

/// `mov qword [Rf+instruction pointer], Rip`: both registers.
fn store(instruction: &Instruction, layout: &Layout) -> Option<(Iced, Iced)> {
    let frame = field(instruction, 0, layout.frame_instruction)?;
    (instruction.code() == Code::Mov_rm64_r64).then(|| (frame, instruction.op1_register()))
}

/// `mov qword [R+previous], 0`: the register.
fn unlink(instruction: &Instruction, layout: &Layout, zeroed: &[Iced]) -> Option<Iced> {
    let frame = field(instruction, 0, layout.frame_previous)?;
    let zero = match instruction.code() {
        Code::Mov_rm64_imm32 => instruction.immediate32() == 0,
        Code::Mov_rm64_r64 => zeroed.contains(&instruction.op1_register()),
        _ => false,
    };
    zero.then_some(frame)
}

/// The base register where this operand is memory at a fixed distance from it.
pub(super) fn field(instruction: &Instruction, operand: u32, offset: u16) -> Option<Iced> {
    let base = instruction.memory_base();
    let plain = instruction.op_count() > operand
        && instruction.op_kind(operand) == OpKind::Memory
        && instruction.memory_index() == Iced::None
        && instruction.memory_displacement64() == u64::from(offset)
        && base.is_gpr64()
        && base != Iced::RSP;
    plain.then_some(base)
}

/// How far the register is ahead after this instruction; `None`: it no longer holds the instruction pointer.
fn advance(instruction: &Instruction, register: Iced, ahead: i8) -> Option<i8> {
    if !code::writes(instruction, register) {
        return Some(ahead);
    }
    let step = match instruction.code() {
        Code::Add_rm64_imm8 => instruction.immediate8to64(),
        Code::Add_rm64_imm32 => instruction.immediate32to64(),
        _ => return None,
    };
    (instruction.op0_register() == register).then(|| i8::try_from(step).ok()?.checked_add(ahead))?
}
