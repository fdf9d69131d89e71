//! Finds where the interpreter asks whether anybody listens at one of its USDT probes: `cmp word [counter], 0` and a
//! conditional jump. Every frame passes that, with the counter at 0 as well, and what the interpreter does for
//! listeners alone is not done: it converts names to UTF-8 then, which fails for some.

use std::ops::Range;

use iced_x86::{Code, Instruction, Register as Iced};
use tracer_common::layout::Layout;

use super::{
    code,
    eval_sites::{self, Hook},
    function_sites,
};
use crate::python::{elf::Elf, functions::Functions};

/// From the jump to the probe, or to the call of the function that has it, in instructions.
const REACH: usize = 64;

/// A probe and its counter.
#[derive(Clone, Copy, Debug)]
pub(in crate::python) struct Counted {
    /// Address of the probe.
    pub(in crate::python) probe: u64,
    /// Address of the 16-bit counter.
    pub(in crate::python) counter: u64,
}

/// The jumps behind all tests of a probe's counter in the eval loop. `handlers`: all that is known to be in it. `None`:
/// there is none, or one that is not understood.
pub(in crate::python) fn tests(
    elf: &Elf,
    functions: &Functions,
    handlers: &[u64],
    counted: Counted,
    layout: &Layout,
) -> Option<Vec<Hook>> {
    let prober = functions.containing(counted.probe)?;
    let mut hooks = Vec::new();
    for part in function_sites::eval_loop(elf, functions, handlers) {
        let mut body = function_sites::body(elf, &part);
        while let Some(instruction) = body.next() {
            if reads(&instruction, counted.counter) {
                let jump = body.next().filter(|_| is_test(&instruction))?;
                let frame = frame(elf, listening(&jump)?, &prober, counted.probe, layout)?;
                hooks.push(Hook::at(&jump, code::register(frame)?));
            }
        }
    }
    (!hooks.is_empty() && hooks.len() <= u8::MAX.into()).then_some(hooks)
}

fn reads(instruction: &Instruction, counter: u64) -> bool {
    instruction.is_ip_rel_memory_operand() && instruction.ip_rel_memory_address() == counter
}

/// `cmp word [...], 0`
fn is_test(instruction: &Instruction) -> bool {
    instruction.code() == Code::Cmp_rm16_imm8 && instruction.immediate8to16() == 0
}

/// Where the path goes on for which the counter is not 0.
fn listening(jump: &Instruction) -> Option<u64> {
    match jump.code() {
        Code::Jne_rel8_64 | Code::Jne_rel32_64 => Some(jump.near_branch_target()),
        Code::Je_rel8_64 | Code::Je_rel32_64 => Some(jump.next_ip()),
        _ => None,
    }
}

/// The register that holds the frame at the beginning of a path to the probe. The path leads to the probe itself, by
/// reading the line of the frame's last instruction (up to 3.10), or to a call of its function with the frame in rdi.
fn frame(elf: &Elf, from: u64, prober: &Range<u64>, probe: u64, layout: &Layout) -> Option<Iced> {
    let mut path = Path { at: from, changed: Vec::new() };
    let (mut argument, mut read) = (None, None);
    for _ in 0..REACH {
        let instruction = path.next(elf)?;
        if instruction.ip() == probe {
            return read;
        }
        if instruction.is_call_near() && prober.start == instruction.near_branch_target() {
            return argument;
        }
        let intact = |&register: &Iced| !path.changed.contains(&register);
        if instruction.op0_register() == Iced::RDI && instruction.op1_register() != Iced::None {
            argument = Some(instruction.op1_register()).filter(intact);
        }
        if layout.frame_last_index != 0 && instruction.code() == Code::Mov_r32_rm32 {
            read = eval_sites::field(&instruction, 1, layout.frame_last_index).filter(intact).or(read);
        }
        path.pass(&instruction);
    }
    None
}

/// A path through jumps.
struct Path {
    at: u64,
    /// Registers that are not what they were at its beginning.
    changed: Vec<Iced>,
}

impl Path {
    fn next(&self, elf: &Elf) -> Option<Instruction> {
        code::instructions(elf, self.at, 1).next()
    }

    /// Goes on to what follows an instruction; where the path may part, straight on.
    fn pass(&mut self, instruction: &Instruction) {
        let jumps = instruction.is_jmp_short_or_near();
        self.at = if jumps { instruction.near_branch_target() } else { instruction.next_ip() };
        let called = instruction.is_call_near() || instruction.is_call_near_indirect();
        let changes = |&&register: &&Iced| {
            code::writes(instruction, register) || called && !code::survives_calls(register)
        };
        self.changed.extend(GENERAL.iter().filter(changes));
    }
}

/// The general registers, but for the stack pointer.
const GENERAL: [Iced; 15] = [
    Iced::RAX,
    Iced::RCX,
    Iced::RDX,
    Iced::RBX,
    Iced::RBP,
    Iced::RSI,
    Iced::RDI,
    Iced::R8,
    Iced::R9,
    Iced::R10,
    Iced::R11,
    Iced::R12,
    Iced::R13,
    Iced::R14,
    Iced::R15,
];
