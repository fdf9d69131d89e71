//! Finds where to hook the interpreter's C functions: the end of a frame, a raised exception, a freed code object.

use std::ops::Range;

use iced_x86::{Code, Instruction, Mnemonic, Register as Iced};
use tracer_common::{layout::Layout, site::Register};

use super::{
    code,
    eval_sites::{self, Hook},
};
use crate::python::{elf::Elf, functions::Functions};

/// From `ob_type` to `tp_dealloc` in a type object: `ob_size`, `tp_name` and two sizes lie between.
const TYPE_DEALLOC: u64 = 40;
/// The function that adds a frame to an exception's traceback.
const TRACEBACK: &str = "PyTraceBack_Here";
/// Larger than any compiler makes a part of the eval loop, in bytes; the largest seen has 90,000.
const MAX_PART: u64 = 4 << 20;
/// Longest straight piece of code that is looked at, in instructions.
const REACH: usize = 64;
/// A stub that jumps to another library's function has at most 4.
const STUB: usize = 4;

/// Entry of `_PyEval_FrameClearAndPop(tstate, frame)` (3.12+): called for each frame that returns or is unwound.
/// `return_value` is the handler that calls it, for files in which it has no name.
pub(in crate::python) fn frame_clear(elf: &Elf, return_value: u64, layout: &Layout) -> Option<Hook> {
    let named =
        ["_PyEval_FrameClearAndPop", "_PyEvalFrameClearAndPop"].into_iter().find_map(|n| elf.symbol(n));
    let entry = match named {
        Some(symbol) => symbol.address,
        None => eval_sites::first_call(elf, return_value).filter(|&f| asks_owner(elf, f, layout))?,
    };
    let first = code::instructions(elf, entry, 2).find(|i| i.mnemonic() != Mnemonic::Endbr64)?;
    code::emulated(elf, &first).then(|| Hook::at(&first, Register::Rsi))
}

/// Does a function begin by asking who owns the frame?
fn asks_owner(elf: &Elf, function: u64, layout: &Layout) -> bool {
    code::instructions(elf, function, 16).any(|i| {
        i.code() == Code::Cmp_rm8_imm8
            && i.immediate8() == 0
            && i.memory_displacement64() == u64::from(layout.frame_owner)
    })
}

/// Calls of `PyTraceBack_Here(frame object)` in the eval loop: an exception has reached a frame. Not the function's
/// entry: others call it for frames that never ran.
pub(in crate::python) fn raises(elf: &Elf, functions: &Functions, handlers: &[u64]) -> Vec<Hook> {
    let Some(target) = elf.symbol(TRACEBACK).map(|s| s.address) else { return Vec::new() };
    let parts = eval_loop(elf, functions, handlers).into_iter();
    let calls = parts.flat_map(|part| body(elf, &part).filter(|i| calls(elf, i, target)).collect::<Vec<_>>());
    calls.filter(|i| code::emulated(elf, i)).map(|i| Hook::at(&i, Register::Rdi)).collect()
}

/// The parts of the eval loop: compilers split it, and the exported symbol may cover the smallest part only.
/// `handlers`: all that is known to be in it; without them the parts that conditional branches lead to are added.
pub(super) fn eval_loop(elf: &Elf, functions: &Functions, handlers: &[u64]) -> Vec<Range<u64>> {
    let entry = elf.symbol("_PyEval_EvalFrameDefault").map(|s| s.address);
    let known = handlers.iter().copied().chain(entry).filter_map(|a| functions.containing(a));
    let mut parts: Vec<Range<u64>> = Vec::new();
    let mut new: Vec<Range<u64>> = known.collect();
    while let Some(part) = new.pop() {
        if parts.contains(&part) {
            continue;
        }
        if handlers.is_empty() {
            let outside =
                body(elf, &part).filter(Instruction::is_jcc_short_or_near).map(|i| i.near_branch_target());
            new.extend(outside.filter(|a| !part.contains(a)).filter_map(|a| functions.containing(a)));
        }
        parts.push(part);
    }
    parts.sort_unstable_by_key(|part| part.start);
    parts
}

