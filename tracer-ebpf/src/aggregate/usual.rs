//! The usual events of frames, taken in without a call: a function calls another one, and a call ends that is on top of
//! the stack. Nothing has to be looked for then, and nothing repaired. What they do to a stack is what
//! [`super::stack::carry_out`] would do.

use tracer_common::{
    aggregate::{OpenFrame, Stack, stack_state},
    limits::{STACK_FRAMES, STACK_PAGE_FRAMES},
    record::{flag, kind},
};

use super::{
    frames::{entry, frame_bucket, on_page, page, row_bucket},
    stack::{self, Began},
    sums,
};
use crate::ring::FrameEvent;

/// Takes an event in if it is such a one. The stack is known, and as of the event's time.
#[inline(always)]
pub(super) fn take(stack: &mut Stack, event: &FrameEvent) -> bool {
    match event.kind {
        kind::START | kind::CALLED => begin(stack, event),
        kind::END | kind::YIELD => end(stack, event),
        _ => false,
    }
}

/// A frame begins that is not on the stack, on top of what called it.
#[inline(always)]
fn begin(stack: &mut Stack, event: &FrameEvent) -> bool {
    let at = stack.depth;
    // Frame and caller are on one page, which is there.
    if at >= STACK_FRAMES || at.is_multiple_of(STACK_PAGE_FRAMES) {
        return false;
    }
    let Some(page) = page(stack, at) else { return false };
    let caller = on_page(page, at - 1);
    if caller.frame == event.frame || kind::has_caller(event.kind) && event.caller != caller.frame {
        return false;
    }
    let first = u32::from(stack.by_frame[frame_bucket(event.frame)]);
    if !is_absent(stack, first, |entry| (entry.frame == event.frame, entry.next_by_frame)) {
        return false;
    }
    let row = event.function;
    let first = u32::from(stack.by_row[row_bucket(row)]);
    let recursive = !is_absent(stack, first, |entry| (entry.row == row, entry.next_by_row));
    if recursive && entry(stack, first - 1).is_none_or(|entry| entry.row != row) {
        return false;
    }
    let Some(sums) = sums::of_row(row) else { return false };
    caller.calls_made += 1;
    let entry = on_page(page, at);
    entry.frame = event.frame;
    entry.row = row;
    stack.state &= !stack_state::RAISED;
    stack::open(stack, entry, at, recursive);
    sums::count_begun(sums, if event.flags & flag::RESUMED != 0 { Began::Resumed } else { Began::Call });
    true
}

/// Is what is looked for surely not in a bucket, by the first entry of it? `look` says whether that is it, and which is
/// the next one.
#[inline(always)]
fn is_absent(stack: &Stack, first: u32, look: impl Fn(&OpenFrame) -> (bool, u16)) -> bool {
    first == 0 || entry(stack, first - 1).is_some_and(|entry| look(entry) == (false, 0))
}

/// The frame on top ends.
#[inline(always)]
fn end(stack: &mut Stack, event: &FrameEvent) -> bool {
    let depth = stack.depth;
    // Frame and caller are on one page.
    if depth == 0 || (depth - 1).is_multiple_of(STACK_PAGE_FRAMES) {
        return false;
    }
    let at = depth - 1;
    let Some(page) = page(stack, at) else { return false };
    let entry = on_page(page, at);
    if entry.frame != event.frame {
        return false;
    }
    stack.state &= !stack_state::RAISED;
    let now = stack.now;
    stack::close(stack, entry, Some(on_page(page, at - 1)), at, &now, sums::of_row(entry.row));
    true
}
