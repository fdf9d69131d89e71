//! Adding calls up in the kernel: a stack for each thread, sums for each function. The rules are those by which the
//! loader makes sums of the stream (`stacks.rs`, `pipeline/thread.rs` and `charge.rs` there), so that the numbers are
//! the same.

mod frames;
pub(crate) mod memory;
pub(crate) mod rows;
mod stack;
mod step;
mod sums;
mod usual;

use core::ptr;

use tracer_common::{
    aggregate::{Amount, FrameCounts, Stack, stack_state},
    record::{flag, kind},
    state::{Thread, total},
};

pub(crate) use self::stack::put;
use self::stack::{Began, Ended};
use crate::{
    chain,
    maps::{STACKS, THREADS, TOTALS, streaming},
    ring::{ChainFrom, FrameEvent},
};

/// Where [`event`] has the parts of what happened, besides the function in the lowest 32 bits.
const KIND_AT: u32 = 32;
const FLAGS_AT: u32 = 40;
/// An answer of [`frame_event`]: nothing is known of the stack yet. It is marked as being changed.
const UNKNOWN: u32 = 2;

/// Takes in an event of a frame.
#[inline(always)]
pub(crate) fn take(slot: u32, thread: &Thread, event: FrameEvent, from: ChainFrom) {
    let Some(stack) = stack_of(slot) else { return };
    enter(stack);
    let usual = stack.state & stack_state::KNOWN != 0 && !is_over(event.time_ns) && {
        advance(thread, stack, event.time_ns);
        usual::take(stack, &event)
    };
    if usual {
        count(stack, event.kind, event.flags);
        leave(stack);
        return;
    }
    let FrameEvent { time_ns, frame, caller, .. } = event;
    let what =
        u64::from(event.function) | u64::from(event.kind) << KIND_AT | u64::from(event.flags) << FLAGS_AT;
    if frame_event(slot, time_ns, frame, what, caller) == UNKNOWN {
        if event.kind == kind::YIELD && chain::is_cut_off(slot, frame) != 0 {
            if let Some(stack) = stack_of(slot) {
                leave(stack);
            }
            return;
        }
        let skip = match from {
            ChainFrom::Frame(_) => 0,
            ChainFrom::Caller(_) => 1,
        };
        // Not from within `frame_event`: before Linux 6.13 the stacks of all functions under way share 512 bytes.
        open(slot, time_ns);
        let found = chain::hold(slot, time_ns, frame, skip);
        take_open(slot, time_ns, found);
        frame_event(slot, time_ns, frame, what, caller);
    }
}

/// An event of a frame.
struct Event {
    kind: u8,
    flags: u8,
    row: u32,
    frame: u64,
    caller: u64,
}

/// Any event, when the stack has been entered.
// Global: verified once, by itself. What is called here changes the stack by its slot: it is looked up again after that.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn frame_event(slot: u32, time_ns: u64, frame: u64, what: u64, caller: u64) -> u32 {
    let Some(stack) = stack_of(slot) else { return 0 };
    if !is_over(time_ns) {
        if stack.state & stack_state::KNOWN == 0 {
            return UNKNOWN;
        }
        let (kind, flags) = ((what >> KIND_AT) as u8, (what >> FLAGS_AT) as u8);
        take_event(slot, time_ns, &Event { kind, flags, row: what as u32, frame, caller });
    }
    if let Some(stack) = stack_of(slot) {
        leave(stack);
    }
    1
}

#[inline(always)]
fn take_event(slot: u32, time_ns: u64, event: &Event) {
    let (Some(thread), Some(stack)) = (THREADS.get_ptr(slot), stack_of(slot)) else { return };
    // SAFETY: only this thread's own probes and the switch that takes it off its CPU write to its slot.
    advance(unsafe { &*thread }, stack, time_ns);
    count(stack, event.kind, event.flags);
    let step = step::step(slot, stack, event);
    stack::close_unseen(slot, stack.state, stack.depth, &step);
    if let Some(stack) = stack_of(slot) {
        stack::carry_out(slot, stack, event, &step);
    }
}

/// Counts an event, and notes what its source does not see.
#[inline(always)]
fn count(stack: &mut Stack, kind: u8, flags: u8) {
    stack.counts.events += 1;
    if kind::has_caller(kind) {
        stack.state |= if flags & flag::SUSPENDED_UNSEEN != 0 {
            stack_state::MISSES_SUSPENSIONS
        } else {
            stack_state::MISSES_UNWINDS
        };
    }
}

