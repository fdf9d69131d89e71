//! The address space of a traced process and its resident memory counters.
//!
//! Since Linux 6.2 `mm_struct.rss_stat` is an array of `percpu_counter`: a shared part and one part per CPU. A
//! change is seen as the difference of the own CPU's part, which tells threads that fault at the same time apart
//! far better than the total does, and costs the same on any number of CPUs.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_loop, bpf_map_lookup_percpu_elem};
use tracer_common::{
    record::{Header, RssBaseRecord, kind},
    state::{RssLocal, total},
};

use crate::{
    aggregate,
    kernel::{address_of, read_kernel},
    maps::{CURRENT, MMS, PROCESSES, RSS_LOCALS, TOTALS, aggregating, kernel_offset, streaming},
    ring::send_shared,
    thread::now,
};

/// Members of the resident memory counters.
pub(crate) const MEMBERS: u32 = 4;

/// One counter as it is now.
pub(crate) struct Counter {
    /// The part that all CPUs share.
    pub(crate) count: i64,
    /// Per-CPU address of the CPUs' parts.
    locals: u64,
}

/// Reads a counter's shared part.
#[inline(always)]
pub(crate) fn counter(mm: u64, member: u32) -> Option<Counter> {
    let counter = mm + kernel_offset!(mm_rss_stat) + u64::from(member) * kernel_offset!(counter_size);
    Some(Counter {
        count: read_kernel::<i64>(counter + kernel_offset!(counter_count))?,
        locals: read_kernel::<u64>(counter + kernel_offset!(counter_locals))?,
    })
}

impl Counter {
    /// This CPU's part.
    #[inline(always)]
    pub(crate) fn own(&self) -> Option<i64> {
        let own = address_of(CURRENT.get_ptr(0)?)?;
        self.part(own.wrapping_sub(per_cpu_base()?))
    }

    #[inline(always)]
    fn part(&self, cpu_offset: u64) -> Option<i64> {
        read_kernel::<i32>(self.locals.wrapping_add(cpu_offset)).map(i64::from)
    }
}

/// Per-CPU address of [`CURRENT`]'s value: its address on a CPU minus this is the offset of that CPU's memory.
/// The kernel has no other way to tell a program that offset (`__per_cpu_offset` is often not in kallsyms).
#[inline(always)]
fn per_cpu_base() -> Option<u64> {
    let known = TOTALS.get_ptr_mut(total::PER_CPU_BASE)?;
    // SAFETY: a live map value.
    let base = unsafe { *known };
    if base != 0 {
        return Some(base);
    }
    let map = address_of((&raw const CURRENT).cast::<c_void>())?;
    let base = read_kernel::<u64>(map + kernel_offset!(array_pptrs))?;
    // SAFETY: a live map value; whoever else writes it writes the same.
    unsafe { *known = base };
    Some(base)
}

/// Address space of a task.
#[inline(always)]
pub(crate) fn of_task(task: u64) -> Option<u64> {
    read_kernel::<u64>(task + kernel_offset!(task_mm))
}

/// Does this process's address space still have to be learned?
#[inline(always)]
pub(crate) fn is_unknown(process: u32) -> bool {
    // SAFETY: a live map value.
    kernel_offset!(mm_rss_stat) != 0
        && PROCESSES.get_ptr(process).is_some_and(|entry| unsafe { (*entry).mm == 0 })
}

/// Begins to follow the resident memory of an address space, a task's, for its process. Without room in the ring buffer it stays
/// unknown, and is learned at the next opportunity.
#[inline(always)]
pub(crate) fn learn(process: u32, task: u64) {
    if let Some(mm) = of_task(task) {
        learn_memory(process, mm);
    }
}

// Global: verified once, by itself.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn learn_memory(process: u32, mm: u64) -> u32 {
    let Some(entry) = PROCESSES.get_ptr_mut(process) else { return 0 };
    if mm == 0 {
        return 0;
    }
    // SAFETY: a live map value; two threads that get here at once write the same.
    unsafe { (*entry).mm = mm };
    let mut base = Base { mm, process, pages: [0; 4] };
    let mut member = 0;
    while member < MEMBERS {
        if let Some(counter) = counter(mm, member) {
            base.pages[member as usize] = counter.count;
            // SAFETY: as above; `member` is below 4.
            unsafe { (*entry).rss_count[member as usize & 3] = counter.count };
        }
        member += 1;
    }
    // SAFETY: the callback has the signature that the helper calls, and `base` outlives the call.
    unsafe {
        bpf_loop(kernel_offset!(cpus) as u32 * MEMBERS, add_part as *mut c_void, (&raw mut base).cast(), 0)
    };
    let header = Header { time_ns: now(), value: process, thread: 0, kind: kind::RSS_BASE, flags: 0 };
    if !streaming() || send_shared(RssBaseRecord { header, pages: base.pages }) {
        if aggregating() {
            aggregate::memory::base(process, &base.pages);
        }
        let _ = MMS.insert(mm, process, 0);
    } else if MMS.get_ptr(mm).is_none() {
        // No change is sent before the base is, and the next base will hold those up to then: nothing is lost.
        // SAFETY: as above.
        unsafe { (*entry).mm = 0 };
    }
    1
}

struct Base {
    mm: u64,
    process: u32,
    pages: [i64; 4],
}

/// Adds one CPU's part of one member to the base and remembers it as last seen.
#[inline(never)]
extern "C" fn add_part(index: u32, base: *mut Base) -> u64 {
    // SAFETY: the helper passes on what `learn` gave it.
    let base = unsafe { &mut *base };
    let (cpu, member) = (index / MEMBERS, index % MEMBERS);
    let Some(offset) = cpu_offset(cpu) else { return 0 };
    let Some(counter) = counter(base.mm, member) else { return 0 };
    let Some(part) = counter.part(offset) else { return 0 };
    let slot = base.process * MEMBERS + member;
    // SAFETY: the key lives on the stack; the map is a per-CPU one of `RssLocal`.
    let seen = unsafe {
        bpf_map_lookup_percpu_elem((&raw const RSS_LOCALS).cast_mut().cast(), (&raw const slot).cast(), cpu)
    }
    .cast::<RssLocal>();
    if !seen.is_null() {
        // SAFETY: a live map value of that CPU. Its own program may write it at the same time: a few pages of one
        // thread would then be in the base and in a change, and the next change of that CPU puts it right.
        unsafe { *seen = RssLocal { mm: base.mm, pages: part } };
    }
    base.pages[member as usize & 3] += part;
    0
}

/// Offset of a CPU's memory.
#[inline(always)]
fn cpu_offset(cpu: u32) -> Option<u64> {
    let key = 0u32;
    // SAFETY: the key lives on the stack; the map is a per-CPU one.
    let copy = unsafe {
        bpf_map_lookup_percpu_elem((&raw const CURRENT).cast_mut().cast(), (&raw const key).cast(), cpu)
    };
    if copy.is_null() {
        return None;
    }
    Some(address_of(copy.cast_const())?.wrapping_sub(per_cpu_base()?))
}

/// Is nobody using this address space any more (it is being torn down)?
#[inline(always)]
pub(crate) fn is_dying(mm: u64) -> bool {
    read_kernel::<i32>(mm + kernel_offset!(mm_users)).is_none_or(|users| users <= 0)
}
