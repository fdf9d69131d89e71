//! The loader's side of the event stream: what [`crate::decode`] makes of ring buffer records and all later
//! stages work on. Times are `CLOCK_MONOTONIC` nanoseconds.

/// Thread slot of the kernel side. Handed out again after [`Event::ThreadExit`].
pub type Slot = u16;
/// Process index of the kernel side.
pub type ProcessIndex = u32;
/// Function id: one per code object seen; several ids may name the same function.
pub type FunctionId = u32;

/// Kinds of resident memory, as the kernel counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Member {
    /// Mapped files.
    File = 0,
    /// Anonymous memory.
    Anon = 1,
    /// Swapped out; not part of RSS.
    Swap = 2,
    /// Shared memory.
    Shmem = 3,
}

impl Member {
    /// Does it count towards RSS?
    pub fn in_rss(self) -> bool {
        self != Self::Swap
    }
}

/// Who caused a change of resident memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// This thread of the process.
    Thread(Slot),
    /// A thread of the process that has no slot, or that the loader could not be told of.
    Unfollowed,
    /// Another task: reclaim, `process_madvise`.
    Outside,
}

/// A function as the interpreter names it. Strings come from the traced process: escape them where shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Function {
    /// Qualified name (3.11+), else the plain name.
    pub name: String,
    /// `co_filename`.
    pub file: String,
    /// First line of the definition.
    pub line: u32,
}

/// What became of frames that are open no more without an event of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnseenEnd {
    /// They were suspended.
    Suspended,
    /// An exception left them.
    Raised,
}

/// What a frame did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameEvent {
    /// Began (a call) or went on after a yield or await (`resumed`).
    Start {
        /// After a yield or await.
        resumed: bool,
        /// Its function.
        function: FunctionId,
    },
    /// Ended: returned or unwound; where the source can't tell, yielded.
    End,
    /// A generator or coroutine was suspended.
    Yield,
    /// An exception reached it. Not on the stack: it was thrown into, which resumes it.
    Raise {
        /// Its function.
        function: FunctionId,
    },
    /// As `Start`, where the source does not see all ends.
    Called {
        /// After a yield or await.
        resumed: bool,
        /// Its function.
        function: FunctionId,
        /// The frame that called it; 0: unknown. What lies above that one has ended.
        caller: u64,
        /// How.
        unseen: UnseenEnd,
    },
    /// As `Raise`, where the source does not see all ends.
    Thrown {
        /// It was suspended, and goes on by this.
        suspended: bool,
        /// Its function.
        function: FunctionId,
        /// The frame that called it; 0: unknown. What lies above that one has ended.
        caller: u64,
        /// How.
        unseen: UnseenEnd,
    },
    /// Part of the thread's stack as the interpreter has it, innermost first.
    Held {
        /// Its function.
        function: FunctionId,
    },
}

/// What a thread was doing when a sample was taken of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Running the interpreter's own code.
    Python,
    /// Running code of another file, or of none.
    Native,
    /// In the kernel.
    System,
    /// Not running.
    OffCpu,
    /// Changing its resident memory; the change is the thread's next [`Event::Rss`].
    Memory,
}

/// The stack of a thread at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub time_ns: u64,
    /// Which thread.
    pub thread: Slot,
    /// What it was doing.
    pub origin: Origin,
    /// How many samples this is: a thread that does not run has the same stack each time.
    pub samples: u64,
    /// The time that they stand for; `None`: one period.
    pub weight_ns: Option<u64>,
    /// The stack.
    pub stack: SampledStack,
}

/// What was found as a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SampledStack {
    /// These functions; none: the thread ran no Python function.
    Functions {
        /// Innermost first.
        functions: Vec<FunctionId>,
        /// There are more, further out.
        cut: bool,
    },
    /// It was not known yet where the thread has its stack.
    UnknownThread,
    /// It could not be read, or was not a stack.
    Unreadable,
}

/// One decoded record.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A frame event of a thread.
    Frame {
        /// When.
        time_ns: u64,
        /// Which thread.
        thread: Slot,
        /// Address of the frame: its identity while it is on a stack.
        frame: u64,
        /// What happened.
        what: FrameEvent,
    },
    /// End of a run of `Held` events: the stack is now known.
    HeldEnd {
        /// When.
        time_ns: u64,
        /// Which thread.
        thread: Slot,
        /// False: frames further out are unknown.
        complete: bool,
    },
    /// A thread's totals since it got its slot; comes before the frame event of the same time.
    Counters {
        /// When.
        time_ns: u64,
        /// Which thread.
        thread: Slot,
        /// Time off CPU.
        off_cpu_ns: u64,
        /// Page faults.
        faults: u64,
    },
    /// This thread lost records; a run of `Held` follows.
    Loss {
        /// When it was noticed.
        time_ns: u64,
        /// Which thread.
        thread: Slot,
        /// How many.
        lost: u64,
    },
    /// Resident memory changed.
    Rss {
        /// When.
        time_ns: u64,
        /// Which process.
        process: ProcessIndex,
        /// Who caused it.
        cause: Cause,
        /// Kind.
        member: Member,
        /// Change in bytes.
        delta_bytes: i64,
    },
    /// Resident memory when counting began, in bytes by [`Member`].
    RssBase {
        /// When.
        time_ns: u64,
        /// Which process.
        process: ProcessIndex,
        /// Bytes by member.
        bytes: [i64; 4],
    },
    /// A sample was taken.
    Sample(Sample),
    /// A code object was seen for the first time.
    Function {
        /// Its id.
        id: FunctionId,
        /// Which process.
        process: ProcessIndex,
        /// Names and line.
        function: Function,
        /// Address of the code object.
        code: u64,
        /// `co_flags`.
        code_flags: u32,
    },
    /// A thread got a slot.
    Thread {
        /// When.
        time_ns: u64,
        /// The slot.
        thread: Slot,
        /// Its process.
        process: ProcessIndex,
        /// Process id.
        pid: u32,
        /// Thread id.
        tid: u32,
    },
    /// A thread ended; the slot is free.
    ThreadExit {
        /// When.
        time_ns: u64,
        /// The slot.
        thread: Slot,
    },
    /// The kernel side found a new process of a known image (`--all`).
    Process {
        /// When.
        time_ns: u64,
        /// Index given.
        process: ProcessIndex,
        /// Process id.
        pid: u32,
    },
    /// A process called exec. `process` is `None` where it was not traced.
    Exec {
        /// When.
        time_ns: u64,
        /// Index, where traced.
        process: Option<ProcessIndex>,
        /// Process id.
        pid: u32,
        /// Not its first thread did, but one that has the first one's id from here on.
        by_thread: bool,
    },
    /// The last thread of a traced process ended.
    Exit {
        /// When.
        time_ns: u64,
        /// Which process.
        process: ProcessIndex,
        /// Process id.
        pid: u32,
    },
    /// A traced process forked, and the child is traced too.
    Fork {
        /// When.
        time_ns: u64,
        /// Index given to the child.
        process: ProcessIndex,
        /// Process id of the child.
        pid: u32,
        /// Process id of the parent.
        parent: u32,
        /// It runs in its parent's memory until it calls exec.
        shared_memory: bool,
    },
}