/// The stack of the running thread.
#[inline(always)]
fn stack_of(slot: u32) -> Option<&'static mut Stack> {
    // SAFETY: a live map value, which only this thread's own probes write to.
    STACKS.get_ptr_mut(slot).map(|stack| unsafe { &mut *stack })
}

/// Says that a stack is being changed: the loader waits for the end of that before it takes it over.
#[inline(always)]
fn enter(stack: &mut Stack) {
    // SAFETY: a field of a live map value.
    unsafe { ptr::write_volatile(&raw mut stack.busy, 1) };
}

#[inline(always)]
fn leave(stack: &mut Stack) {
    // SAFETY: as above.
    unsafe { ptr::write_volatile(&raw mut stack.busy, 0) };
}

/// Is this time not part of the recording any more?
#[inline(always)]
fn is_over(time_ns: u64) -> bool {
    // SAFETY: a live map value; volatile because the loader writes it.
    TOTALS.get_ptr(total::LAST_NS).is_none_or(|last| time_ns > unsafe { ptr::read_volatile(last) })
}

/// A thread is first heard of.
#[inline(always)]
pub(crate) fn open(slot: u32, time_ns: u64) {
    if let Some(stack) = STACKS.get_ptr_mut(slot) {
        // SAFETY: a live map value of the running thread, or of one that has not run yet.
        let stack = unsafe { &mut *stack };
        if stack.now.wall_ns == 0 {
            stack.now.wall_ns = time_ns;
        }
    }
}

/// Makes a slot's stack one of a thread of which nothing is known. It is empty: whoever had it has left it so.
#[inline(always)]
pub(crate) fn reset(slot: u32) {
    if let Some(stack) = STACKS.get_ptr_mut(slot) {
        // SAFETY: a live map value that nobody else uses yet: the slot was free.
        let stack = unsafe { &mut *stack };
        stack.now = Amount::default();
        stack.postponed_pages = 0;
        stack.counts = FrameCounts::default();
        stack.state = 0;
    }
}

/// Goes on to the time of an event, never back. Time off CPU counts from the thread's slot on, its calls from when it was
/// first heard of: none is charged more than it took, the rest waits for the next.
#[inline(always)]
fn advance(thread: &Thread, stack: &mut Stack, time_ns: u64) {
    let elapsed = time_ns.saturating_sub(stack.now.wall_ns);
    stack.now.wall_ns += elapsed;
    let due = thread.off_cpu_at_event_ns.saturating_sub(stack.now.off_cpu_ns);
    stack.now.off_cpu_ns += if due < elapsed { due } else { elapsed };
    // Where events are sent, too, what was sent with them.
    stack.now.faults = if streaming() { thread.sent_faults } else { thread.faults };
}

/// Makes a thread's stack what the interpreter has: frames that [`chain::hold`] has put down.
// Global: verified once, by itself.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn take_open(slot: u32, time_ns: u64, found: u32) -> u32 {
    let (Some(thread), Some(stack)) = (THREADS.get_ptr(slot), stack_of(slot)) else { return 0 };
    // SAFETY: as above.
    let thread = unsafe { &*thread };
    let first = stack.state & stack_state::SEEN == 0;
    if !first {
        advance(thread, stack, time_ns);
        stack.counts.repaired += u64::from(found);
    }
    stack::take_held(slot, found, if first { Began::OpenAtAttach } else { Began::Unseen });
    if let Some(stack) = stack_of(slot) {
        stack.state |= stack_state::KNOWN | stack_state::SEEN;
        memory::settle(thread.process, stack);
    }
    1
}

/// The running thread has ended, or its process has called exec: so have all its calls.
// Global: verified once, by itself.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn end_stack(slot: u32, time_ns: u64) -> u32 {
    let (Some(thread), Some(stack)) = (THREADS.get_ptr(slot), stack_of(slot)) else { return 0 };
    // SAFETY: as above.
    let thread = unsafe { &*thread };
    enter(stack);
    if !is_over(time_ns) {
        memory::settle(thread.process, stack);
        advance(thread, stack, time_ns);
        stack::close_down_to(slot, 0, Ended::WithThread as u32);
        if let Some(stack) = stack_of(slot) {
            frames::give_pages_back(stack);
            stack.state &= !stack_state::KNOWN;
            sums::add_counts(thread.process, stack);
        }
    }
    if let Some(stack) = stack_of(slot) {
        leave(stack);
    }
    1
}
