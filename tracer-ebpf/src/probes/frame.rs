//! Hits in the interpreter: frames that start, end, yield or raise, and code objects that are freed.

use aya_ebpf::programs::ProbeContext;
use aya_log_ebpf::debug;
use tracer_common::{
    layout::Layout,
    record::{flag, kind},
    site::{Form, Site},
    state::{CodeKey, Process, RESUMED, ResumedAt, Thread, cached},
};

use crate::{
    aggregate, chain, function, ids,
    kernel::read_user,
    maps::{CODES, LAYOUTS, PROCESS_OF, aggregating, atomic_add, filtering, interpreter, streaming},
    registers,
    ring::{ChainFrom, FrameEvent, lose, send_frame, with_process},
    site,
    thread::{self, event_time, now},
    verifier::hidden,
};

/// Where frames are left, a thread's first hits are checked; where they start, every new instruction is.
const SELF_CHECKED: u64 = 1000;

/// A frame begins or is resumed.
#[inline(always)]
pub(crate) fn start(ctx: &ProbeContext) {
    let site = site::kind(ctx);
    let Some((slot, thread)) = thread::current(ctx) else { return };
    thread.hits += 1;
    let frame = registers::read(ctx, site.frame_register());
    let again = thread.last_start == frame;
    if again && !site.misses_suspensions() {
        // A RESUME that re-dispatched itself (monitoring switched on, a failed RESUME_CHECK) is reported twice.
        count_duplicate(thread.process);
        return;
    }
    let answer = function::starting(ctx, site, frame, thread.process);
    if answer == function::NOT_CODE {
        debug!(ctx, "process {}: no function starts at frame {:x}", thread.process, frame);
        return;
    }
    if answer & cached::IGNORED != 0 {
        return;
    }
    if site.misses_suspensions() && is_repetition(ctx, site, thread, frame, again) {
        count_duplicate(thread.process);
        return;
    }
    thread.last_start = frame;
    if answer == function::NO_ROOM {
        lose(thread);
        return;
    }
    if function::is_unwanted(answer) {
        return;
    }
    let flags = if answer & cached::RESUMED != 0 { flag::RESUMED } else { 0 };
    let time_ns = event_time(thread);
    let event =
        FrameEvent { time_ns, kind: kind::START, flags, function: function::id(answer), frame, caller: 0 };
    emit(slot, thread, with_caller(ctx, site, event), ChainFrom::Caller(frame));
}

/// Sends an event, adds it up, or both.
#[inline(always)]
fn emit(slot: u32, thread: &mut Thread, event: FrameEvent, from: ChainFrom) {
    if streaming() {
        send_frame(slot, thread, event, from);
    }
    if aggregating() {
        aggregate::take(slot, thread, event, from);
    }
}

#[inline(never)]
fn count_duplicate(process: u32) -> u32 {
    with_process(process, |process: *mut Process| {
        // SAFETY: a live map value, aligned to 8.
        unsafe { atomic_add(&raw mut (*process).duplicates, 1) };
    });
    0
}

/// Where suspensions are not seen: is this START the same RESUME as an earlier one of the frame, told by two handlers?
/// Else, when a frame starts that is open, it is a generator that was suspended and goes on.
#[inline(always)]
fn is_repetition(ctx: &ProbeContext, site: Site, thread: &mut Thread, frame: u64, again: bool) -> bool {
    let instruction = function::instruction(ctx, site).unwrap_or(0);
    let entry = resumed_at(thread, frame);
    let last = *entry;
    let noted = last.frame == frame && last.instruction == instruction;
    let quick = site.form() == Form::Quick as u32;
    if quick && !noted {
        // The usual case. If its check fails, the general form takes note.
        return false;
    }
    let site = site::exact(ctx);
    let version = code_version(site, frame);
    *entry = ResumedAt { frame: if quick { 0 } else { frame }, instruction, version };
    // A RESUME runs again, in whatever form, when it has brought its code object up to a new version. A callback of the
    // tool that wanted that may have run in between.
    let renewed = noted && last.version != version;
    // The general form runs when the check of the quick one has failed, which still stands in memory.
    let general = site.form() == Form::General as u32;
    renewed || (again && general && !read_user::<u8>(instruction).is_some_and(|opcode| site.accepts(opcode)))
}

