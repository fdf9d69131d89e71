//! Reading a thread's stack at any moment, from its thread state, without an event of a frame.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    helpers::generated::{bpf_loop, bpf_ringbuf_output},
};
use tracer_common::{
    limits::SAMPLE_FRAMES,
    record::{Header, SampleRecord, flag, kind},
    sample::{PythonThread, SampleBuffer, SampledProcess, origin},
    state::total,
};

use crate::{
    function,
    kernel::{Words, read_user},
    maps::{LAYOUTS, PYTHON_THREADS, RING, SAMPLED, SAMPLES, SENT_STACKS, THREADS, add_total, interpreter},
    thread::now,
    verifier::hidden,
};

/// In [`SAMPLES`]: of a timer.
const TIMER: u32 = 0;
/// In [`SAMPLES`]: of a change of memory.
const MEMORY: u32 = 1;

struct Walk {
    time_ns: u64,
    frame: u64,
    /// The frame that called it.
    previous: u64,
    /// The code object that it executes; 0: none.
    code: u64,
    code_type: u64,
    hash: u64,
    process: u32,
    image: u32,
    buffer: u32,
    functions: u32,
    complete: bool,
    readable: bool,
    full: bool,
}

/// Sends the stack of the running thread, of which a timer wants a sample. False: no room.
#[inline(always)]
pub(crate) fn send_sample(slot: u32, origin: u32, time_ns: u64) -> bool {
    timed(time_ns, || send(slot, TIMER, origin, time_ns) != 0)
}

/// Sends the stack of the running thread, which is about to be charged with a change of memory, unless the loader knows
/// it already. False: no room.
#[inline(always)]
pub(crate) fn send_for_memory(slot: u32, time_ns: u64) -> bool {
    timed(time_ns, || send(slot, MEMORY, origin::MEMORY, time_ns) != 0)
}

/// Counts what it takes, from `time_ns` on.
#[inline(always)]
fn timed(time_ns: u64, run: impl FnOnce() -> bool) -> bool {
    let result = run();
    add_total(total::SAMPLES, 1);
    add_total(total::SAMPLES_NS, now().wrapping_sub(time_ns));
    result
}

// Global: verified once, by itself.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn send(slot: u32, buffer: u32, origin: u32, time_ns: u64) -> u32 {
    let Some(process) = crate::thread::process_of(slot) else { return 1 };
    let Some(interpreter) = interpreter(process) else { return 1 };
    let mut walk = Walk {
        time_ns,
        frame: 0,
        previous: 0,
        code: 0,
        code_type: interpreter.code_type,
        hash: 1,
        process,
        image: interpreter.image,
        buffer,
        functions: 0,
        complete: false,
        readable: true,
        full: false,
    };
    let mut flags = 0;
    match innermost(slot, &mut walk) {
        UNKNOWN => flags = flag::UNKNOWN_THREAD,
        UNREADABLE => flags = flag::UNREADABLE,
        _ => {
            // SAFETY: the callback has the signature that the helper calls, and `walk` outlives the call.
            unsafe { bpf_loop(SAMPLE_FRAMES, step as *mut c_void, (&raw mut walk).cast(), 0) };
            if walk.full {
                return 0;
            }
            if !walk.readable {
                flags = flag::UNREADABLE;
            } else if !walk.complete && walk.frame != 0 {
                flags = flag::STACK_CUT;
            }
        }
    }
    finish(slot, origin, flags, &walk)
}

/// Sends what a walk has found.
// A function of its own: what it keeps on the stack is not there during the walk.
#[inline(never)]
fn finish(slot: u32, origin: u32, flags: u8, walk: &Walk) -> u32 {
    let Some(sent) = SENT_STACKS.get_ptr_mut(slot) else { return 0 };
    let hash = walk.hash ^ u64::from(flags);
    // SAFETY: a live map value of the running thread.
    if origin == origin::MEMORY && unsafe { *sent } == hash {
        return 1;
    }
    let functions = if flags & !flag::STACK_CUT == 0 { walk.functions } else { 0 };
    let header =
        Header { time_ns: walk.time_ns, value: walk.process, thread: slot as u16, kind: kind::SAMPLE, flags };
    let done = output(walk.buffer, SampleRecord { header, functions, origin });
    // SAFETY: as above.
    unsafe { *sent = if done { hash } else { 0 } };
    u32::from(done)
}

/// An answer of [`innermost`]: the walk's frame is the one that runs, if any does.
const FOUND: u32 = 0;
/// The same: the loader has not told of this thread.
const UNKNOWN: u32 = 1;
/// The same: its memory can't be read.
const UNREADABLE: u32 = 2;

