//! Reading str objects of the interpreter.

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use tracer_common::{
    layout::Layout,
    limits::{FILE_BYTES, NAME_BYTES},
};

use crate::kernel::read_user;

/// What was read of a str object.
#[derive(Clone, Copy)]
pub(crate) struct Read {
    pub(crate) bytes: u16,
    /// Bytes per character.
    pub(crate) width: u8,
    pub(crate) cut: bool,
}

const NOTHING: Read = Read { bytes: 0, width: 1, cut: false };

/// Reads a str from its beginning.
#[inline(always)]
pub(crate) fn read_beginning(layout: &Layout, object: u64, into: *mut [u8; NAME_BYTES]) -> Read {
    read(layout, object, into.cast(), NAME_BYTES as u64, false)
}

/// Reads a str up to its end: of a long path the end tells more.
#[inline(always)]
pub(crate) fn read_end(layout: &Layout, object: u64, into: *mut [u8; FILE_BYTES]) -> Read {
    read(layout, object, into.cast(), FILE_BYTES as u64, true)
}

#[inline(always)]
fn read(layout: &Layout, object: u64, into: *mut u8, room: u64, end: bool) -> Read {
    let Some(length) = read_user::<u64>(object + u64::from(layout.str_length)) else { return NOTHING };
    let Some(state) = read_user::<u32>(object + u64::from(layout.str_state)) else { return NOTHING };
    // From the `kind` field on: kind (3 bits), compact, ascii; the same in 3.8 to 3.15.
    let state = state >> (u32::from(layout.str_kind_shift) & 31);
    let (width, compact, ascii) = (u64::from(state & 7), state & 8 != 0, state & 16 != 0);
    if !compact || (width != 1 && width != 2 && width != 4) || length > u64::from(u32::MAX) {
        return NOTHING;
    }
    let characters = object + u64::from(if ascii { layout.str_ascii } else { layout.str_compact });
    let bytes = length * width;
    let cut = bytes > room;
    let (start, mut size) = match (cut, end) {
        (false, _) => (characters, bytes),
        (true, false) => (characters, room),
        (true, true) => (characters + bytes - room, room),
    };
    // The verifier must see the bound at the call, on the very register that is passed.
    size = core::hint::black_box(size);
    if size > room {
        size = room;
    }
    // SAFETY: the helper checks the source and writes at most `room` bytes.
    let failed = unsafe { bpf_probe_read_user(into.cast(), size as u32, start as *const _) };
    if failed != 0 {
        return NOTHING;
    }
    Read { bytes: size as u16, width: width as u8, cut }
}
