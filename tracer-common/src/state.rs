//! Values of the kernel side's maps that the loader also writes or reads.

/// One traced process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// Kernel process id (tgid); 0: free.
    pub pid: u32,
    /// A number that no other process has or will have; those that the loader gave have the highest bit set.
    pub number: u32,
    /// Kernel address of its `mm_struct`; 0 until first seen.
    pub mm: u64,
    /// Records that found no room in the ring buffer.
    pub lost: u64,
    /// START events that the interpreter reported twice (a RESUME that re-dispatches itself), dropped.
    pub duplicates: u64,
    /// Hits whose frame did not hold what the site promises (opcode or code object), dropped.
    pub mismatches: u64,
    /// The [`crate::site::Site`] of the last of them.
    pub mismatch_site: u64,
    /// Threads for which no slot was left; their events were not sent.
    pub no_slot: u64,
    /// Probe hits of threads that have ended.
    pub hits: u64,
    /// Shared part of each resident memory counter when last looked at.
    pub rss_count: [i64; 4],
}

/// What a traced process runs. Apart from [`Process`], in which the kernel side counts at any time: the loader writes
/// these as a whole.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Interpreter {
    /// Address of the interpreter's `PyCode_Type` in this process; 0: unknown, the check is left out.
    pub code_type: u64,
    /// Index of its interpreter image.
    pub image: u32,
    /// Number of the address space, new after each exec and for each process: addresses of code objects hold in one.
    /// The loader's have the highest bit set.
    pub space: u32,
}

/// One thread of a traced process. What every hit needs is in its first cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default)]
pub struct Thread {
    /// Process index.
    pub process: u32,
    /// Bits of [`thread_state`].
    pub state: u32,
    /// Probe hits.
    pub hits: u64,
    /// Frame of the last event if that was a START, else 0.
    pub last_start: u64,
    /// Time off CPU since the slot was made.
    pub off_cpu_ns: u64,
    /// `off_cpu_ns` of the last counters record.
    pub sent_off_cpu_ns: u64,
    /// Page faults since the slot was made.
    pub faults: u64,
    /// `faults` of the last counters record.
    pub sent_faults: u64,
    /// When it was switched out; 0 while it runs.
    pub switched_out_ns: u64,
    /// Where suspensions pass no site: the RESUMEs that frames have last passed in a form that may run again, by a
    /// hash of the frame.
    pub resumed: [ResumedAt; RESUMED],
    /// Records lost since the last one sent.
    pub lost: u64,
    /// `off_cpu_ns` as of the time of its last event. A program can itself be switched out after that: what it is off its
    /// CPU then belongs to the time after the event.
    pub off_cpu_at_event_ns: u64,
    /// Thread id.
    pub tid: u32,
    /// Unused.
    pub pad: [u32; 11],
}

const _: () = assert!(size_of::<Thread>() == 320);

/// Entries of [`Thread::resumed`]; a power of two.
pub const RESUMED: usize = 8;

/// Where a frame has begun or gone on.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ResumedAt {
    /// The frame; 0: none.
    pub frame: u64,
    /// Its RESUME.
    pub instruction: u64,
    /// The instrumentation version of its code object then.
    pub version: u64,
}

/// A process that is traced in windows. The loader opens and closes them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    /// 1: a window is open, starts are counted.
    pub open: u64,
    /// 1: probes are or may be in place. A sample would see what they do.
    pub probes: u64,
    /// Samples that were not taken because of that.
    pub samples_left_out: u64,
    /// Probe hits in the process, whether a window was open or not: the breakpoints are there somewhat longer.
    pub hits: u64,
    /// Starts of functions whose ids are beyond the table.
    pub beyond: u64,
}

/// Starts of one function in the window that is open.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Starts {
    /// Calls.
    pub calls: u32,
    /// Resumptions of generators and coroutines.
    pub resumes: u32,
}