/// Makes the frame that the running thread executes the first of a walk; 0: the thread runs no Python function.
// A function of its own: what it keeps is gone from the stack before the walk.
#[inline(never)]
fn innermost(slot: u32, walk: &mut Walk) -> u32 {
    let (Some(thread), Some(known), Some(sampled)) =
        (THREADS.get_ptr(slot), PYTHON_THREADS.get_ptr(slot), SAMPLED.get_ptr(walk.process))
    else {
        return UNKNOWN;
    };
    // SAFETY: live map values; the loader writes the last two as a whole.
    let (tid, known, sampled): (u32, PythonThread, SampledProcess) =
        unsafe { ((*thread).tid, *known, *sampled) };
    if sampled.text_start == 0 || known.tid != tid {
        return UNKNOWN;
    }
    if known.state == 0 {
        return FOUND;
    }
    match read_user::<u64>(known.state + u64::from(sampled.id)) {
        Some(id) if id == known.id => {}
        // Its state is gone, and another thread's in its place.
        Some(_) => return UNKNOWN,
        None => return UNREADABLE,
    }
    let Some(mut frame) = read_user::<u64>(known.state + u64::from(sampled.frame)) else { return UNREADABLE };
    if frame != 0 && sampled.frame_in_c_frame != SampledProcess::DIRECT {
        let Some(inner) = read_user::<u64>(frame + u64::from(sampled.frame_in_c_frame)) else {
            return UNREADABLE;
        };
        frame = inner;
    }
    walk.frame = frame;
    FOUND
}

/// One frame. Returns 1 to stop.
#[inline(never)]
extern "C" fn step(_index: u32, walk: *mut Walk) -> u64 {
    // SAFETY: the helper passes on what `send` gave it.
    let walk = unsafe { &mut *walk };
    if walk.frame == 0 {
        walk.complete = true;
        return 1;
    }
    if let Some(previous) = function_of_frame(walk) {
        walk.frame = previous;
        0
    } else {
        walk.readable = false;
        1
    }
}

/// Notes the function of the walk's frame, if it is one, and returns the frame that called it. `None`: not readable,
/// or no room.
#[inline(always)]
fn function_of_frame(walk: &mut Walk) -> Option<u64> {
    if !read_frame(walk) {
        return None;
    }
    let (previous, code) = (walk.previous, walk.code);
    if code == 0 {
        return Some(previous);
    }
    let guard = function::guard(walk.image, code);
    let found = match guard {
        0 => function::NOT_CODE,
        guard => function::of_code(walk.process, walk.image, code, walk.time_ns, guard),
    };
    if found == function::NO_ROOM {
        walk.full = true;
        return None;
    }
    if found != function::NOT_CODE && !function::is_unwanted(found) {
        let id = function::id(found);
        let buffer = SAMPLES.get_ptr_mut(walk.buffer)?;
        let at = walk.functions & (SAMPLE_FRAMES - 1);
        // SAFETY: a live map value of this CPU; the index is within.
        unsafe { (*buffer).functions[at as usize] = id };
        walk.functions += 1;
        walk.hash = (walk.hash ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    Some(previous)
}

/// Reads which frame called the walk's frame and what code it executes; 0: none, it is no function's. False: not
/// readable.
// A function of its own: the words are gone from the stack before [`function::of_code`] runs.
#[inline(never)]
fn read_frame(walk: &mut Walk) -> bool {
    read_words(walk).is_some()
}

#[inline(always)]
fn read_words(walk: &mut Walk) -> Option<()> {
    let layout = LAYOUTS.get_ptr(walk.image)?;
    // SAFETY: a live map value.
    let layout = unsafe { &*layout };
    // All that is wanted of a frame is in its first ten words, which every version's frame has.
    let frame = Words::read(walk.frame)?;
    walk.previous = frame.at(layout.frame_previous)?;
    walk.code = 0;
    let owner = (frame.at(layout.frame_owner)? >> (8 * (layout.frame_owner & 7))) as u8;
    if layout.shim_owner != 0 && owner == layout.shim_owner {
        return Some(());
    }
    let code = frame.at(layout.frame_code)? & !u64::from(layout.code_tag_mask);
    let object_type = read_user::<u64>(code + u64::from(layout.object_type))?;
    if walk.code_type != 0 && object_type != walk.code_type {
        return None;
    }
    walk.code = code;
    Some(())
}

/// Sends a record with the functions that are in its buffer.
#[inline(always)]
fn output(buffer: u32, record: SampleRecord) -> bool {
    let Some(buffer) = SAMPLES.get_ptr_mut(buffer) else { return false };
    // SAFETY: a live map value of this CPU.
    unsafe { (*buffer).record = record };
    let size = size_of::<SampleRecord>() as u64 + 4 * u64::from(record.functions);
    // The verifier must see the bound at the call, on the very register that is passed.
    let mut size = hidden(size as usize) as u64;
    if size > size_of::<SampleBuffer>() as u64 {
        size = size_of::<SampleBuffer>() as u64;
    }
    // SAFETY: the helper reads `size` bytes of the buffer, which has as many.
    unsafe {
        bpf_ringbuf_output((&raw const RING).cast_mut().cast(), buffer.cast(), size, BPF_RB_NO_WAKEUP.into())
            == 0
    }
}
