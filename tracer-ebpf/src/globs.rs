//! Holding function globs against a function's names when it is first seen: an automaton, made by the loader, walks
//! over their bytes. It says "no" only where that is sure; of the rest the loader decides.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use tracer_common::{
    limits::{FILE_BYTES, NAME_BYTES},
    record::FunctionRecord,
    state::{GLOB_NEVER, total},
};

use crate::{
    maps::{GLOBS, TOTALS},
    verifier::hidden,
};

/// Steps of a walk: the file name as long as it may be, the point after it, the function's name.
const FILE_END: u32 = FILE_BYTES as u32;
const STEPS: u32 = FILE_END + 1 + NAME_BYTES as u32;

struct Walk {
    record: *const FunctionRecord,
    /// State for the function's name with its module in front.
    names: u32,
    /// State for the file name.
    files: u32,
    /// Part of the file name that names the module.
    module_begin: u32,
    module_end: u32,
    file_end: u32,
    name_end: u32,
    /// 1: the last byte of the file name was a slash.
    slash: u32,
}

/// May any glob match this function? The names in the record must be whole, and one byte a character.
#[inline(always)]
pub(crate) fn may_match(record: *const FunctionRecord) -> bool {
    let (names, files) = (first(total::GLOB_NAMES), first(total::GLOB_FILES));
    if names == 0 && files == 0 {
        return true;
    }
    // SAFETY: the caller's record, of which these fields are written.
    let (file_end, name_end) = unsafe { (u32::from((*record).file_bytes), u32::from((*record).name_bytes)) };
    let (module_begin, module_end) = module(record, file_end);
    let mut walk = Walk { record, names, files, module_begin, module_end, file_end, name_end, slash: 0 };
    // SAFETY: the callback has the signature that the helper calls, and `walk` outlives the call.
    unsafe { bpf_loop(STEPS, step as *mut c_void, (&raw mut walk).cast(), 0) };
    accepts(walk.names) || accepts(walk.files)
}

/// The part of a file name that names the module: without `.py` and `/__init__`; of `<frozen os>` it is `os`; other
/// names in angle brackets name none.
#[inline(always)]
fn module(record: *const FunctionRecord, file_end: u32) -> (u32, u32) {
    if file_byte(record, 0) == b'<' {
        return if file_byte(record, 1) == b'f' && file_byte(record, 7) == b' ' {
            (8, file_end.wrapping_sub(1))
        } else {
            (0, 0)
        };
    }
    let ends_with = |end: u32, text: &[u8]| {
        let mut same = end >= text.len() as u32;
        let mut at = 0;
        while at < text.len() {
            same &= file_byte(record, end.wrapping_sub((text.len() - at) as u32)) == text[at];
            at += 1;
        }
        same
    };
    let mut end = file_end;
    if ends_with(end, b".py") {
        end -= 3;
    }
    if ends_with(end, b"/__init__") {
        end -= 9;
    }
    (0, end)
}

/// One byte: of the file name, then the point before the function's name, then that name.
#[inline(never)]
extern "C" fn step(index: u32, walk: *mut Walk) -> u64 {
    // SAFETY: the helper passes on what `may_match` gave it.
    let walk = unsafe { &mut *walk };
    if index < FILE_END {
        if index < walk.file_end {
            let byte = file_byte(walk.record, index);
            walk.files = next(walk.files, byte);
            if index >= walk.module_begin && index < walk.module_end {
                // A package is set off by a point in a dotted name, also where there are two slashes.
                let slash = u32::from(byte == b'/');
                if slash & walk.slash == 0 {
                    walk.names = next(walk.names, if slash != 0 { b'.' } else { byte });
                }
                walk.slash = slash;
            }
        }
        return 0;
    }
    if index == FILE_END {
        walk.names = next(walk.names, b'.');
        return 0;
    }
    let at = index - FILE_END - 1;
    if at >= walk.name_end {
        return 1;
    }
    // SAFETY: the caller's record; the index is taken modulo its length.
    let byte = unsafe { (*walk.record).name[hidden(at as usize) & (NAME_BYTES - 1)] };
    walk.names = next(walk.names, byte);
    0
}

#[inline(always)]
fn file_byte(record: *const FunctionRecord, at: u32) -> u8 {
    // SAFETY: the caller's record; the index is taken modulo its length.
    unsafe { (*record).file[hidden(at as usize) & (FILE_BYTES - 1)] }
}

#[inline(always)]
fn first(index: u32) -> u32 {
    // SAFETY: a live map value.
    TOTALS.get_ptr(index).map_or(0, |state| unsafe { *state as u32 })
}

#[inline(always)]
fn next(state: u32, byte: u8) -> u32 {
    if state == u32::from(GLOB_NEVER) {
        return state;
    }
    // SAFETY: a live map value.
    GLOBS.get_ptr(state).map_or(0, |state| u32::from(unsafe { (*state).next[byte as usize] }))
}

#[inline(always)]
fn accepts(state: u32) -> bool {
    // SAFETY: a live map value.
    GLOBS.get_ptr(state).is_some_and(|state| unsafe { (*state).accepts != 0 })
}
