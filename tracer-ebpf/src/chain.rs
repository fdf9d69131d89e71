//! Sending a thread's stack as the interpreter has it: at its first event, and after records were lost.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use tracer_common::{
    layout::Layout,
    limits::CHAIN_FRAMES,
    record::{FrameRecord, Header, flag, kind},
    state::{Thread, thread_state},
};

use crate::{
    aggregate, function,
    kernel::read_user,
    maps::{LAYOUTS, PROCESSES, THREADS, interpreter},
    ring::{announce, send_counters, send_loss, send_rare},
    thread::{self, learn_memory},
};

struct Walk {
    time_ns: u64,
    frame: u64,
    slot: u32,
    process: u32,
    image: u32,
    skip: u32,
    full: u32,
    complete: u32,
    /// The frames are not sent, but put down for the sums.
    holds: u32,
    held: u32,
}

impl Walk {
    /// A walk over the stack of a slot's thread, from a frame outwards.
    #[inline(always)]
    fn new(slot: u32, (process, image): (u32, u32), time_ns: u64, frame: u64, skip: u32) -> Self {
        Self { time_ns, frame, slot, process, image, skip, full: 0, complete: 0, holds: 0, held: 0 }
    }

    #[inline(always)]
    fn run(&mut self) {
        // SAFETY: the callback has the signature that the helper calls, and the walk outlives the call.
        unsafe { bpf_loop(CHAIN_FRAMES, step as *mut c_void, (&raw mut *self).cast(), 0) };
    }

    /// Takes a frame of the stack. False: no room.
    #[inline(always)]
    fn take(&mut self, function: u32) -> bool {
        if self.holds == 0 {
            return send_held(self, self.frame, function, 0);
        }
        let room = aggregate::put(self.slot, self.held, self.frame, function);
        self.held += u32::from(room);
        room
    }
}

/// Makes the loader's view of a thread true: who it is, what it lost, and its whole stack from `frame` outwards
/// (leaving out `skip` frames). 0: no room in the ring buffer, try again at the next event.
// Global: verified once, by itself.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn synchronise(slot: u32, time_ns: u64, frame: u64, skip: u32) -> u32 {
    let Some(thread) = THREADS.get_ptr_mut(slot) else { return 0 };
    // SAFETY: only this thread's own probes and the switch that takes it off its CPU write to its slot.
    let thread = unsafe { &mut *thread };
    let (Some(process), Some(interpreter)) = (PROCESSES.get_ptr(thread.process), interpreter(thread.process))
    else {
        return 0;
    };
    // SAFETY: a live map value.
    let (pid, image) = (unsafe { (*process).pid }, interpreter.image);
    if !send_first(slot, thread, time_ns, pid) {
        return 0;
    }
    let mut walk = Walk::new(slot, (thread.process, image), time_ns, frame, skip);
    walk.run();
    let flags = if walk.complete != 0 { flag::OUTERMOST } else { flag::TRUNCATED };
    if walk.full != 0 || !send_held(&walk, 0, 0, flags) {
        return 0;
    }
    thread.state |= thread_state::SYNCED;
    // There is room again: perhaps the base of its memory found none.
    learn_memory(thread.process);
    1
}

/// Sends what the loader must know of a thread before its stack. The counters too: the time up to now is charged when the stack is
/// known.
// A function of its own: its records are not on the stack of the walk.
#[inline(never)]
fn send_first(slot: u32, thread: &mut Thread, time_ns: u64, pid: u32) -> bool {
    announce(time_ns, slot, thread, pid)
        && send_loss(slot, thread, time_ns)
        && send_counters(slot, thread, time_ns)
}

/// Is a frame that is being suspended cut off from those that it was called from? From then on the interpreter has no caller of
/// it (3.12+): its chain is not the thread's stack, which the next event will show.
// Global: verified once, by itself.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn is_cut_off(slot: u32, frame: u64) -> u32 {
    let Some(process) = thread::process_of(slot) else { return 0 };
    let Some(layout) = interpreter(process).and_then(|interpreter| LAYOUTS.get_ptr(interpreter.image)) else {
        return 0;
    };
    // SAFETY: a live map value.
    let previous = unsafe { (*layout).frame_previous };
    u32::from(read_user::<u64>(frame + u64::from(previous)) == Some(0))
}

/// Puts the running thread's frames down for the sums, from `frame` outwards (leaving out `skip` frames). How many.
// Global: verified once, by itself.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hold(slot: u32, time_ns: u64, frame: u64, skip: u32) -> u32 {
    let Some(thread) = THREADS.get_ptr_mut(slot) else { return 0 };
    // SAFETY: as above.
    let thread = unsafe { &mut *thread };
    let (Some(process), Some(interpreter)) = (PROCESSES.get_ptr(thread.process), interpreter(thread.process))
    else {
        return 0;
    };
    // Without room the loader hears of the thread when it ends.
    // SAFETY: a live map value.
    announce(time_ns, slot, thread, unsafe { (*process).pid });
    let mut walk = Walk::new(slot, (thread.process, interpreter.image), time_ns, frame, skip);
    walk.holds = 1;
    walk.run();
    learn_memory(thread.process);
    walk.held
}

/// One frame of the chain. Returns 1 to stop.
#[inline(never)]
extern "C" fn step(_index: u32, walk: *mut Walk) -> u64 {
    // SAFETY: the helper passes on what `synchronise` gave it.
    let walk = unsafe { &mut *walk };
    if walk.frame == 0 {
        walk.complete = 1;
        return 1;
    }
    let Some(layout) = LAYOUTS.get_ptr(walk.image) else { return 1 };
    // SAFETY: a live map value.
    let layout = unsafe { &*layout };
    let Some(previous) = read_user::<u64>(walk.frame + u64::from(layout.frame_previous)) else { return 1 };
    if walk.skip > 0 {
        walk.skip -= 1;
    } else if !is_shim(layout, walk.frame) {
        let Some(code) = function::code_of(layout, walk.frame) else { return 1 };
        let found = function::of_code(walk.process, walk.image, code, walk.time_ns, 0);
        if found == function::NO_ROOM {
            walk.full = 1;
            return 1;
        }
        // Frames that are no function's (not a code object) have no place on a stack.
        if found != function::NOT_CODE && !function::is_unwanted(found) && !walk.take(function::id(found)) {
            walk.full = 1;
            return 1;
        }
    }
    walk.frame = previous;
    0
}

/// The frame that called a frame; 0: none, or not readable. `stack`: the stack pointer, above which the interpreter
/// keeps frames that are no function's.
#[inline(always)]
pub(crate) fn caller(layout: &Layout, frame: u64, stack: u64) -> u64 {
    const NEAR: u64 = 8 << 20;
    let previous = |frame: u64| read_user::<u64>(frame + u64::from(layout.frame_previous)).unwrap_or(0);
    let caller = previous(frame);
    if caller.wrapping_sub(stack) < NEAR && is_shim(layout, caller) { previous(caller) } else { caller }
}

#[inline(always)]
fn is_shim(layout: &Layout, frame: u64) -> bool {
    layout.shim_owner != 0
        && read_user::<u8>(frame + u64::from(layout.frame_owner)) == Some(layout.shim_owner)
}

#[inline(always)]
fn send_held(walk: &Walk, frame: u64, function: u32, flags: u8) -> bool {
    let header =
        Header { time_ns: walk.time_ns, value: function, thread: walk.slot as u16, kind: kind::HELD, flags };
    send_rare(FrameRecord { header, frame })
}