/// The instructions of a part of a function.
pub(super) fn body<'a>(elf: &'a Elf, part: &Range<u64>) -> impl Iterator<Item = Instruction> + 'a {
    let size = (part.end - part.start).min(MAX_PART) as usize;
    code::decode(elf.bytes_at(part.start, size).unwrap_or_default(), part.start)
}

/// Does an instruction call a function, directly or through the stub by which libraries let others replace it?
fn calls(elf: &Elf, instruction: &Instruction, target: u64) -> bool {
    if !instruction.is_call_near() {
        return false;
    }
    let called = instruction.near_branch_target();
    called == target || is_stub(elf, called, TRACEBACK)
}

fn is_stub(elf: &Elf, stub: u64, function: &str) -> bool {
    let jump = code::instructions(elf, stub, STUB).find(Instruction::is_jmp_near_indirect);
    jump.is_some_and(|j| j.is_ip_rel_memory_operand() && elf.imports_at(j.ip_rel_memory_address(), function))
}

/// First place in `code_dealloc(code)`, which `PyCode_Type` names, where a probe is cheap and rdi is still the code.
pub(in crate::python) fn code_freed(elf: &Elf, code_type: u64, layout: &Layout) -> Option<Hook> {
    let slot = u64::from(layout.object_type) + TYPE_DEALLOC;
    let dealloc = elf.pointer_at(code_type.checked_add(slot)?)?;
    for instruction in code::instructions(elf, dealloc, REACH) {
        if code::emulated(elf, &instruction) {
            return Some(Hook::at(&instruction, Register::Rdi));
        }
        if code::leaves(&instruction) || code::writes(&instruction, Iced::RDI) {
            return None;
        }
    }
    None
}

/// A USDT probe whose function was called with the frame in rdi: the register to which rdi was saved at the start of
/// the straight piece of code that ends at the probe.
pub(in crate::python) fn probe_function(elf: &Elf, functions: &Functions, probe: u64) -> Option<Hook> {
    let start = functions.containing(probe)?.start;
    let mut argument_intact = true;
    let mut saved = None;
    for instruction in code::instructions(elf, start, REACH) {
        if instruction.ip() == probe {
            let frame = code::register(saved?)?;
            return code::emulated(elf, &instruction).then(|| Hook::at(&instruction, frame));
        }
        if code::leaves(&instruction) || instruction.is_jcc_short_or_near() {
            return None;
        }
        if saved.is_some_and(|register| code::writes(&instruction, register)) {
            saved = None;
        }
        if argument_intact && copies_rdi(&instruction) {
            saved = Some(instruction.op0_register());
        }
        argument_intact &= !instruction.is_call_near() && !code::writes(&instruction, Iced::RDI);
    }
    None
}

/// A USDT probe in the function that runs a frame (up to 3.10): just before it the line is looked up, by the frame's
/// last instruction. The register by which that is read holds the frame.
pub(in crate::python) fn probe_inlined(
    elf: &Elf,
    functions: &Functions,
    probe: u64,
    layout: &Layout,
) -> Option<Hook> {
    let part = functions.containing(probe)?;
    let mut frame = None;
    for instruction in body(elf, &part) {
        if instruction.ip() == probe {
            let frame = code::register(frame?)?;
            return code::emulated(elf, &instruction).then(|| Hook::at(&instruction, frame));
        }
        if code::leaves(&instruction) || frame.is_some_and(|register| code::writes(&instruction, register)) {
            frame = None;
        }
        let read = eval_sites::field(&instruction, 1, layout.frame_last_index);
        if instruction.code() == Code::Mov_r32_rm32 && read.is_some_and(code::survives_calls) {
            frame = read;
        }
    }
    None
}

fn copies_rdi(instruction: &Instruction) -> bool {
    matches!(instruction.code(), Code::Mov_rm64_r64 | Code::Mov_r64_rm64)
        && instruction.op1_register() == Iced::RDI
        && code::survives_calls(instruction.op0_register())
}
