//! Every map, and the constants that the loader sets before loading.

use core::ptr;

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, Queue, RingBuf},
};
use tracer_common::{
    aggregate::{FunctionSums, ProcessSums, Stack, StackPage},
    layout::Layout,
    limits::{
        CODE_OBJECTS, FUNCTION_ROWS, GLOB_STATES, IMAGES, INSTRUCTION_CACHE, PROCESSES as MAX_PROCESSES,
        SHARED_RING_BYTES, STACK_PAGES as MAX_STACK_PAGES, THREADS as MAX_THREADS, WAITING_NAMES,
        WINDOW_FUNCTIONS,
    },
    record::FunctionRecord,
    ring::{Positions, Slot},
    sample::{PythonThread, SampleBuffer, SampledProcess},
    state::{
        CachedInstruction, Code, CodeKey, GlobState, Interpreter, KernelOffsets, Process, RssLocal, Running,
        Starts, Thread, Window, total,
    },
};

const BPF_F_MMAPABLE: u32 = 1 << 10;

/// Slots of the event rings, one ring behind the other, the near ones first.
#[map]
pub(crate) static EVENT_SLOTS: Array<Slot> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// How far each event ring is written and read.
#[map]
pub(crate) static EVENT_POSITIONS: Array<Positions> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Records that do not go by the event rings: those on processes, and large ones.
#[map]
pub(crate) static RING: RingBuf = RingBuf::with_byte_size(SHARED_RING_BYTES, 0);

/// Thread slots. The loader maps this memory to read counters without a system call each.
#[map]
pub(crate) static THREADS: Array<Thread> = Array::with_max_entries(MAX_THREADS, BPF_F_MMAPABLE);

/// What runs on this CPU.
#[map]
pub(crate) static CURRENT: PerCpuArray<Running> = PerCpuArray::with_max_entries(1, 0);

/// Thread id to slot.
#[map]
pub(crate) static TASKS: HashMap<u32, u32> = HashMap::with_max_entries(MAX_THREADS, 0);

/// Slots that were used and may be used again.
#[map]
pub(crate) static FREE_THREADS: Queue<u32> = Queue::with_max_entries(MAX_THREADS, 0);

/// Traced processes.
#[map]
pub(crate) static PROCESSES: Array<Process> = Array::with_max_entries(MAX_PROCESSES, 0);

/// What each of them runs.
#[map]
pub(crate) static INTERPRETERS: Array<Interpreter> = Array::with_max_entries(MAX_PROCESSES, 0);

/// The windows in which they are traced, if they are not all the time. The loader maps this memory.
#[map]
pub(crate) static WINDOWS: Array<Window> = Array::with_max_entries(MAX_PROCESSES, BPF_F_MMAPABLE);

/// Starts in the window that is open, by function id. The loader maps this memory, and empties it after each window.
#[map]
pub(crate) static WINDOW_STARTS: Array<Starts> = Array::with_max_entries(WINDOW_FUNCTIONS, BPF_F_MMAPABLE);

/// Process id to index.
#[map]
pub(crate) static PROCESS_OF: HashMap<u32, u32> = HashMap::with_max_entries(MAX_PROCESSES, 0);

/// Process indices that were used and may be used again.
#[map]
pub(crate) static FREE_PROCESSES: Queue<u32> = Queue::with_max_entries(MAX_PROCESSES, 0);

/// Address of an `mm_struct` to the index of its process.
#[map]
pub(crate) static MMS: HashMap<u64, u32> = HashMap::with_max_entries(MAX_PROCESSES, 0);

/// This CPU's part of each process's resident memory counters when last looked at: index * 4 + member.
#[map]
pub(crate) static RSS_LOCALS: PerCpuArray<RssLocal> = PerCpuArray::with_max_entries(MAX_PROCESSES * 4, 0);

/// Object layouts by image.
#[map]
pub(crate) static LAYOUTS: Array<Layout> = Array::with_max_entries(IMAGES, 0);

/// Code objects seen.
#[map]
pub(crate) static CODES: LruHashMap<CodeKey, Code> = LruHashMap::with_max_entries(CODE_OBJECTS, 0);

