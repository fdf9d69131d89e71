//! What the verifier has to see.

use core::arch::asm;

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
