//! What an event means for a stack.

use tracer_common::{
    aggregate::Stack,
    record::{flag, kind},
};

use super::{
    Event,
    frames::{place, top},
    stack::Began,
};

/// What an event means: frames beyond so many have ended unseen, then one thing more.
pub(super) struct Step {
    pub(super) keep: u32,
    pub(super) then: Then,
}

pub(super) enum Then {
    Push(Began),
    Close,
    /// Note the exception in the top frame.
    Mark,
    /// The event says again what is known.
    Duplicate,
    /// The frame is not on the stack.
    Unmatched,
}

/// What an event means for a stack.
#[inline(always)]
pub(super) fn step(slot: u32, stack: &Stack, event: &Event) -> Step {
    let &Event { kind, frame, row, .. } = event;
    let top = top(stack);
    let is_top = top.as_ref().is_some_and(|top| top.frame == frame);
    if is_top && (kind == kind::END || kind == kind::YIELD) {
        return Step { keep: stack.depth, then: Then::Close };
    }
    if kind == kind::START && is_top && top.is_some_and(|top| top.row == row) {
        return Step { keep: stack.depth, then: Then::Duplicate };
    }
    let place = place(slot, stack, frame);
    let resumed = event.flags & flag::RESUMED != 0;
    match kind {
        kind::START => Step { keep: below(stack, place), then: Then::Push(began(resumed)) },
        kind::CALLED => {
            Step { keep: called(slot, stack, place, event.caller), then: Then::Push(began(resumed)) }
        }
        kind::END | kind::YIELD if place == 0 => Step { keep: stack.depth, then: Then::Unmatched },
        kind::END | kind::YIELD => Step { keep: place, then: Then::Close },
        // An exception reached a frame. One that is not on the stack was thrown into, which resumes it.
        kind::RAISE if place == 0 => Step { keep: stack.depth, then: Then::Push(Began::Thrown) },
        kind::THROWN if place == 0 || resumed => {
            Step { keep: called(slot, stack, place, event.caller), then: Then::Push(Began::Thrown) }
        }
        _ => Step { keep: place, then: Then::Mark },
    }
}

fn began(resumed: bool) -> Began {
    if resumed { Began::Resumed } else { Began::Call }
}

/// How many frames stay if the one at a place has ended; all if there is none.
fn below(stack: &Stack, place: u32) -> u32 {
    if place == 0 { stack.depth } else { place - 1 }
}

/// How many frames stay where one begins, or goes on, that was called by another one: what lies above that has ended.
#[inline(always)]
fn called(slot: u32, stack: &Stack, own: u32, caller: u64) -> u32 {
    let keep = below(stack, own);
    let callers = place(slot, stack, caller);
    if callers != 0 && callers < keep { callers } else { keep }
}
