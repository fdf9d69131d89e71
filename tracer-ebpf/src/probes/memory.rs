//! Resident memory and page faults.

use aya_ebpf::programs::BtfTracePointContext;
use tracer_common::{
    record::{Header, RssRecord, flag, kind},
    state::{Process, RssLocal},
};

use crate::{
    aggregate::{self, memory::Cause},
    ids,
    kernel::current_task,
    maps::{MMS, PROCESSES, RSS_LOCALS, THREADS, aggregating, interpreter, sampling_memory, streaming},
    mm::{self, MEMBERS},
    ring::{announce, count_loss, send_rare},
    running, stack,
    thread::{self, now},
    verifier::hidden,
};

/// `rss_stat(mm_struct *mm, int member)` (Linux 6.2+).
#[inline(always)]
pub(crate) fn rss_stat(ctx: &BtfTracePointContext) {
    let mm = ctx.arg::<u64>(0);
    match MMS.get_ptr(mm) {
        Some(process) => {
            // SAFETY: a live map value.
            change(mm, ctx.arg::<u32>(1), unsafe { *process });
        }
        None => begin(),
    }
}

/// A change in an address space that is not followed. If the running thread is traced, follow it from here on.
#[inline(always)]
fn begin() {
    if let Some(slot) = running::checked_slot()
        && let Some(process) = thread::process_of(slot)
    {
        thread::learn_memory(process);
    }
}

#[inline(never)]
fn change(mm: u64, member: u32, process: u32) -> u32 {
    if member >= MEMBERS || mm::is_dying(mm) {
        return 0;
    }
    // For the verifier: it does not remember the check above once the value has been spilled.
    let index = hidden(member as usize) & 3;
    let Some(entry) = PROCESSES.get_ptr_mut(process) else { return 0 };
    let Some(counter) = mm::counter(mm, member) else { return 0 };
    let Some(own) = counter.own() else { return 0 };
    let Some(seen) = RSS_LOCALS.get_ptr_mut(process * MEMBERS + member) else { return 0 };
    // SAFETY: a live map value of this CPU; `member` is below 4.
    let (last, shared) = unsafe { (*seen, (*entry).rss_count[index]) };
    if last.mm != mm {
        // A CPU that came up after counting began: this is its baseline.
        // SAFETY: as above.
        unsafe { *seen = RssLocal { mm, pages: own } };
        return 0;
    }
    // The own part was folded into the shared one, or only it has changed.
    let folded = own == 0 && counter.count != shared;
    let delta = if folded { counter.count - shared - last.pages } else { own - last.pages };
    if delta != 0 && !report(entry, member, process, delta) {
        // Not noted as seen: the next change will hold this one too.
        return 0;
    }
    // SAFETY: as above.
    unsafe {
        if folded {
            (*entry).rss_count[index] = counter.count;
        }
        *seen = RssLocal { mm, pages: own };
    }
    1
}

#[inline(always)]
fn report(entry: *const Process, member: u32, process: u32, delta: i64) -> bool {
    // SAFETY: a live map value.
    let (pid, mm) = unsafe { ((*entry).pid, (*entry).mm) };
    let own_task = ids::current().0 == pid && mm::of_task(current_task()) == Some(mm);
    let time_ns = now();
    let slot = if own_task { own_slot(process) } else { 0 };
    if streaming() && !send_change(entry, (process, slot, own_task), member, delta, time_ns) {
        return false;
    }
    if aggregating() {
        let cause = match slot {
            0 if own_task => Cause::Unfollowed,
            0 => Cause::Outside,
            slot => Cause::Thread(slot),
        };
        aggregate::memory::change(process, member, delta, cause, time_ns);
    }
    true
}

#[inline(always)]
fn send_change(
    entry: *const Process,
    (process, slot, own_task): (u32, u32, bool),
    member: u32,
    delta: i64,
    time_ns: u64,
) -> bool {
    // SAFETY: a live map value.
    let pid = unsafe { (*entry).pid };
    let thread = if is_announced(time_ns, slot, pid) { slot } else { 0 };
    if sampling_memory() && thread != 0 && !stack::send_for_memory(thread, time_ns) {
        count_loss(process);
        return false;
    }
    let flags = if own_task { 0 } else { flag::OUTSIDE };
    let header = Header { time_ns, value: process, thread: thread as u16, kind: kind::RSS, flags };
    let sent = send_rare(RssRecord { header, delta_pages: delta as i32, member });
    if !sent {
        count_loss(process);
    }
    sent
}

/// Slot of the running thread, made if need be; 0: none is left.
#[inline(always)]
fn own_slot(process: u32) -> u32 {
    let slot = match running::slot() {
        Some(slot) => slot,
        None => thread::enter(interpreter(process).map_or(0, |interpreter| interpreter.image)),
    };
    // SAFETY: a live map value.
    let own = THREADS.get_ptr(slot).is_some_and(|thread| unsafe { (*thread).process == process });
    if own { slot } else { 0 }
}

/// Does the loader know of the running thread? It is told if it does not.
#[inline(always)]
fn is_announced(time_ns: u64, slot: u32, pid: u32) -> bool {
    let Some(thread) = THREADS.get_ptr_mut(slot) else { return false };
    // SAFETY: a live map value of the running thread.
    slot != 0 && announce(time_ns, slot, unsafe { &mut *thread }, pid)
}

/// A page fault of the running thread.
#[inline(always)]
pub(crate) fn page_fault() {
    if let Some(slot) = running::checked_slot()
        && let Some(thread) = THREADS.get_ptr_mut(slot)
    {
        // SAFETY: a live map value of the running thread.
        unsafe { (*thread).faults += 1 };
    }
}
