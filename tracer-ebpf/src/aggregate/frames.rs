//! The open frames of a thread: where they are, and how one is found.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use tracer_common::{
    aggregate::{BUCKETS, OpenFrame, Stack, StackPage},
    limits::{STACK_FRAMES, STACK_PAGE_FRAMES},
    state::total,
};

use crate::{
    maps::{FREE_STACK_PAGES, STACK_PAGES, STACKS, free_index, stack_pages_limit},
    verifier::hidden,
};

/// The page that a place lies on, if there is one.
#[inline(always)]
pub(super) fn page(stack: &Stack, at: u32) -> Option<*mut StackPage> {
    let number = stack.pages[hidden((at / STACK_PAGE_FRAMES) as usize) & (stack.pages.len() - 1)];
    if number == 0 { None } else { STACK_PAGES.get_ptr_mut(u32::from(number)) }
}

/// The entry at a place on a page.
#[inline(always)]
pub(super) fn on_page(page: *mut StackPage, at: u32) -> &'static mut OpenFrame {
    let at = hidden(at as usize) & (STACK_PAGE_FRAMES as usize - 1);
    // SAFETY: a live map value; a page belongs to one stack, which only its thread changes.
    unsafe { &mut (*page).frames[at] }
}

/// The entry at a place that is in use.
#[inline(always)]
pub(super) fn entry(stack: &Stack, at: u32) -> Option<&'static mut OpenFrame> {
    page(stack, at).map(|page| on_page(page, at))
}

#[inline(always)]
pub(super) fn top(stack: &Stack) -> Option<&'static mut OpenFrame> {
    if stack.depth == 0 { None } else { entry(stack, stack.depth - 1) }
}

/// The entry at a place, with its page if that is missing; `None`: there is none left, or the stack is too deep.
#[inline(always)]
pub(super) fn room(stack: &mut Stack, at: u32) -> Option<&'static mut OpenFrame> {
    if at >= STACK_FRAMES {
        return None;
    }
    let page = hidden((at / STACK_PAGE_FRAMES) as usize) & (stack.pages.len() - 1);
    if stack.pages[page] == 0 {
        let number = free_index(total::NEW_STACK_PAGES, stack_pages_limit(), &FREE_STACK_PAGES)?;
        stack.pages[page] = number as u16;
    }
    entry(stack, at)
}

#[inline(always)]
pub(super) fn give_back(stack: &mut Stack, page: u32) {
    let page = hidden(page as usize);
    if page < stack.pages.len() {
        let number = u32::from(stack.pages[page]);
        if number != 0 {
            stack.pages[page] = 0;
            let _ = FREE_STACK_PAGES.push(number, 0);
        }
    }
}

/// Gives back what an empty stack still has.
#[inline(always)]
pub(super) fn give_pages_back(stack: &mut Stack) {
    give_back(stack, 1);
    give_back(stack, 0);
}

/// A place in [`Stack::by_frame`].
#[inline(always)]
pub(super) fn frame_bucket(frame: u64) -> usize {
    hidden((frame.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize) & (BUCKETS - 1)
}

/// A place in [`Stack::by_row`].
#[inline(always)]
pub(super) fn row_bucket(row: u32) -> usize {
    hidden(row as usize) & (BUCKETS - 1)
}

/// Place and one of a frame; 0: it is not on the stack.
#[inline(always)]
pub(super) fn place(slot: u32, stack: &Stack, frame: u64) -> u32 {
    let first = u32::from(stack.by_frame[frame_bucket(frame)]);
    if first == 0 { 0 } else { find(slot, first, frame, u32::MAX) }
}

/// Is a frame of this function open?
#[inline(always)]
pub(super) fn holds(slot: u32, stack: &Stack, row: u32) -> bool {
    let first = u32::from(stack.by_row[row_bucket(row)]);
    first != 0 && find(slot, first, 0, row) != 0
}

struct Search {
    slot: u32,
    /// Place and one of the entry to look at; 0: none is left.
    place: u32,
    frame: u64,
    /// `u32::MAX`: the frame is looked for.
    row: u32,
    found: u32,
}

/// Looks through a bucket from an entry on. Place and one of what was found; 0: nothing.
// Global: verified once, by itself.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn find(slot: u32, first: u32, frame: u64, row: u32) -> u32 {
    let mut search = Search { slot, place: first, frame, row, found: 0 };
    // Nearly always the first entry is the one, or the only one.
    if look(&mut search) == 0 {
        // SAFETY: the callback has the signature that the helper calls, and `search` outlives the call.
        unsafe { bpf_loop(STACK_FRAMES, look_further as *mut c_void, (&raw mut search).cast(), 0) };
    }
    search.found
}

#[inline(never)]
extern "C" fn look_further(_index: u32, search: *mut Search) -> u64 {
    // SAFETY: the helper passes on what `find` gave it.
    look(unsafe { &mut *search })
}

/// Looks at one entry. Returns 1 to stop.
#[inline(always)]
fn look(search: &mut Search) -> u64 {
    if search.place == 0 {
        return 1;
    }
    let Some(stack) = STACKS.get_ptr(search.slot) else { return 1 };
    // SAFETY: a live map value of the running thread.
    let Some(entry) = entry(unsafe { &*stack }, search.place - 1) else { return 1 };
    let by_row = search.row != u32::MAX;
    if if by_row { entry.row == search.row } else { entry.frame == search.frame } {
        search.found = search.place;
        return 1;
    }
    search.place = u32::from(if by_row { entry.next_by_row } else { entry.next_by_frame });
    u64::from(search.place == 0)
}
