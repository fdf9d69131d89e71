//! Reading str objects of the interpreter.

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use tracer_common::{
    layout::Layout,
    limits::{FILE_BYTES, NAME_BYTES},
};

use crate::{kernel::read_user, verifier::hidden};

/// What was read of a str object.
#[derive(Clone, Copy)]
pub(crate) struct Read {
    pub(crate) bytes: u16,
    /// Bytes per character.
    pub(crate) width: u8,
    pub(crate) cut: bool,
}

const NOTHING: Read = Read { bytes: 0, width: 1, cut: false };

/// Where the characters of a str object lie, or the part of them that is kept.
#[derive(Clone, Copy)]
pub(crate) struct Characters {
    pub(crate) address: u64,
    pub(crate) bytes: u64,
    /// Bytes per character.
    pub(crate) width: u8,
    pub(crate) cut: bool,
}

const NONE: Characters = Characters { address: 0, bytes: 0, width: 1, cut: false };

/// The characters of a str from its beginning, at most so many bytes.
#[inline(always)]
pub(crate) fn beginning(layout: &Layout, object: u64, room: u64) -> Characters {
    characters(layout, object, room, false)
}

/// The characters of a str up to its end: of a long path the end tells more.
#[inline(always)]
pub(crate) fn end(layout: &Layout, object: u64, room: u64) -> Characters {
    characters(layout, object, room, true)
}

#[inline(always)]
fn characters(layout: &Layout, object: u64, room: u64, end: bool) -> Characters {
    let Some(length) = read_user::<u64>(object + u64::from(layout.str_length)) else { return NONE };
    let Some(state) = read_user::<u32>(object + u64::from(layout.str_state)) else { return NONE };
    // From the `kind` field on: kind (3 bits), compact, ascii; the same in 3.8 to 3.15.
    let state = state >> (u32::from(layout.str_kind_shift) & 31);
    let (width, compact, ascii) = (u64::from(state & 7), state & 8 != 0, state & 16 != 0);
    if !compact || (width != 1 && width != 2 && width != 4) || length > u64::from(u32::MAX) {
        return NONE;
    }
    let address = object + u64::from(if ascii { layout.str_ascii } else { layout.str_compact });
    let bytes = length * width;
    let cut = bytes > room;
    let (address, bytes) = match (cut, end) {
        (false, _) => (address, bytes),
        (true, false) => (address, room),
        (true, true) => (address + bytes - room, room),
    };
    Characters { address, bytes, width: width as u8, cut }
}

/// Reads a str from its beginning.
#[inline(always)]
pub(crate) fn read_beginning(layout: &Layout, object: u64, into: *mut [u8; NAME_BYTES]) -> Read {
    read(beginning(layout, object, NAME_BYTES as u64), into.cast(), NAME_BYTES as u64)
}

/// Reads a str up to its end.
#[inline(always)]
pub(crate) fn read_end(layout: &Layout, object: u64, into: *mut [u8; FILE_BYTES]) -> Read {
    read(end(layout, object, FILE_BYTES as u64), into.cast(), FILE_BYTES as u64)
}

#[inline(always)]
fn read(from: Characters, into: *mut u8, room: u64) -> Read {
    // The verifier must see the bound at the call, on the very register that is passed.
    let mut size = hidden(from.bytes as usize) as u64;
    if size > room {
        size = room;
    }
    // SAFETY: the helper checks the source and writes at most `room` bytes.
    let failed = unsafe { bpf_probe_read_user(into.cast(), size as u32, from.address as *const _) };
    if failed != 0 {
        return NOTHING;
    }
    Read { bytes: size as u16, width: from.width, cut: from.cut }
}
