//! Reading registers of x86-64: the one that a site names, and where a timer has interrupted.

use core::arch::asm;

use aya_ebpf::{
    EbpfContext as _,
    programs::{PerfEventContext, ProbeContext},
};

/// Number of rsp.
pub(crate) const STACK_POINTER: u64 = 4;

/// The privilege level in a code segment's selector: 3 is user mode, 0 the kernel.
const PRIVILEGE: u64 = 3;

/// The instruction at which a timer has interrupted a program; `None`: it was in the kernel.
#[inline(always)]
pub(crate) fn user_instruction(ctx: &PerfEventContext) -> Option<u64> {
    // SAFETY: the context is the program's own.
    let (instruction, segment) = unsafe { ((*ctx.ctx).regs.rip, (*ctx.ctx).regs.cs) };
    (segment & PRIVILEGE != 0).then_some(instruction)
}

/// Reads a general register by the number that instructions encode it with.
///
/// One load with a constant offset per register: the verifier refuses a computed offset into the context, and
/// the compiler would make one out of a plain `match`, hence the assembly.
#[inline(always)]
pub(crate) fn read(ctx: &ProbeContext, number: u64) -> u64 {
    let regs = ctx.as_ptr();
    let value: u64;
    macro_rules! load {
        ($offset:literal) => {
            // SAFETY: reads within `struct pt_regs`, which the context of a uprobe is.
            unsafe {
                asm!(concat!("{value} = *(u64 *)({regs} + ", $offset, ")"), value = out(reg) value, regs = in(reg) regs, options(nostack, readonly))
            }
        };
    }
    // Offsets of struct pt_regs, x86-64. The ones in use come first.
    match number {
        3 => load!("40"),  // rbx
        6 => load!("104"), // rsi
        10 => load!("56"), // r10
        15 => load!("0"),  // r15
        7 => load!("112"), // rdi
        5 => load!("32"),  // rbp
        13 => load!("16"), // r13
        12 => load!("24"), // r12
        14 => load!("8"),  // r14
        9 => load!("64"),  // r9
        8 => load!("72"),  // r8
        11 => load!("48"), // r11
        0 => load!("80"),  // rax
        1 => load!("88"),  // rcx
        2 => load!("96"),  // rdx
        _ => load!("152"), // rsp
    }
    value
}
