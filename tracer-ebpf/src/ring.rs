//! Sending records: small ones by the event rings of the CPU, those on processes and large ones by the ring buffer, which
//! takes 20 ns longer and is one for all CPUs.
//!
//! Almost none of these wakes the loader up: it polls (a wakeup costs the traced thread 5 us). Only what it has to act on
//! at once does: a fork, an exec, and a new function that it has to decide on (`crate::function`).

use core::ptr;

use aya_ebpf::{
    bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::bpf_get_smp_processor_id,
};
use tracer_common::{
    record::{CalledRecord, CountersRecord, FrameRecord, Header, LossRecord, TaskRecord, kind},
    ring::{MARK, Positions, Slot, mark},
    state::{Process, Thread, thread_state, total},
};

use crate::{
    aggregate, chain,
    maps::{
        EVENT_POSITIONS, EVENT_SLOTS, PROCESSES, RING, add_total, aggregating, atomic_add, compare_exchange,
        event_rings, far_ring_slots, near_ring_slots,
    },
    verifier::forgotten,
};

/// Sends a small record by one of this CPU's event rings. False: no room.
#[inline(always)]
pub(crate) fn send<T: Copy>(record: T) -> bool {
    write(record, take())
}

/// The same for records that are few: what takes the slot is not part of each program, and verified once.
#[inline(always)]
pub(crate) fn send_rare<T: Copy>(record: T) -> bool {
    write(record, take_rarely())
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn take_rarely() -> u64 {
    take()
}

/// Takes a slot in one of this CPU's event rings: its index, and the mark of its record, or [`NO_SLOT`].
#[inline(always)]
fn take() -> u64 {
    // SAFETY: no arguments.
    let ring = unsafe { bpf_get_smp_processor_id() } & (event_rings() - 1);
    match take_slot(ring, near_ring_slots()) {
        Some(position) => taken(u64::from(ring) * near_ring_slots(), near_ring_slots(), position),
        None => take_far_slot(ring),
    }
}

/// Writes a record into a slot that was taken. False: none was.
#[inline(always)]
fn write<T: Copy>(record: T, taken: u64) -> bool {
    const { assert!(size_of::<T>() <= size_of::<Slot>() && size_of::<T>().is_multiple_of(8)) };
    let words = (&raw const record).cast::<u64>();
    // SAFETY: the record's first word.
    let taken = forgotten(taken, unsafe { *words });
    if taken == NO_SLOT {
        return false;
    }
    let Some(slot) = EVENT_SLOTS.get_ptr_mut(taken as u32) else { return false };
    // SAFETY: a live map value, of which nobody else has this slot; a record is whole words. The first one comes last: it
    // tells the loader that the slot is filled (x86 and the JIT compiler keep the order of stores).
    unsafe {
        let slot = slot.cast::<u64>();
        for word in 1..size_of::<T>() / 8 {
            ptr::write_volatile(slot.add(word), *words.add(word));
        }
        ptr::write_volatile(slot, *words | taken & MARK);
    }
    true
}

/// Instead of a slot that was taken: there is none.
const NO_SLOT: u64 = u64::MAX;

/// A slot that was taken: its index, and the mark of its record. `first`: where its ring begins.
#[inline(always)]
fn taken(first: u64, slots: u64, position: u64) -> u64 {
    (first + (position & (slots - 1))) | mark(position, slots)
}

/// Takes the next slot of a far ring.
#[inline(never)]
fn take_far_slot(ring: u32) -> u64 {
    let first = u64::from(event_rings()) * near_ring_slots() + u64::from(ring) * far_ring_slots();
    let position = take_slot(event_rings() + ring, far_ring_slots());
    position.map_or(NO_SLOT, |position| taken(first, far_ring_slots(), position))
}

/// Takes the next slot of an event ring, and returns its position. `None`: there is none.
#[inline(always)]
fn take_slot(ring: u32, slots: u64) -> Option<u64> {
    // Whoever runs on this CPU in between, or on another one that has the same ring, takes one too.
    const ATTEMPTS: u32 = 4;
    let positions: *mut Positions = EVENT_POSITIONS.get_ptr_mut(ring)?;
    for _ in 0..ATTEMPTS {
        // SAFETY: a live map value, aligned to 8.
        unsafe {
            let written = ptr::read_volatile(&raw const (*positions).written);
            let read = ptr::read_volatile(&raw const (*positions).read);
            if written - read >= slots {
                return None;
            }
            if compare_exchange(&raw mut (*positions).written, written, written + 1) == written {
                return Some(written);
            }
        }
    }
    None
}

/// Sends a record by the ring buffer. False: no room.
#[inline(always)]
pub(crate) fn send_shared<T: Copy + 'static>(record: T) -> bool {
    submit(record, BPF_RB_NO_WAKEUP)
}

/// Sends a record about a process that the loader is to act on at once. False: no room.
#[inline(always)]
pub(crate) fn send_urgent(record: TaskRecord) -> bool {
    submit(record, BPF_RB_FORCE_WAKEUP)
}

#[inline(always)]
fn submit<T: Copy + 'static>(record: T, wakeup: u32) -> bool {
    match RING.reserve::<T>(0) {
        Some(mut entry) => {
            entry.write(record);
            entry.submit(u64::from(wakeup));
            true
        }
        None => false,
    }
}

/// Wakes the loader up. It may take the CPU at once, within the program (see [`crate::probes::process`]).
#[inline(always)]
pub(crate) fn wake_loader() {
    // Without room the loader is at work.
    if let Some(nothing) = RING.reserve::<u64>(0) {
        nothing.discard(u64::from(BPF_RB_FORCE_WAKEUP));
    }
}

