//! CPython 3.8 to 3.10: each run of a frame, first or resumed, is one call of `_PyEval_EvalFrameDefault`. Finds where
//! it makes the frame its thread's current one, and where it makes the caller's frame that again.
//!
//! The first is passed only by frames that run: one that exceeds the recursion limit is turned away before. The
//! second is passed however the frame is left: by a return, a yield or an exception.

use iced_x86::{Code, Instruction, Register as Iced};
use tracer_common::layout::Layout;

use super::{
    code,
    elf::Elf,
    eval_sites::{self, Hook},
    function_sites,
    functions::Functions,
};

/// The function that runs a frame.
const RUN: &str = "_PyEval_EvalFrameDefault";
/// `PyThreadState.frame`, the current frame.
const THREAD_FRAME: u16 = 24;
/// The store of the current frame is within the first 30 instructions.
const REACH: usize = 96;
/// From reading the caller's frame to storing it, and on to the site, at most 12 each.
const NEAR: usize = 24;

/// The first place behind `tstate->frame = f` where a probe is cheap. `argument`: the register that brings the frame.
pub(super) fn begin(elf: &Elf, argument: Iced) -> Option<Hook> {
    let mut path = code::instructions(elf, elf.symbol(RUN)?.address, REACH);
    let mut holders = vec![argument];
    let frame = path.by_ref().take_while(|i| !code::leaves(i)).find_map(|i| {
        let stored = stores(&i).filter(|register| holders.contains(register));
        let copied = copies(&i).filter(|(_, from)| holders.contains(from)).map(|(to, _)| to);
        let called = i.is_call_near() || i.is_call_near_indirect();
        holders.retain(|&r| !code::writes(&i, r) && (!called || code::survives_calls(r)));
        holders.extend(copied);
        stored
    })?;
    eval_sites::next_cheap(elf, path, frame)
}

/// Each first place behind `tstate->frame = f->f_back` where a probe is cheap.
pub(super) fn ends(elf: &Elf, functions: &Functions, layout: &Layout) -> Vec<Hook> {
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

/// `mov to, from` between registers.
fn copies(instruction: &Instruction) -> Option<(Iced, Iced)> {
    let between = matches!(instruction.code(), Code::Mov_rm64_r64 | Code::Mov_r64_rm64)
        && instruction.op0_register() != Iced::None
        && instruction.op1_register() != Iced::None;
    between.then(|| (instruction.op0_register(), instruction.op1_register()))
}
