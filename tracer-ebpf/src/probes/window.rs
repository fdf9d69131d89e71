//! Windows: a process is traced for moments only, in which the starts of each function are counted. Nothing is sent, no
//! clock is read, and no stack is kept: a hit costs next to nothing besides its trap.

use core::ptr;

use aya_ebpf::programs::ProbeContext;
use tracer_common::state::{Starts, cached};

use crate::{
    function,
    maps::{WINDOW_STARTS, WINDOWS, atomic_add},
    registers, site, thread,
};

/// One resumption, added to the two halves of [`Starts`] as one number.
const RESUME: u64 = 1 << 32;

/// A frame begins or is resumed.
#[inline(always)]
pub(crate) fn start(ctx: &ProbeContext) {
    let site = site::exact(ctx);
    let Some((_, thread)) = thread::current(ctx) else { return };
    thread.hits += 1;
    let Some(window) = WINDOWS.get_ptr_mut(thread.process) else { return };
    // SAFETY: a live map value, aligned to 8; the loader changes `open` at any time.
    let open = unsafe {
        atomic_add(&raw mut (*window).hits, 1);
        ptr::read_volatile(&raw const (*window).open)
    };
    if open == 0 {
        return;
    }
    let frame = registers::read(ctx, site.frame_register());
    let answer = function::starting(ctx, site, frame, thread.process);
    if answer == function::NOT_CODE
        || answer == function::NO_ROOM
        || answer & (cached::IGNORED | cached::UNWANTED) != 0
    {
        return;
    }
    let start = if answer & cached::RESUMED != 0 { RESUME } else { 1 };
    match WINDOW_STARTS.get_ptr_mut(function::id(answer)) {
        // SAFETY: a live map value of 8 bytes; little endian, so that the lower half is `calls`.
        Some(starts) => unsafe { atomic_add(starts.cast::<u64>(), start) },
        // SAFETY: as above.
        None => unsafe { atomic_add(&raw mut (*window).beyond, 1) },
    };
}

const _: () = assert!(size_of::<Starts>() == 8);
