//! CPython 3.8 to 3.10: each run of a frame, first or resumed, is one call of `_PyEval_EvalFrameDefault`. Finds where
//! it makes the frame its thread's current one, and where it makes the caller's frame that again.
//!
//! The first is passed only by frames that run: one that exceeds the recursion limit is turned away before. The
//! second is passed however the frame is left: by a return, a yield or an exception.

use iced_x86::{Code, Instruction, Register as Iced};
use tracer_common::layout::Layout;

use super::{
    code,
    eval_sites::{self, Hook},
    function_sites,
};
use crate::python::{elf::Elf, functions::Functions};

/// The function that runs a frame.
const RUN: &str = "_PyEval_EvalFrameDefault";
/// `PyThreadState.frame`, the current frame.
const THREAD_FRAME: u16 = 24;
/// The store of the current frame is within the first 30 instructions.
const REACH: usize = 96;
/// From reading the caller's frame to storing it, and on to the site, at most 12 each.
const NEAR: usize = 24;

/// The arguments that the function is called with.
#[derive(Clone, Copy, Debug)]
pub(in crate::python) struct Arguments {
    /// Register that brings the frame.
    frame: Iced,
    /// Register that brings whether an exception is thrown into it.
    thrown: Iced,
}

impl Arguments {
    /// `before`: how many arguments stand before the frame, at most one.
    pub(in crate::python) fn after(before: usize) -> Self {
        let (frame, thrown) = if before == 0 { (Iced::RDI, Iced::RSI) } else { (Iced::RSI, Iced::RDX) };
        Self { frame, thrown }
    }
}

/// The first place behind `tstate->frame = f` where a probe is cheap. Its second register, if it has one, holds
/// whether an exception is thrown into the frame.
pub(in crate::python) fn begin(elf: &Elf, arguments: Arguments) -> Option<Hook> {
    let mut frame = Holders(vec![arguments.frame]);
    let mut thrown = Holders(vec![arguments.thrown]);
    let mut current = None;
    for instruction in code::instructions(elf, elf.symbol(RUN)?.address, REACH) {
        if let Some(register) = current
            && code::emulated(elf, &instruction)
        {
            let hook = Hook::at(&instruction, code::register(register)?);
            return Some(Hook { thrown: thrown.0.first().and_then(|&r| code::register(r)), ..hook });
        }
        if code::leaves(&instruction) || current.is_some_and(|register| code::writes(&instruction, register))
        {
            return None;
        }
        current = current.or_else(|| stores(&instruction).filter(|register| frame.0.contains(register)));
        frame.pass(&instruction);
        thrown.pass(&instruction);
    }
    None
}

/// The registers that hold a value.
struct Holders(Vec<Iced>);

impl Holders {
    /// Follows the value past an instruction.
    fn pass(&mut self, instruction: &Instruction) {
        let copied = copies(instruction).filter(|(_, from)| self.0.contains(from)).map(|(to, _)| to);
        let called = instruction.is_call_near() || instruction.is_call_near_indirect();
        self.0.retain(|&r| !code::writes(instruction, r) && (!called || code::survives_calls(r)));
        self.0.extend(copied);
    }
}

/// Each first place behind `tstate->frame = f->f_back` where a probe is cheap.
pub(in crate::python) fn ends(elf: &Elf, functions: &Functions, layout: &Layout) -> Vec<Hook> {
    let parts = function_sites::eval_loop(elf, functions, &[]);
    let instructions = parts.iter().flat_map(|part| function_sites::body(elf, part));
    let hooks = instructions.filter_map(|i| {
        let (caller, frame) = loads(&i, layout.frame_previous)?;
        end(elf, i.next_ip(), caller, frame)
    });
    let mut hooks: Vec<Hook> = hooks.collect();
    hooks.dedup_by_key(|hook| hook.address);
    hooks
}

/// After the caller's frame was read from `frame`: it becomes the current one, and a cheap place follows.
fn end(elf: &Elf, from: u64, caller: Iced, frame: Iced) -> Option<Hook> {
    let mut path = code::instructions(elf, from, NEAR);
    let intact = |i: &Instruction| !code::leaves(i) && !code::writes(i, frame) && !code::writes(i, caller);
    let stored =
        path.by_ref().take_while(|i| intact(i) && !i.is_call_near()).any(|i| stores(&i) == Some(caller));
    if stored { eval_sites::next_cheap(elf, path, frame) } else { None }
}

/// `mov [Rt+frame], R`: the register that becomes the current frame.
fn stores(instruction: &Instruction) -> Option<Iced> {
    eval_sites::field(instruction, 0, THREAD_FRAME)?;
    (instruction.code() == Code::Mov_rm64_r64).then(|| instruction.op1_register())
}

/// `mov R, [Rf+offset]`: both registers.
fn loads(instruction: &Instruction, offset: u16) -> Option<(Iced, Iced)> {
    let frame = eval_sites::field(instruction, 1, offset)?;
    let caller = instruction.op0_register();
    (instruction.code() == Code::Mov_r64_rm64 && caller != frame).then_some((caller, frame))
}

/// `mov to, from` between registers, of the whole or the lower half.
fn copies(instruction: &Instruction) -> Option<(Iced, Iced)> {
    let moves = [Code::Mov_rm64_r64, Code::Mov_r64_rm64, Code::Mov_rm32_r32, Code::Mov_r32_rm32];
    let (to, from) = (instruction.op0_register(), instruction.op1_register());
    let between = moves.contains(&instruction.code()) && to != Iced::None && from != Iced::None;
    between.then(|| (to.full_register(), from.full_register()))
}
