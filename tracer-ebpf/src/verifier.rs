//! What the verifier has to see.

use core::{arch::asm, ptr};

#[unsafe(no_mangle)]
static NEVER: u32 = 0;

/// Keeps what a program has on its stack on the stack of the thread that runs it: what the program of every uprobe needs.
///
/// Linux 6.13 and later give programs stacks of the CPU instead ("private stacks"), counting on it that a program is not
/// run again on a CPU before it has ended. That is so for tracepoints. Of uprobes nothing sees to it: on a kernel that
/// switches threads also within the kernel, another thread may hit a probe meanwhile, and one has the other's
/// variables. Programs with tail calls get no such stack, so here is one. It is behind a constant that the verifier
/// knows, and gone from what runs.
#[inline(always)]
pub(crate) fn keep_stack_of_thread() {
    // SAFETY: a static of this program, which nobody changes; volatile so that the compiler does not drop the call.
    unsafe {
        if ptr::read_volatile(&raw const NEVER) != 0 {
            asm!("call 12", out("r0") _, out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _);
        }
    }
}

/// The same number, whose bounds the compiler can't know, so that it does not drop a mask or a comparison that the
/// verifier needs to see. Unlike `core::hint::black_box` it takes no detour by memory.
#[inline(always)]
pub(crate) fn hidden(number: usize) -> usize {
    let mut same = number;
    // One instruction: with none, the object has two lines of source for the next one, which the kernel refuses.
    // SAFETY: touches nothing but the register.
    unsafe {
        asm!("{same} = {same}", same = inout(reg) same, options(pure, nomem, nostack, preserves_flags));
    }
    same
}

/// The same number, of which the verifier knows nothing any more: what follows is checked once, not for each way on which
/// the number came about. `unknown`: a number that it does not know either.
#[inline(always)]
pub(crate) fn forgotten(number: u64, unknown: u64) -> u64 {
    let mut same = number;
    // SAFETY: touches nothing but the register.
    unsafe {
        asm!("{same} ^= {unknown}", "{same} ^= {unknown}", same = inout(reg) same, unknown = in(reg) unknown, options(pure, nomem, nostack, preserves_flags));
    }
    same
}
