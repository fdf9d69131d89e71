//! Reading str objects of the interpreter.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_probe_read_user};
use tracer_common::{
    layout::Layout,
    limits::{FILE_BYTES, NAME_BYTES},
};

use crate::{kernel::read_user, verifier::forgotten};

/// What was read of a str object.
#[derive(Clone, Copy)]
pub(crate) struct Read {
    pub(crate) bytes: u16,
    /// Bytes per character.
    pub(crate) width: u8,
    /// 1: a part of it was left out.
    pub(crate) cut: u8,
}

const NOTHING: Read = Read { bytes: 0, width: 1, cut: 0 };

/// Where the characters of a str object lie, or the part of them that is kept.
#[derive(Clone, Copy)]
pub(crate) struct Characters {
    pub(crate) address: u64,
    pub(crate) bytes: u64,
    /// Bytes per character.
    pub(crate) width: u8,
    /// 1: a part of it was left out.
    pub(crate) cut: u8,
}

const NONE: Characters = Characters { address: 0, bytes: 0, width: 1, cut: 0 };

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
    let kept = bytes.min(room);
    let left_out = bytes - kept;
    let cut = u8::from(left_out != 0);
    Characters {
        address: if end { address + left_out } else { address },
        bytes: kept,
        width: width as u8,
        cut,
    }
}

/// Reads a str from its beginning.
#[inline(always)]
pub(crate) fn read_beginning(layout: &Layout, object: u64, into: *mut [u8; NAME_BYTES]) -> Read {
    read::<NAME_BYTES, false>(layout, object, into.cast())
}

/// Reads a str up to its end.
#[inline(always)]
pub(crate) fn read_end(layout: &Layout, object: u64, into: *mut [u8; FILE_BYTES]) -> Read {
    read::<FILE_BYTES, true>(layout, object, into.cast())
}

// A function of its own: what it keeps on the stack is gone when it returns.
#[inline(never)]
fn read<const ROOM: usize, const END: bool>(layout: &Layout, object: u64, into: *mut u8) -> Read {
    let from = characters(layout, object, ROOM as u64, END);
    // Any number will do of which the verifier knows nothing.
    let unknown = bpf_get_current_pid_tgid();
    let same = |number: u64| forgotten(number, unknown);
    let (width, cut) = (same(u64::from(from.width)) as u8, same(u64::from(from.cut)) as u8);
    // The verifier must see the bound at the call, on the very register that is passed.
    let mut size = same(from.bytes);
    if size > ROOM as u64 {
        size = ROOM as u64;
    }
    // SAFETY: the helper checks the source and writes at most `ROOM` bytes.
    let failed = unsafe { bpf_probe_read_user(into.cast(), size as u32, same(from.address) as *const _) };
    if failed != 0 {
        return NOTHING;
    }
    Read { bytes: size as u16, width, cut }
}
