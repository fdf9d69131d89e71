//! From a code object to its row: the code objects of one process that have the same name, file and line share one.

use core::{ffi::c_void, ptr};

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::generated::{bpf_loop, bpf_probe_read_user},
};
use tracer_common::{
    layout::Layout,
    limits::{FILE_BYTES, NAME_BYTES},
    record::FunctionRecord,
    state::total,
};

use crate::{
    kernel::read_user,
    maps::{NAMES, PROCESSES, ROWS, SUMS, add_total, rows_limit},
    text::{self, Characters},
};

const WORD: u32 = 8;

/// The row of a code object, and whether the loader has yet to be told of it. Code objects that come when the table is
/// full share the row of their process that is kept for them.
#[inline(always)]
pub(crate) fn of_code(process: u32, layout: &Layout, code: u64, line: u32) -> (u32, bool) {
    let hash = identity(process, layout, code, line);
    if let Some(row) = ROWS.get_ptr(hash) {
        // SAFETY: a live map value.
        return (unsafe { *row }, false);
    }
    let limit = rows_limit();
    let row = (add_total(total::FUNCTIONS, 1) + 1) as u32;
    if row >= limit {
        return (limit + process, false);
    }
    if let Some(sums) = SUMS.get_ptr_mut(row) {
        // SAFETY: a live map value that nobody else uses yet.
        unsafe { (*sums).process = u64::from(process) };
    }
    if ROWS.insert(hash, row, u64::from(BPF_NOEXIST)).is_err()
        && let Some(other) = ROWS.get_ptr(hash)
    {
        // Another thread was faster.
        // SAFETY: a live map value.
        return (unsafe { *other }, false);
    }
    (row, true)
}

/// Where the names of a function wait for the loader if the ring buffer has no room for them.
#[inline(always)]
pub(crate) fn waiting_name() -> Option<*mut FunctionRecord> {
    NAMES.get_ptr_mut(add_total(total::WAITING_NAMES, 1) as u32)
}

/// A number for process, name, file and line: among 65,536 functions two have the same one once in ten billion
/// recordings.
#[inline(always)]
fn identity(process: u32, layout: &Layout, code: u64, line: u32) -> u64 {
    // SAFETY: a live map value.
    let number = PROCESSES.get_ptr(process).map_or(0, |process| unsafe { (*process).number });
    let text = |offset: u16| read_user::<u64>(code + u64::from(offset)).unwrap_or(0);
    let hash = mix(u64::from(number) << 32 | u64::from(line), 1);
    let hash = hash_of(&text::beginning(layout, text(layout.code_name), NAME_BYTES as u64), hash);
    hash_of(&text::end(layout, text(layout.code_file), FILE_BYTES as u64), hash)
}

struct Hashing {
    hash: u64,
    address: u64,
    bytes: u32,
}

#[inline(always)]
fn hash_of(text: &Characters, hash: u64) -> u64 {
    let bytes = text.bytes as u32;
    let hash = mix(hash, u64::from(bytes) << 8 | u64::from(text.width) << 1 | u64::from(text.cut));
    let mut hashing = Hashing { hash, address: text.address, bytes };
    // SAFETY: the callback has the signature that the helper calls, and `hashing` outlives the call.
    unsafe { bpf_loop(bytes.div_ceil(WORD), hash_word as *mut c_void, (&raw mut hashing).cast(), 0) };
    hashing.hash
}

#[inline(never)]
extern "C" fn hash_word(at: u32, hashing: *mut Hashing) -> u64 {
    // SAFETY: the helper passes on what `hash_of` gave it.
    let hashing = unsafe { &mut *hashing };
    let mut size = hashing.bytes.wrapping_sub(at * WORD);
    if size > WORD {
        size = WORD;
    }
    let mut word = 0u64;
    let from = hashing.address.wrapping_add(u64::from(at * WORD));
    // SAFETY: the helper checks the source and writes at most 8 bytes.
    unsafe { bpf_probe_read_user(ptr::from_mut(&mut word).cast(), size, from as *const c_void) };
    hashing.hash = mix(hashing.hash, word);
    0
}

/// Mixes a word into a hash: the finalizer of `SplitMix64`.
#[inline(always)]
fn mix(hash: u64, word: u64) -> u64 {
    let mut hash = (hash ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}