/// Cache from RESUME instructions to functions.
#[map]
pub(crate) static INSTRUCTIONS: Array<CachedInstruction> = Array::with_max_entries(INSTRUCTION_CACHE, 0);

/// The automaton for function globs.
#[map]
pub(crate) static GLOBS: Array<GlobState> = Array::with_max_entries(GLOB_STATES, 0);

/// Where the interpreters of sampled processes keep their frames, by process index.
#[map]
pub(crate) static SAMPLED: Array<SampledProcess> = Array::with_max_entries(MAX_PROCESSES, 0);

/// Thread states, by thread slot.
#[map]
pub(crate) static PYTHON_THREADS: Array<PythonThread> = Array::with_max_entries(MAX_THREADS, 0);

/// What the loader knows as a thread's stack, as a hash, by thread slot; 0: nothing.
#[map]
pub(crate) static SENT_STACKS: Array<u64> = Array::with_max_entries(MAX_THREADS, 0);

/// Where samples are put together: one for timers, which may come in between, one for changes of memory.
#[map]
pub(crate) static SAMPLES: PerCpuArray<SampleBuffer> = PerCpuArray::with_max_entries(2, 0);

/// Single numbers, see [`total`]. The loader maps this memory to count in it too.
#[map]
pub(crate) static TOTALS: Array<u64> = Array::with_max_entries(total::COUNT, BPF_F_MMAPABLE);

/// Where calls are added up here: the stacks of threads, by slot. The loader maps this memory and that of the next two.
#[map]
pub(crate) static STACKS: Array<Stack> = Array::with_max_entries(MAX_THREADS, BPF_F_MMAPABLE);

/// What those stacks consist of.
#[map]
pub(crate) static STACK_PAGES: Array<StackPage> =
    Array::with_max_entries(MAX_STACK_PAGES + 1, BPF_F_MMAPABLE);

/// Sums of functions, by row, then one row for each process index, see [`FUNCTION_ROWS`].
#[map]
pub(crate) static SUMS: Array<FunctionSums> =
    Array::with_max_entries(FUNCTION_ROWS + MAX_PROCESSES, BPF_F_MMAPABLE);

/// Pages that were used and may be used again.
#[map]
pub(crate) static FREE_STACK_PAGES: Queue<u32> = Queue::with_max_entries(MAX_STACK_PAGES, 0);

/// Sums of processes, by index.
#[map]
pub(crate) static PROCESS_SUMS: Array<ProcessSums> = Array::with_max_entries(MAX_PROCESSES, 0);

/// A hash of process, name, file and line to the row.
#[map]
pub(crate) static ROWS: HashMap<u64, u32> = HashMap::with_max_entries(FUNCTION_ROWS, 0);

/// Names that found no room in the ring buffer.
#[map]
pub(crate) static NAMES: Array<FunctionRecord> = Array::with_max_entries(WAITING_NAMES, 0);

#[unsafe(no_mangle)]
static KERNEL: KernelOffsets = KernelOffsets {
    task_pid: 0,
    task_mm: 0,
    mm_users: 0,
    mm_rss_stat: 0,
    counter_size: 0,
    counter_count: 0,
    counter_locals: 0,
    array_pptrs: 0,
    task_tgid: 0,
    task_signal: 0,
    signal_live: 0,
    pid_namespace: 0,
    task_thread_pid: 0,
    task_group_leader: 0,
    pid_level: 0,
    pid_numbers: 0,
    upid_size: 0,
    upid_nr: 0,
    upid_ns: 0,
    namespace_inode: 0,
    cpus: 0,
    task_last_arrival: 0,
    task_cfs_rq: 0,
    cfs_rq_rq: 0,
    rq_clock: 0,
};

#[unsafe(no_mangle)]
static EVENT_RINGS: u32 = 1;

#[unsafe(no_mangle)]
static NEAR_RING_SLOTS: u32 = 1;

#[unsafe(no_mangle)]
static FAR_RING_SLOTS: u32 = 1;

#[unsafe(no_mangle)]
static FILTERING: u32 = 0;

#[unsafe(no_mangle)]
static ALL: u32 = 0;

#[unsafe(no_mangle)]
static FOLLOW: u32 = 0;