/// Bits of [`Thread::state`].
pub mod thread_state {
    /// The loader knows this slot.
    pub const ANNOUNCED: u32 = 1;
    /// The loader's stack of this thread follows the interpreter's.
    pub const SYNCED: u32 = 2;
    /// The thread has ended, and there was no room to tell the loader so: it hands the slot out again when it sees this.
    pub const LEFT: u32 = 4;
}

/// What runs on a CPU, as of the last switch that was reported.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Running {
    /// Its `task_struct`; 0: no switch was reported yet.
    pub task: u64,
    /// Slot of the thread: 0 not known yet, [`UNTRACED`] not traced.
    pub slot: u32,
    /// Unused.
    pub pad: u32,
}

impl Running {
    /// Does another task run than the last switch that was reported has brought?
    #[must_use]
    pub fn is_not(&self, task: u64) -> bool {
        self.task != 0 && self.task != task
    }
}

/// In [`Running`]: a thread that has no slot.
pub const UNTRACED: u32 = u32::MAX;

/// One CPU's part of one resident memory counter, when last looked at.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct RssLocal {
    /// Address space it belongs to; anything else: not yet looked at.
    pub mm: u64,
    /// Pages.
    pub pages: i64,
}

/// A code object: which address space of which process, where.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CodeKey {
    /// Address of the code object.
    pub code: u64,
    /// Process index.
    pub process: u32,
    /// [`Interpreter::space`].
    pub space: u32,
}

/// What is known of a code object.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Code {
    /// Function id.
    pub id: u32,
    /// 1: no glob matches, its events are not sent.
    pub unwanted: u32,
    /// Where no probe tells that a code object is freed: what its names were when they were sent; else 0.
    pub guard: u64,
}

/// One entry of the cache from a RESUME instruction to its function.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct CachedInstruction {
    /// Instruction address and process index (above bit 48); 0: empty.
    pub key: u64,
    /// Function id (28 bits), [`cached`] bits; from [`cached::CHECK_SHIFT`] on what tells key and generation.
    pub value: u64,
}

/// Bits of [`CachedInstruction::value`].
pub mod cached {
    /// Function ids fit below this.
    pub const FUNCTION_LIMIT: u64 = 1 << 28;
    /// The RESUME stands after a yield or await.
    pub const RESUMED: u64 = 1 << 28;
    /// The RESUME does not begin anything.
    pub const IGNORED: u64 = 1 << 29;
    /// No glob matches the function.
    pub const UNWANTED: u64 = 1 << 30;
    /// Below this bit is what is cached.
    pub const CHECK_SHIFT: u32 = 32;
}

/// One state of the automaton for function globs. State 0 never matches, state 1 always does.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct GlobState {
    /// Next state by byte.
    pub next: [u16; 256],
    /// 1: what ends here may match.
    pub accepts: u16,
    /// Unused.
    pub pad: [u16; 3],
}

/// The state that nothing leads out of, and nothing that ends there matches.
pub const GLOB_NEVER: u16 = 0;
/// The state that everything that ends there may match from.
pub const GLOB_ALWAYS: u16 = 1;

