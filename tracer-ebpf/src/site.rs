//! What the site that was hit means.

use core::arch::asm;

use aya_ebpf::{EbpfContext as _, helpers::generated::bpf_get_attach_cookie, programs::ProbeContext};
use tracer_common::site::Site;

/// What a hit needs at once, see [`Site::kind`]: in a program that was loaded for one kind of site a constant, by which the
/// verifier drops what is for other kinds. Else the cookie.
#[inline(always)]
pub(crate) fn kind(ctx: &ProbeContext) -> Site {
    let word: u64;
    // An instruction with a constant of 64 bits, which the loader finds.
    // SAFETY: touches nothing but the register.
    unsafe {
        asm!("{word} = {unwritten} ll", word = out(reg) word, unwritten = const Site::UNWRITTEN, options(pure, nomem, nostack));
    }
    if Site(word).is_unwritten() { exact(ctx) } else { Site(word) }
}

/// All that is known of the site: 8 ns more.
#[inline(always)]
pub(crate) fn exact(ctx: &ProbeContext) -> Site {
    // SAFETY: the context is this program's own.
    Site(unsafe { bpf_get_attach_cookie(ctx.as_ptr()) })
}