#[unsafe(no_mangle)]
static WATCH_EXEC: u32 = 0;

#[unsafe(no_mangle)]
static SAMPLING: u32 = 0;

#[unsafe(no_mangle)]
static STREAMING: u32 = 1;

#[unsafe(no_mangle)]
static AGGREGATING: u32 = 0;

#[unsafe(no_mangle)]
static ROWS_LIMIT: u32 = FUNCTION_ROWS;

#[unsafe(no_mangle)]
static STACK_PAGES_LIMIT: u32 = MAX_STACK_PAGES + 1;

/// Reads one of the kernel's offsets; the verifier sees a constant.
macro_rules! kernel_offset {
    ($field:ident) => {
        $crate::maps::kernel_offset_at(core::mem::offset_of!(tracer_common::state::KernelOffsets, $field))
    };
}
pub(crate) use kernel_offset;

/// See [`kernel_offset`].
#[inline(always)]
pub(crate) fn kernel_offset_at(field: usize) -> u64 {
    // SAFETY: a u32 field of a static of this program; volatile because the loader changes it before loading.
    let offset = unsafe { ptr::read_volatile((&raw const KERNEL).byte_add(field).cast::<u32>()) };
    u64::from(offset)
}

/// Event rings of either kind: a power of two.
#[inline(always)]
pub(crate) fn event_rings() -> u32 {
    // SAFETY: a static of this program; volatile because the loader changes it before loading.
    unsafe { ptr::read_volatile(&raw const EVENT_RINGS) }
}

/// Slots of each near ring: a power of two.
#[inline(always)]
pub(crate) fn near_ring_slots() -> u64 {
    // SAFETY: a static of this program; volatile because the loader changes it before loading.
    u64::from(unsafe { ptr::read_volatile(&raw const NEAR_RING_SLOTS) })
}

/// Slots of each far ring: a power of two, or 0 where there are none.
#[inline(always)]
pub(crate) fn far_ring_slots() -> u64 {
    // SAFETY: a static of this program; volatile because the loader changes it before loading.
    u64::from(unsafe { ptr::read_volatile(&raw const FAR_RING_SLOTS) })
}

/// Are there function globs?
#[inline(always)]
pub(crate) fn filtering() -> bool {
    // SAFETY: a static of this program; volatile because the loader changes it before loading.
    unsafe { ptr::read_volatile(&raw const FILTERING) != 0 }
}

/// Is every process of a hooked image traced?
#[inline(always)]
pub(crate) fn all() -> bool {
    // SAFETY: a static of this program; volatile because the loader changes it before loading.
    unsafe { ptr::read_volatile(&raw const ALL) != 0 }
}

/// Are children of traced processes traced too?
#[inline(always)]
pub(crate) fn following() -> bool {
    // SAFETY: a static of this program; volatile because the loader changes it before loading.
    unsafe { ptr::read_volatile(&raw const FOLLOW) != 0 }
}

/// Is the loader told of every process that calls exec, traced or not?
#[inline(always)]
pub(crate) fn watch_exec() -> bool {
    // SAFETY: a static of this program; volatile because the loader changes it before loading.
    unsafe { ptr::read_volatile(&raw const WATCH_EXEC) != 0 }
}

/// Are stacks read by samples, not followed by probes?
#[inline(always)]
pub(crate) fn sampling() -> bool {
    // SAFETY: a static of this program; volatile because the loader changes it before loading.
    unsafe { ptr::read_volatile(&raw const SAMPLING) != 0 }
}

/// Are events sent to the loader?
#[inline(always)]
pub(crate) fn streaming() -> bool {
    // SAFETY: a static of this program; volatile because the loader changes it before loading.
    unsafe { ptr::read_volatile(&raw const STREAMING) != 0 }
}

/// Are calls added up here?
#[inline(always)]
pub(crate) fn aggregating() -> bool {
    // SAFETY: a static of this program; volatile because the loader changes it before loading.
    unsafe { ptr::read_volatile(&raw const AGGREGATING) != 0 }
}

/// Numbers of pages of stacks are below this.
#[inline(always)]
pub(crate) fn stack_pages_limit() -> u32 {
    // SAFETY: a static of this program; volatile because the loader changes it before loading.
    unsafe { ptr::read_volatile(&raw const STACK_PAGES_LIMIT) }
}

