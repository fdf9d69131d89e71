//! The open frames of a thread. Frames can end unseen: some ways to leave one have no probe. Frame addresses are used
//! again only after the frame has ended, so an address that begins again, or an event of a frame further out, proves
//! that what lay above is over.

use core::{ffi::c_void, hint::black_box};

use aya_ebpf::helpers::generated::bpf_loop;
use tracer_common::{
    aggregate::{Amount, BUCKETS, OpenFrame, Stack, stack_state},
    limits::{STACK_FRAMES, STACK_PAGE_FRAMES},
    record::{flag, kind},
    state::total,
};

use super::{Event, sums};
use crate::maps::{FREE_STACK_PAGES, STACK_PAGES, STACKS, free_index, stack_pages_limit};

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

/// What an event means: frames beyond so many have ended unseen, then one thing more.
pub(super) struct Step {
    keep: u32,
    then: Then,
}

enum Then {
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

/// The entry at a place that is in use.
#[inline(always)]
fn entry(stack: &Stack, at: u32) -> Option<&'static mut OpenFrame> {
    let page = stack.pages[black_box((at / STACK_PAGE_FRAMES) as usize) & (stack.pages.len() - 1)];
    if page == 0 {
        return None;
    }
    let page = STACK_PAGES.get_ptr_mut(u32::from(page))?;
    let at = black_box(at as usize) & (STACK_PAGE_FRAMES as usize - 1);
    // SAFETY: a live map value; a page belongs to one stack, which only its thread changes.
    Some(unsafe { &mut (*page).frames[at] })
}

#[inline(always)]
fn top(stack: &Stack) -> Option<&'static mut OpenFrame> {
    if stack.depth == 0 { None } else { entry(stack, stack.depth - 1) }
}

/// The entry at a place, with its page if that is missing; `None`: there is none left, or the stack is too deep.
#[inline(always)]
fn room(stack: &mut Stack, at: u32) -> Option<&'static mut OpenFrame> {
    if at >= STACK_FRAMES {
        return None;
    }
    let page = black_box((at / STACK_PAGE_FRAMES) as usize) & (stack.pages.len() - 1);
    if stack.pages[page] == 0 {
        let number = free_index(total::NEW_STACK_PAGES, stack_pages_limit(), &FREE_STACK_PAGES)?;
        stack.pages[page] = number as u16;
    }
    entry(stack, at)
}

/// A place in [`Stack::by_frame`].
#[inline(always)]
fn frame_bucket(frame: u64) -> usize {
    black_box((frame.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize) & (BUCKETS - 1)
}

/// A place in [`Stack::by_row`].
#[inline(always)]
fn row_bucket(row: u32) -> usize {
    black_box(row as usize) & (BUCKETS - 1)
}

/// Place and one of a frame; 0: it is not on the stack.
#[inline(always)]
fn place(slot: u32, stack: &Stack, frame: u64) -> u32 {
    let first = u32::from(stack.by_frame[frame_bucket(frame)]);
    if first == 0 { 0 } else { find(slot, first, frame, u32::MAX) }
}

/// Is a frame of this function open?
#[inline(always)]
fn holds(slot: u32, stack: &Stack, row: u32) -> bool {
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

/// Charges the function on top, which makes a call, with what was used since it was last charged.
#[inline(always)]
fn charge_caller(stack: &mut Stack) {
    if let Some(top) = top(stack)
        && let Some(sums) = sums::of_row(top.row)
    {
        // SAFETY: a live map value.
        unsafe {
            sums::add_used(&raw mut (*sums).own, &stack.charged, &stack.now);
        }
        top.calls_made += 1;
    }
    stack.charged = stack.now;
}

#[inline(always)]
fn push(slot: u32, stack: &mut Stack, frame: u64, row: u32, began: Began) {
    charge_caller(stack);
    stack.state &= !stack_state::RAISED;
    let at = stack.depth;
    if let Some(entry) = room(stack, at) {
        entry.frame = frame;
        entry.row = row;
        link(slot, stack, at, began);
    } else if began != Began::Thrown {
        // An exception that reaches a frame which is not on the stack may have reached one that found no room before.
        stack.counts.untimed += 1;
        count_begun(row, began);
        if let Some(sums) = sums::of_row(row) {
            // SAFETY: a live map value, aligned to 8.
            unsafe { sums::add(&raw mut (*sums).cut, 1) };
        }
    }
}

/// Makes the entry at the place above the top the top one; frame and row are there.
#[inline(always)]
fn link(slot: u32, stack: &mut Stack, at: u32, began: Began) {
    let Some(entry) = entry(stack, at) else { return };
    entry.from = stack.now;
    entry.calls_made = 0;
    let bucket = frame_bucket(entry.frame);
    entry.next_by_frame = stack.by_frame[bucket];
    stack.by_frame[bucket] = (at + 1) as u16;
    entry.recursive = u32::from(holds(slot, stack, entry.row));
    if entry.recursive == 0 {
        let bucket = row_bucket(entry.row);
        entry.next_by_row = stack.by_row[bucket];
        stack.by_row[bucket] = (at + 1) as u16;
    }
    stack.depth = at + 1;
    count_begun(entry.row, began);
}

#[inline(always)]
fn count_begun(row: u32, began: Began) {
    if let Some(sums) = sums::of_row(row) {
        // SAFETY: a live map value; all fields are aligned to 8.
        unsafe {
            let count = match began {
                Began::Call => &raw mut (*sums).calls,
                Began::Resumed | Began::Thrown => &raw mut (*sums).resumes,
                Began::OpenAtAttach => &raw mut (*sums).open_at_attach,
                Began::Unseen => &raw mut (*sums).found,
            };
            sums::add(count, 1);
        }
    }
}

/// Takes the top frame off.
#[inline(always)]
fn close_top(stack: &mut Stack, ended: u32) {
    if stack.depth == 0 {
        return;
    }
    let at = stack.depth - 1;
    stack.depth = at;
    let raised = stack.state & stack_state::RAISED != 0;
    stack.state &= !stack_state::RAISED;
    let Some(entry) = entry(stack, at) else { return };
    // An exception that was not caught at once leaves the frame right after it has reached it.
    let late = raised && ended == Ended::RaisedUnseen as u32;
    let now: Amount = if late { stack.raised_at } else { stack.now };
    if let Some(sums) = sums::of_row(entry.row) {
        let by_itself = ended != Ended::Unseen as u32 && ended != Ended::WithThread as u32;
        // SAFETY: a live map value; all fields are aligned to 8.
        unsafe {
            sums::add_used(&raw mut (*sums).own, &stack.charged, &now);
            if entry.recursive == 0 {
                sums::add_used(&raw mut (*sums).cumulative, &entry.from, &now);
            }
            sums::add(&raw mut (*sums).calls_made, entry.calls_made);
            sums::add(&raw mut (*sums).cut, u64::from(!by_itself));
            sums::add(&raw mut (*sums).late_ends, u64::from(by_itself && ended != Ended::ByItself as u32));
        }
    }
    stack.charged = now;
    stack.by_frame[frame_bucket(entry.frame)] = entry.next_by_frame;
    if entry.recursive == 0 {
        stack.by_row[row_bucket(entry.row)] = entry.next_by_row;
    }
    if at.is_multiple_of(STACK_PAGE_FRAMES) {
        // One page is kept, so that calls back and forth across its beginning do not pay for it each time.
        give_back(stack, at / STACK_PAGE_FRAMES + 1);
    }
}

#[inline(always)]
fn give_back(stack: &mut Stack, page: u32) {
    let page = black_box(page as usize);
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