/// Sends a record about the end of a process or thread. It is not tried again: without room it is counted as lost.
#[inline(always)]
pub(crate) fn send_task(time_ns: u64, kind: u8, thread: u32, process: u32, pid: u32, other: u32) -> bool {
    let header = Header { time_ns, value: process, thread: thread as u16, kind, flags: 0 };
    let sent = send_rare(TaskRecord { header, pid, other });
    if !sent {
        add_total(total::LOST_TASKS, 1);
    }
    sent
}

/// Tells the loader of a thread, unless it knows it. False: no room; it is tried again at the thread's next event.
// A function of its own: its records are not on the stack of what is done next.
#[inline(never)]
pub(crate) fn announce(time_ns: u64, slot: u32, thread: &mut Thread, pid: u32) -> bool {
    if thread.state & thread_state::ANNOUNCED != 0 {
        return true;
    }
    if aggregating() {
        aggregate::open(slot, time_ns);
    }
    let header = Header { time_ns, value: thread.process, thread: slot as u16, kind: kind::THREAD, flags: 0 };
    let sent = send_rare(TaskRecord { header, pid, other: thread.tid });
    if sent {
        thread.state |= thread_state::ANNOUNCED;
    }
    sent
}

/// Where a thread's frame chain begins, should it have to be sent.
#[derive(Clone, Copy)]
pub(crate) enum ChainFrom {
    /// At this frame: it is on the stack.
    Frame(u64),
    /// At the caller of this frame: it is about to be pushed.
    Caller(u64),
}

/// A frame event about to be sent.
#[derive(Clone, Copy)]
pub(crate) struct FrameEvent {
    pub(crate) time_ns: u64,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) function: u32,
    pub(crate) frame: u64,
    /// The frame it was called from: 0 if there is none, and for kinds that have none ([`kind::has_caller`]).
    // Not an `Option`: before Linux 6.3 no program may read stack that nobody has written, and that is where the compiler
    // may have what is not there.
    pub(crate) caller: u64,
}

/// Sends a frame event, before it whatever the loader must know first: the thread, losses and the stack they
/// make uncertain, counters that have moved.
#[inline(always)]
pub(crate) fn send_frame(slot: u32, thread: &mut Thread, event: FrameEvent, from: ChainFrom) {
    let ready = thread_state::ANNOUNCED | thread_state::SYNCED;
    if thread.state & ready != ready {
        if event.kind == kind::YIELD && chain::is_cut_off(slot, event.frame) != 0 {
            return;
        }
        let (start, skip) = match from {
            ChainFrom::Frame(frame) => (frame, 0),
            ChainFrom::Caller(frame) => (frame, 1),
        };
        if chain::synchronise(slot, event.time_ns, start, skip) == 0 {
            lose(thread);
            return;
        }
    }
    if (thread.off_cpu_at_event_ns != thread.sent_off_cpu_ns || thread.faults != thread.sent_faults)
        && !send_counters(slot, thread, event.time_ns)
    {
        lose(thread);
        return;
    }
    let header = Header {
        time_ns: event.time_ns,
        value: event.function,
        thread: slot as u16,
        kind: event.kind,
        flags: event.flags,
    };
    let sent = if kind::has_caller(event.kind) {
        send(CalledRecord { header, frame: event.frame, caller: event.caller })
    } else {
        send(FrameRecord { header, frame: event.frame })
    };
    if !sent {
        lose(thread);
    }
}

/// Sends a thread's running totals, its time off CPU as of its event: however often they are sent for that.
#[inline(always)]
pub(crate) fn send_counters(slot: u32, thread: &mut Thread, time_ns: u64) -> bool {
    let (off_cpu_ns, faults) = (thread.off_cpu_at_event_ns, thread.faults);
    let header = Header { time_ns, value: 0, thread: slot as u16, kind: kind::COUNTERS, flags: 0 };
    let sent = send_rare(CountersRecord { header, off_cpu_ns, faults });
    if sent {
        thread.sent_off_cpu_ns = off_cpu_ns;
        thread.sent_faults = faults;
    }
    sent
}

/// Tells the loader of losses of this thread, if there are any.
#[inline(always)]
pub(crate) fn send_loss(slot: u32, thread: &mut Thread, time_ns: u64) -> bool {
    if thread.lost == 0 {
        return true;
    }
    let header = Header { time_ns, value: 0, thread: slot as u16, kind: kind::LOSS, flags: 0 };
    let sent = send_rare(LossRecord { header, lost: thread.lost });
    if sent {
        thread.lost = 0;
    }
    sent
}

/// A record of this thread found no room: count it, and have the stack sent before the next one.
#[inline(never)]
pub(crate) fn lose(thread: &mut Thread) -> u32 {
    thread.lost += 1;
    thread.state &= !thread_state::SYNCED;
    count_loss(thread.process);
    0
}

/// Counts a lost record of a process.
#[inline(always)]
pub(crate) fn count_loss(process: u32) {
    with_process(process, |process| {
        // SAFETY: a live map value, aligned to 8.
        unsafe { atomic_add(&raw mut (*process).lost, 1) };
    });
}

/// Runs `change` on a process's entry, if the index is one.
#[inline(always)]
pub(crate) fn with_process(process: u32, change: impl FnOnce(*mut Process)) {
    if let Some(process) = PROCESSES.get_ptr_mut(process) {
        change(process);
    }
}