/// Rows below this are for functions.
#[inline(always)]
pub(crate) fn rows_limit() -> u32 {
    // SAFETY: a static of this program; volatile because the loader changes it before loading.
    unsafe { ptr::read_volatile(&raw const ROWS_LIMIT) }
}

/// Are they also read at each change of memory?
#[inline(always)]
pub(crate) fn sampling_memory() -> bool {
    // SAFETY: a static of this program; volatile because the loader changes it before loading.
    unsafe { ptr::read_volatile(&raw const SAMPLING) == 2 }
}

/// Adds to one of the single numbers and returns its value before.
#[inline(always)]
pub(crate) fn add_total(index: u32, amount: u64) -> u64 {
    match TOTALS.get_ptr_mut(index) {
        // SAFETY: a live map value of 8 bytes, aligned to 8.
        Some(value) => unsafe { atomic_add(value, amount) },
        None => 0,
    }
}

/// Adds atomically.
///
/// # Safety
/// `value` points into a map value and is aligned to 8.
#[inline(always)]
pub(crate) unsafe fn atomic_add_only(value: *mut u64, amount: u64) {
    // SAFETY: by the caller's promise.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({value} + 0) += {amount}",
            amount = in(reg) amount,
            value = in(reg) value,
            options(nostack)
        );
    }
}

/// Adds atomically and returns the value before.
///
/// # Safety
/// `value` points into a map value and is aligned to 8.
#[inline(always)]
pub(crate) unsafe fn atomic_add(value: *mut u64, amount: u64) -> u64 {
    let mut before = amount;
    // The BPF targets have no read-modify-write in `core::sync::atomic`.
    // SAFETY: by the caller's promise.
    unsafe {
        core::arch::asm!(
            "{before} = atomic_fetch_add((u64 *)({value} + 0), {before})",
            before = inout(reg) before,
            value = in(reg) value,
            options(nostack)
        );
    }
    before
}

/// Sets a number if it is still what it was; returns what it was.
///
/// # Safety
/// `value` points into a map value and is aligned to 8.
#[inline(always)]
pub(crate) unsafe fn compare_exchange(value: *mut u64, expected: u64, new: u64) -> u64 {
    let before: u64;
    // SAFETY: by the caller's promise.
    unsafe {
        core::arch::asm!(
            "r0 = cmpxchg_64({value} + 0, r0, {new})",
            inlateout("r0") expected => before,
            value = in(reg) value,
            new = in(reg) new,
            options(nostack)
        );
    }
    before
}

/// Generation of the instruction cache.
#[inline(always)]
pub(crate) fn generation() -> u64 {
    // SAFETY: a live map value; changed by others at any time.
    TOTALS.get_ptr(total::GENERATION).map_or(0, |generation| unsafe { ptr::read_volatile(generation) })
}

/// An index that nobody uses, below `limit`: one that never was used, counted in [`total`] at `new`, or one that was given
/// back. 0 is never handed out.
#[inline(always)]
pub(crate) fn free_index(new: u32, limit: u32, given_back: &Queue<u32>) -> Option<u32> {
    let number = add_total(new, 1) + 1;
    if number < u64::from(limit) { Some(number as u32) } else { given_back.pop().ok().flatten() }
}

/// What a process runs.
#[inline(always)]
pub(crate) fn interpreter(process: u32) -> Option<Interpreter> {
    // SAFETY: a live map value; the loader writes it as a whole.
    INTERPRETERS.get_ptr(process).map(|interpreter| unsafe { ptr::read_volatile(interpreter) })
}

/// Notes what a process runs, in an address space that is new: nothing cached of it holds.
#[inline(always)]
pub(crate) fn set_interpreter(process: u32, image: u32, code_type: u64) {
    if let Some(interpreter) = INTERPRETERS.get_ptr_mut(process) {
        let space = add_total(total::SPACES, 1) as u32 + 1;
        // SAFETY: a live map value.
        unsafe { ptr::write_volatile(interpreter, Interpreter { code_type, image, space }) };
        add_total(total::GENERATION, 1);
    }
}
