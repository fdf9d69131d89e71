//! Resident memory and page faults.

use aya_ebpf::programs::BtfTracePointContext;
use tracer_common::{
    record::{Header, RssRecord, flag, kind},
    state::{Process, RssLocal, Thread},
};

use crate::{
    ids,
    kernel::current_task,
    maps::{MMS, PROCESSES, RSS_LOCALS, THREADS, interpreter, sampling},
    mm::{self, MEMBERS},
    ring::{announce, count_loss, send},
    stack,
    thread::{self, noted, now},
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
    if let Some(slot) = noted()
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
    let index = core::hint::black_box(member as usize) & 3;
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
    let (thread, flags) = if own_task { (own_slot(pid, process, time_ns), 0) } else { (0, flag::OUTSIDE) };
    if sampling() && thread != 0 && !stack::send_for_memory(thread, time_ns) {
        count_loss(process);
        return false;
    }
    let header = Header { time_ns, value: process, thread: thread as u16, kind: kind::RSS, flags };
    let sent = send(RssRecord { header, delta_pages: delta as i32, member });
    if !sent {
        count_loss(process);
    }
    sent
}

/// Slot of the running thread, made and announced if need be; 0: none is left.
#[inline(always)]
fn own_slot(pid: u32, process: u32, time_ns: u64) -> u32 {
    let slot = match noted() {
        Some(slot) => slot,
        None => thread::enter(interpreter(process).map_or(0, |interpreter| interpreter.image)),
    };
    let Some(thread) = THREADS.get_ptr_mut(slot) else { return 0 };
    // SAFETY: a live map value of the running thread.
    let thread: &mut Thread = unsafe { &mut *thread };
    if slot == 0 || thread.process != process {
        return 0;
    }
    if announce(time_ns, slot, thread, pid) { slot } else { 0 }
}

/// A page fault of the running thread.
#[inline(always)]
pub(crate) fn page_fault() {
    if let Some(slot) = noted()
        && let Some(thread) = THREADS.get_ptr_mut(slot)
    {
        // SAFETY: a live map value of the running thread.
        unsafe { (*thread).faults += 1 };
    }
}
