//! What is done to a stack: frames begin, end, and are found. Frames can end unseen: some ways to leave one have no
//! probe. Frame addresses are used again only after the frame has ended, so an address that begins again, or an event of a
//! frame further out, proves that what lay above is over.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use tracer_common::{
    aggregate::{Amount, FunctionSums, OpenFrame, Stack, stack_state},
    limits::{STACK_FRAMES, STACK_PAGE_FRAMES},
};

use super::{
    Event,
    frames::{entry, frame_bucket, give_back, holds, room, row_bucket, top},
    step::{Step, Then},
    sums,
};
use crate::maps::STACKS;

/// How a frame began.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Began {
    Call,
    Resumed,
    /// By an exception that was thrown into it.
    Thrown,
    OpenAtAttach,
    Unseen,
}

/// How frames ended.
#[derive(Clone, Copy)]
pub(super) enum Ended {
    /// By an event of their own.
    ByItself,
    /// Unseen, though the source should see all.
    Unseen,
    /// Suspended, where the source does not see that.
    SuspendedUnseen,
    /// Left by an exception, where the source does not see that.
    RaisedUnseen,
    /// With their thread or program.
    WithThread,
}

/// Closes what has ended unseen.
#[inline(always)]
pub(super) fn close_unseen(slot: u32, state: u32, depth: u32, step: &Step) {
    if step.keep < depth {
        let ended = if state & stack_state::MISSES_SUSPENSIONS != 0 {
            Ended::SuspendedUnseen
        } else if state & stack_state::MISSES_UNWINDS != 0 {
            Ended::RaisedUnseen
        } else {
            Ended::Unseen
        };
        close_down_to(slot, step.keep, ended as u32);
    }
}

/// Does the rest.
#[inline(always)]
pub(super) fn carry_out(slot: u32, stack: &mut Stack, event: &Event, step: &Step) {
    match step.then {
        Then::Push(began) => {
            push(slot, stack, event.frame, event.row, began);
            if began == Began::Thrown {
                mark_raised(stack, event.frame);
            }
        }
        Then::Close => close_top(stack, Ended::ByItself as u32),
        Then::Mark => mark_raised(stack, event.frame),
        Then::Duplicate => stack.counts.duplicates += 1,
        Then::Unmatched => stack.counts.unmatched_ends += 1,
    }
}

#[inline(always)]
fn mark_raised(stack: &mut Stack, frame: u64) {
    if top(stack).is_some_and(|top| top.frame == frame) {
        stack.raised_at = stack.now;
        stack.state |= stack_state::RAISED;
    }
}

#[inline(always)]
fn push(slot: u32, stack: &mut Stack, frame: u64, row: u32, began: Began) {
    if let Some(top) = top(stack) {
        top.calls_made += 1;
    }
    stack.state &= !stack_state::RAISED;
    let at = stack.depth;
    if let Some(entry) = room(stack, at) {
        entry.frame = frame;
        entry.row = row;
        link(slot, stack, at, began);
    } else if began != Began::Thrown {
        // An exception that reaches a frame which is not on the stack may have reached one that found no room before.
        stack.counts.untimed += 1;
        if let Some(sums) = sums::of_row(row) {
            sums::count_begun(sums, began);
            // SAFETY: a live map value, aligned to 8.
            unsafe { sums::add(&raw mut (*sums).cut, 1) };
        }
    }
}

/// Makes the entry at the place above the top the top one; frame and row are there.
#[inline(always)]
fn link(slot: u32, stack: &mut Stack, at: u32, began: Began) {
    let Some(entry) = entry(stack, at) else { return };
    let recursive = holds(slot, stack, entry.row);
    open(stack, entry, at, recursive);
    if let Some(sums) = sums::of_row(entry.row) {
        sums::count_begun(sums, began);
    }
}

/// Makes an entry, in which frame and row stand, the top of the stack, which is as high as `at`.
#[inline(always)]
pub(super) fn open(stack: &mut Stack, entry: &mut OpenFrame, at: u32, recursive: bool) {
    sums::set(&mut entry.from, &stack.now);
    sums::clear(&mut entry.callees);
    entry.calls_made = 0;
    let bucket = frame_bucket(entry.frame);
    entry.next_by_frame = stack.by_frame[bucket];
    stack.by_frame[bucket] = (at + 1) as u16;
    entry.recursive = u32::from(recursive);
    if !recursive {
        let bucket = row_bucket(entry.row);
        entry.next_by_row = stack.by_row[bucket];
        stack.by_row[bucket] = (at + 1) as u16;
    }
    stack.depth = at + 1;
}

/// Takes the top frame off, which is at `at`: it has used what the thread has from its beginning to `now`.
#[inline(always)]
pub(super) fn close(
    stack: &mut Stack,
    entry: &OpenFrame,
    caller: Option<&mut OpenFrame>,
    at: u32,
    now: &Amount,
    sums: Option<*mut FunctionSums>,
) {
    let whole = now.less(&entry.from);
    if let Some(sums) = sums {
        // SAFETY: a live map value.
        unsafe {
            let own = whole.less(&entry.callees);
            sums::add_amount(&raw mut (*sums).own, &own);
            if entry.recursive == 0 {
                sums::add_amount(&raw mut (*sums).beyond_own, &entry.callees);
            } else {
                sums::add_amount(&raw mut (*sums).beyond_own, &Amount::default().less(&own));
            }
            sums::add(&raw mut (*sums).calls_made, entry.calls_made);
        }
    }
    if let Some(caller) = caller {
        caller.callees.wall_ns += whole.wall_ns;
        caller.callees.off_cpu_ns += whole.off_cpu_ns;
        caller.callees.faults += whole.faults;
        caller.callees.rss_pages += whole.rss_pages;
    }
    stack.by_frame[frame_bucket(entry.frame)] = entry.next_by_frame;
    if entry.recursive == 0 {
        stack.by_row[row_bucket(entry.row)] = entry.next_by_row;
    }
    stack.depth = at;
}