/// Where to note what RESUME a frame has passed; another frame's note may be there.
#[inline(always)]
fn resumed_at(thread: &mut Thread, frame: u64) -> &mut ResumedAt {
    let at = hidden((frame.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize) & (RESUMED - 1);
    &mut thread.resumed[at]
}

/// The instrumentation version of the code object that a frame executes.
#[inline(always)]
fn code_version(site: Site, frame: u64) -> u64 {
    let Some(layout) = LAYOUTS.get_ptr(site.image()) else { return u64::MAX };
    // SAFETY: a live map value.
    let layout = unsafe { &*layout };
    let code = function::code_of(layout, frame);
    code.and_then(|code| read_user(code + u64::from(layout.code_version))).unwrap_or(u64::MAX)
}

/// Where ends are not all seen: the event with what its frame was called from, which tells what has ended.
#[inline(always)]
fn with_caller(ctx: &ProbeContext, site: Site, event: FrameEvent) -> FrameEvent {
    if !site.misses_ends() {
        return event;
    }
    let Some(layout) = LAYOUTS.get_ptr(site::exact(ctx).image()) else { return event };
    // SAFETY: a live map value.
    let layout = unsafe { &*layout };
    let caller = chain::caller(layout, event.frame, registers::read(ctx, registers::STACK_POINTER));
    let unseen = if site.misses_suspensions() { flag::SUSPENDED_UNSEEN } else { 0 };
    let kind = if event.kind == kind::START { kind::CALLED } else { kind::THROWN };
    FrameEvent { kind, flags: event.flags | unseen, caller, ..event }
}

/// A frame ends.
#[inline(always)]
pub(crate) fn end(ctx: &ProbeContext) {
    leave(ctx, kind::END);
}

/// A frame is suspended.
#[inline(always)]
pub(crate) fn suspend(ctx: &ProbeContext) {
    leave(ctx, kind::YIELD);
}

#[inline(always)]
fn leave(ctx: &ProbeContext, kind: u8) {
    let site = site::kind(ctx);
    let Some((slot, thread)) = thread::current(ctx) else { return };
    thread.hits += 1;
    thread.last_start = 0;
    let frame = registers::read(ctx, site.frame_register());
    if site.misses_suspensions() {
        // Its place may be another call's at once.
        let entry = resumed_at(thread, frame);
        if entry.frame == frame {
            entry.frame = 0;
        }
    }
    if thread.hits <= SELF_CHECKED && !function::is_of_function(ctx, thread.process, frame) {
        return;
    }
    if filtering() && frame_is_unwanted(site::exact(ctx).image(), thread.process, frame) {
        return;
    }
    let time_ns = event_time(thread);
    let event = FrameEvent { time_ns, kind, flags: 0, function: 0, frame, caller: 0 };
    emit(slot, thread, event, ChainFrom::Frame(frame));
}

/// With function globs: is this the frame of a function that none matches?
#[inline(always)]
fn frame_is_unwanted(image: u32, process: u32, frame: u64) -> bool {
    let Some(layout) = LAYOUTS.get_ptr(image) else { return false };
    // SAFETY: a live map value.
    let Some(code) = function::code_of(unsafe { &*layout }, frame) else { return false };
    let Some(interpreter) = interpreter(process) else { return false };
    let Some(known) = CODES.get_ptr(CodeKey { code, process, space: interpreter.space }) else {
        return false;
    };
    // SAFETY: a live map value.
    unsafe { (*known).unwanted != 0 }
}

/// An exception reached a frame; the register holds its `PyFrameObject`.
#[inline(always)]
pub(crate) fn raise(ctx: &ProbeContext) {
    let site = site::kind(ctx);
    let Some((slot, thread)) = thread::current(ctx) else { return };
    thread.hits += 1;
    thread.last_start = 0;
    let exact = site::exact(ctx);
    let Some(layout) = LAYOUTS.get_ptr(exact.image()) else { return };
    // SAFETY: a live map value.
    let layout = unsafe { &*layout };
    let object = registers::read(ctx, site.frame_register());
    let frame = match layout.frame_object_frame {
        0 => object,
        offset => match read_user::<u64>(object + u64::from(offset)) {
            Some(frame) => frame,
            None => return,
        },
    };
    let Some(code) = function::code_of(layout, frame) else { return };
    let answer = function::of_code(thread.process, exact.image(), code, now(), 0);
    if answer == function::NO_ROOM {
        lose(thread);
        return;
    }
    if answer == function::NOT_CODE {
        function::mismatch(thread.process, exact);
        return;
    }
    if function::is_unwanted(answer) {
        return;
    }
    let time_ns = event_time(thread);
    let flags = if site.misses_suspensions() && was_suspended(layout, frame) { flag::RESUMED } else { 0 };
    let event =
        FrameEvent { time_ns, kind: kind::RAISE, flags, function: function::id(answer), frame, caller: 0 };
    emit(slot, thread, with_caller(ctx, site, event), ChainFrom::Frame(frame));
}

/// An exception has reached a frame: was it thrown into a suspended one? Then a RESUME that stands behind a yield or
/// await is where it would have gone on.
#[inline(always)]
fn was_suspended(layout: &Layout, frame: u64) -> bool {
    let instruction = read_user::<u64>(frame + u64::from(layout.frame_instruction));
    let Some([opcode, argument]) = instruction.and_then(read_user::<[u8; 2]>) else { return false };
    argument & layout.resume_mask != 0 && layout.resume_opcodes.contains(&opcode)
}

/// A code object is freed: its address may soon be another function's.
#[inline(always)]
pub(crate) fn code_freed(ctx: &ProbeContext) {
    let site = site::kind(ctx);
    let (pid, _) = ids::current();
    let Some(process) = PROCESS_OF.get_ptr(pid) else { return };
    // SAFETY: a live map value.
    let process = unsafe { *process };
    if let Some((_, thread)) = thread::current(ctx) {
        thread.hits += 1;
    }
    function::forget(process, registers::read(ctx, site.frame_register()));
}