/// Indices of the array of single numbers.
pub mod total {
    /// Function ids handed out so far.
    pub const FUNCTIONS: u32 = 0;
    /// Times all cached instructions were made invalid: a known code object was freed, an address space is new, the
    /// loader decided on a function.
    pub const GENERATION: u32 = 1;
    /// Thread slots handed out that were never used before, and tries to get one when there was none.
    pub const NEW_THREADS: u32 = 2;
    /// Per-CPU address that stands for "this CPU's copy", found on first use.
    pub const PER_CPU_BASE: u32 = 3;
    /// Probe hits in processes that are not traced, or in threads without a slot: they cost these as much.
    pub const STRAY_HITS: u32 = 4;
    /// Records about processes and threads that found no room in the ring buffer.
    pub const LOST_TASKS: u32 = 5;
    /// First state for the names of functions; 0 for this and the next: the loader decides on functions alone.
    pub const GLOB_NAMES: u32 = 6;
    /// First state for the names of files.
    pub const GLOB_FILES: u32 = 7;
    /// Address spaces numbered by the kernel side.
    pub const SPACES: u32 = 8;
    /// Processes that were not followed from their fork on: no index was left, or no room to tell the loader.
    pub const NOT_FOLLOWED: u32 = 9;
    /// Times that a sampling program ran for a traced thread.
    pub const SAMPLES: u32 = 10;
    /// What those took, nanoseconds.
    pub const SAMPLES_NS: u32 = 11;
    /// Events of after this time are not added up by the kernel side. Written by the loader only.
    pub const LAST_NS: u32 = 12;
    /// Functions whose names found no room in the ring buffer and wait in the map for that, or found none there either.
    pub const WAITING_NAMES: u32 = 13;
    /// Process indices handed out that were never used before, and tries to get one when there was none.
    pub const NEW_PROCESSES: u32 = 14;
    /// Pages of stacks handed out that were never used before, and tries to get one when there was none.
    pub const NEW_STACK_PAGES: u32 = 15;
    /// Times that a traced thread was found to run though no switch to it had been reported.
    pub const UNREPORTED_SWITCHES: u32 = 16;
    /// What the monotonic clock is ahead of the scheduler's, nanoseconds, modulo 2^64; 0: not known.
    pub const CLOCKS_DIFFER_NS: u32 = 17;
    /// When those two were compared.
    pub const CLOCKS_COMPARED_NS: u32 = 18;
    /// How many there are.
    pub const COUNT: u32 = 19;
}

/// Offsets of kernel structures, from the running kernel's BTF. All zero: resident memory can't be followed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(zerocopy::IntoBytes, zerocopy::Immutable))]
pub struct KernelOffsets {
    /// `task_struct.pid`
    pub task_pid: u32,
    /// `task_struct.mm`
    pub task_mm: u32,
    /// `mm_struct.mm_users`
    pub mm_users: u32,
    /// `mm_struct.rss_stat` (an array of `percpu_counter`, Linux 6.2+)
    pub mm_rss_stat: u32,
    /// Size of `percpu_counter`
    pub counter_size: u32,
    /// `percpu_counter.count`
    pub counter_count: u32,
    /// `percpu_counter.counters`
    pub counter_locals: u32,
    /// `bpf_array.pptrs`, by which a CPU's offset is found
    pub array_pptrs: u32,
    /// `task_struct.tgid`
    pub task_tgid: u32,
    /// `task_struct.signal`
    pub task_signal: u32,
    /// `signal_struct.live`
    pub signal_live: u32,
    /// Inode number of the loader's PID namespace; 0: the machine's first. What follows up to `namespace_inode` is then
    /// not used.
    pub pid_namespace: u32,
    /// `task_struct.thread_pid`
    pub task_thread_pid: u32,
    /// `task_struct.group_leader`
    pub task_group_leader: u32,
    /// `pid.level`
    pub pid_level: u32,
    /// `pid.numbers`
    pub pid_numbers: u32,
    /// Size of `upid`
    pub upid_size: u32,
    /// `upid.nr`
    pub upid_nr: u32,
    /// `upid.ns`
    pub upid_ns: u32,
    /// `pid_namespace.ns.inum`
    pub namespace_inode: u32,
    /// Possible CPUs.
    pub cpus: u32,
    /// `task_struct.sched_info.last_arrival`; 0: this kernel does not have it, or not all of the next three.
    pub task_last_arrival: u32,
    /// `task_struct.se.cfs_rq`
    pub task_cfs_rq: u32,
    /// `cfs_rq.rq`
    pub cfs_rq_rq: u32,
    /// `rq.clock`
    pub rq_clock: u32,
}

#[cfg(feature = "user")]
mod pod {
    macro_rules! pod { ($($ty:ty),*) => { $(
        // SAFETY: repr(C), integers only, without implicit padding.
        unsafe impl aya::Pod for $ty {}
    )* } }
    pod!(
        super::Process,
        super::Interpreter,
        super::Thread,
        super::Window,
        super::Starts,
        super::Running,
        super::RssLocal,
        super::CodeKey,
        super::Code,
        super::CachedInstruction,
        super::GlobState,
        super::KernelOffsets
    );
}