/// Takes the top frame off.
#[inline(always)]
fn close_top(stack: &mut Stack, ended: u32) {
    if stack.depth == 0 {
        return;
    }
    let at = stack.depth - 1;
    let raised = stack.state & stack_state::RAISED != 0;
    stack.state &= !stack_state::RAISED;
    let Some(entry) = entry(stack, at) else { return };
    let caller = if at == 0 { None } else { self::entry(stack, at - 1) };
    // An exception that was not caught at once leaves the frame right after it has reached it.
    let late = raised && ended == Ended::RaisedUnseen as u32;
    let sums = sums::of_row(entry.row);
    if late {
        let raised_at = stack.raised_at;
        close(stack, entry, caller, at, &raised_at, sums);
    } else {
        let now = stack.now;
        close(stack, entry, caller, at, &now, sums);
    }
    if let Some(sums) = sums {
        let by_itself = ended != Ended::Unseen as u32 && ended != Ended::WithThread as u32;
        // SAFETY: a live map value; all fields are aligned to 8.
        unsafe {
            sums::add(&raw mut (*sums).cut, u64::from(!by_itself));
            sums::add(&raw mut (*sums).late_ends, u64::from(by_itself && ended != Ended::ByItself as u32));
        }
    }
    if at.is_multiple_of(STACK_PAGE_FRAMES) {
        // One page is kept, so that calls back and forth across its beginning do not pay for it each time.
        give_back(stack, at / STACK_PAGE_FRAMES + 1);
    }
}

struct Closing {
    slot: u32,
    keep: u32,
    ended: u32,
    closed: u32,
}

/// Takes all frames but so many off.
// Global: verified once, by itself.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn close_down_to(slot: u32, keep: u32, ended: u32) -> u32 {
    let mut closing = Closing { slot, keep, ended, closed: 0 };
    // SAFETY: the callback has the signature that the helper calls, and `closing` outlives the call.
    unsafe { bpf_loop(STACK_FRAMES, close_one as *mut c_void, (&raw mut closing).cast(), 0) };
    if ended == Ended::Unseen as u32
        && let Some(stack) = STACKS.get_ptr_mut(slot)
    {
        // SAFETY: a live map value of the running thread.
        unsafe { (*stack).counts.repaired += u64::from(closing.closed) };
    }
    0
}

/// Returns 1 to stop.
#[inline(never)]
extern "C" fn close_one(_index: u32, closing: *mut Closing) -> u64 {
    // SAFETY: the helper passes on what `close_down_to` gave it.
    let closing = unsafe { &mut *closing };
    let Some(stack) = STACKS.get_ptr_mut(closing.slot) else { return 1 };
    // SAFETY: a live map value of the running thread.
    let stack = unsafe { &mut *stack };
    if stack.depth <= closing.keep {
        return 1;
    }
    close_top(stack, closing.ended);
    closing.closed += 1;
    0
}

/// Puts down the frame that is so many further out than the first one found; [`take_held`] makes a stack of them.
/// False: no room.
#[inline(always)]
pub(crate) fn put(slot: u32, found: u32, frame: u64, row: u32) -> bool {
    let Some(stack) = STACKS.get_ptr_mut(slot) else { return false };
    // SAFETY: a live map value of the running thread.
    let stack = unsafe { &mut *stack };
    let Some(entry) = room(stack, found) else {
        stack.counts.untimed += 1;
        return false;
    };
    entry.frame = frame;
    entry.row = row;
    true
}

struct Turning {
    slot: u32,
    found: u32,
    attach: u32,
}

/// Makes a stack of frames that were put down, innermost first.
#[inline(always)]
pub(super) fn take_held(slot: u32, found: u32, began: Began) {
    let mut turning = Turning { slot, found, attach: u32::from(began == Began::OpenAtAttach) };
    // SAFETY: the callback has the signature that the helper calls, and `turning` outlives the call.
    unsafe { bpf_loop(found, take_one as *mut c_void, (&raw mut turning).cast(), 0) };
}

/// The entries change places two by two, so that the outermost is the first; each is then in its place when it is its
/// turn. Returns 1 to stop.
#[inline(never)]
extern "C" fn take_one(at: u32, turning: *mut Turning) -> u64 {
    // SAFETY: the helper passes on what `take_held` gave it.
    let turning = unsafe { &mut *turning };
    let Some(stack) = STACKS.get_ptr_mut(turning.slot) else { return 1 };
    // SAFETY: a live map value of the running thread.
    let stack = unsafe { &mut *stack };
    let mirrored = turning.found - 1 - at;
    if at < mirrored
        && let (Some(outer), Some(inner)) = (entry(stack, at), entry(stack, mirrored))
    {
        let (frame, row) = (outer.frame, outer.row);
        (outer.frame, outer.row) = (inner.frame, inner.row);
        (inner.frame, inner.row) = (frame, row);
    }
    link(turning.slot, stack, at, if turning.attach != 0 { Began::OpenAtAttach } else { Began::Unseen });
    0
}
