//! Records, kernel to loader. Every record begins with a [`Header`], whose `kind` tells the rest.
//!
//! All times are `CLOCK_MONOTONIC` nanoseconds (`bpf_ktime_get_ns`). Most records are small and go by the event ring of the
//! CPU ([`crate::ring`]); those on processes and the large ones go by a ring buffer that all CPUs share. The loader puts
//! both in order (its `receive`): records of one thread arrive in the order in which they happened; records of different
//! threads may arrive slightly out of time order.

use crate::limits::{FILE_BYTES, NAME_BYTES};

macro_rules! record {
    ($(#[$doc:meta])* $name:ident, $size:literal, { $($(#[$field_doc:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy)]
        #[cfg_attr(feature = "user", derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout))]
        pub struct $name { $($(#[$field_doc])* pub $field: $ty,)* }
        const _: () = assert!(size_of::<$name>() == $size && align_of::<$name>() == 8);
    };
}

/// What a record says. Numbers are part of the event stream: never reuse one.
pub mod kind {
    /// [`super::FrameRecord`]: a function began or was resumed (flag [`super::flag::RESUMED`]).
    pub const START: u8 = 1;
    /// [`super::FrameRecord`]: a frame ended (returned, unwound; where the source can't tell, yielded).
    pub const END: u8 = 2;
    /// [`super::FrameRecord`]: a generator or coroutine was suspended.
    pub const YIELD: u8 = 3;
    /// [`super::FrameRecord`]: an exception reached this frame. A frame that is not on the stack was thrown into.
    pub const RAISE: u8 = 4;
    /// [`super::FrameRecord`]: one frame of a thread's stack as the interpreter has it, innermost first; the
    /// run of them ends with [`super::flag::OUTERMOST`] or [`super::flag::TRUNCATED`] in a record without a frame.
    pub const HELD: u8 = 5;
    /// [`super::CalledRecord`]: a START where ends are not all seen: it says what the new frame was called from.
    pub const CALLED: u8 = 6;
    /// [`super::CalledRecord`]: a RAISE where ends are not all seen.
    pub const THROWN: u8 = 7;
    /// [`super::CountersRecord`]: a thread's running counters, before the frame record of the same time.
    pub const COUNTERS: u8 = 8;
    /// [`super::LossRecord`]: what this thread could not send since its last record.
    pub const LOSS: u8 = 9;
    /// [`super::RssRecord`]: resident memory changed.
    pub const RSS: u8 = 10;
    /// [`super::RssBaseRecord`]: resident memory when counting began for this address space.
    pub const RSS_BASE: u8 = 11;
    /// [`super::FunctionRecord`]: a code object seen for the first time.
    pub const FUNCTION: u8 = 16;
    /// [`super::TaskRecord`]: a thread got a slot.
    pub const THREAD: u8 = 17;
    /// [`super::TaskRecord`]: a thread ended; its slot may be handed out again.
    pub const THREAD_EXIT: u8 = 18;
    /// [`super::TaskRecord`]: the kernel side has given a process an index (`--all`).
    pub const PROCESS: u8 = 19;
    /// [`super::TaskRecord`]: a process called exec.
    pub const EXEC: u8 = 20;
    /// [`super::TaskRecord`]: the last thread of a process ended.
    pub const EXIT: u8 = 21;
    /// [`super::TaskRecord`]: a traced process forked, and the kernel side has given the child an index; `other` is the
    /// parent.
    pub const FORK: u8 = 22;
    /// [`super::SampleRecord`]: the stack of a thread at some moment.
    pub const SAMPLE: u8 = 32;

    /// Is this a [`super::CalledRecord`]?
    #[must_use]
    pub const fn has_caller(kind: u8) -> bool {
        matches!(kind, CALLED | THROWN)
    }
}

/// Bits of [`Header::flags`]; their meaning depends on the kind.
pub mod flag {
    /// START, CALLED: after a yield or await, not a new call. THROWN: the frame was suspended, and goes on by this.
    pub const RESUMED: u8 = 1;
    /// CALLED, THROWN: frames that are on the stack no more without an END or YIELD were suspended; else unwound.
    pub const SUSPENDED_UNSEEN: u8 = 2;
    /// HELD: the chain is complete.
    pub const OUTERMOST: u8 = 1;
    /// HELD: the chain was cut at [`crate::limits::CHAIN_FRAMES`] or at an unreadable frame.
    pub const TRUNCATED: u8 = 2;
    /// RSS: caused by another task (reclaim, `process_madvise`). Without it thread 0 is one of the process's own that
    /// has no slot, or that there was no room to announce.
    pub const OUTSIDE: u8 = 1;
    /// FORK: the child runs in its parent's memory until it calls exec (`vfork`, `posix_spawn`).
    pub const SHARED_MEMORY: u8 = 1;
    /// SAMPLE: the stack was cut at [`crate::limits::SAMPLE_FRAMES`].
    pub const STACK_CUT: u8 = 1;
    /// SAMPLE: the loader has not told of this thread: its stack can't be found.
    pub const UNKNOWN_THREAD: u8 = 2;
    /// SAMPLE: the stack could not be read to its end, or is not one.
    pub const UNREADABLE: u8 = 4;
    /// FUNCTION: the name was cut to `NAME_BYTES` (its beginning is kept).
    pub const NAME_CUT: u8 = 1;
    /// FUNCTION: the file name was cut to `FILE_BYTES` (its end is kept).
    pub const FILE_CUT: u8 = 2;
}

record! {
    /// First 16 bytes of every record.
    Header, 16, {
        /// When it happened.
        time_ns: u64,
        /// A function id, process index or 0, by kind.
        value: u32,
        /// Thread slot; 0 where no thread is meant.
        thread: u16,
        /// One of [`kind`].
        kind: u8,
        /// Bits of [`flag`].
        flags: u8,
    }
}

record! {
    /// START, END, YIELD, RAISE, HELD. `header.value` is the function id; 0 in END and YIELD.
    FrameRecord, 24, {
        /// See [`Header`].
        header: Header,
        /// Address of the interpreter's frame; reused by the next call once the frame has ended.
        frame: u64,
    }
}

record! {
    /// CALLED, THROWN. `header.value` is the function id.
    CalledRecord, 32, {
        /// See [`Header`].
        header: Header,
        /// Address of the interpreter's frame.
        frame: u64,
        /// Address of the frame that called it; 0: none, or not readable.
        caller: u64,
    }
}

record! {
    /// A thread's stack: so many function ids of 4 bytes follow, innermost first. `header.value` is the process index.
    SampleRecord, 24, {
        /// See [`Header`].
        header: Header,
        /// How many functions.
        functions: u32,
        /// One of [`crate::sample::origin`].
        origin: u32,
    }
}

record! {
    /// Running totals of a thread since it got its slot.
    CountersRecord, 32, {
        /// See [`Header`].
        header: Header,
        /// Time not running on a CPU.
        off_cpu_ns: u64,
        /// Page faults, user and kernel mode.
        faults: u64,
    }
}

record! {
    /// Records that found no room in the ring buffer. A run of HELD records follows.
    LossRecord, 24, {
        /// See [`Header`].
        header: Header,
        /// Records lost since the last one that was sent.
        lost: u64,
    }
}

record! {
    /// One change of resident memory. `header.value` is the process index.
    RssRecord, 24, {
        /// See [`Header`].
        header: Header,
        /// Change in pages of 4096 bytes.
        delta_pages: i32,
        /// 0 file, 1 anonymous, 2 swap, 3 shared memory (`MM_FILEPAGES`.. in the kernel's `mm_types_task.h`).
        member: u32,
    }
}

record! {
    /// Totals in pages, by member, when counting began. `header.value` is the process index.
    RssBaseRecord, 48, {
        /// See [`Header`].
        header: Header,
        /// Pages by member.
        pages: [i64; 4],
    }
}

record! {
    /// Threads and processes. `header.value` is the process index.
    TaskRecord, 24, {
        /// See [`Header`].
        header: Header,
        /// Process id (the kernel's tgid), as the loader's PID namespace has it.
        pid: u32,
        /// Thread id, for EXEC the one before it (0: another one, not known any more); the parent's pid for FORK.
        other: u32,
    }
}

record! {
    /// Identity of a function, sent once per code object. `header.value` is the function id.
    FunctionRecord, 816, {
        /// See [`Header`].
        header: Header,
        /// Address of the code object.
        code: u64,
        /// Process index.
        process: u32,
        /// Line of the definition.
        first_line: u32,
        /// `co_flags` (0x20 generator, 0x80 coroutine, 0x200 asynchronous generator).
        code_flags: u32,
        /// Bytes used in `name`.
        name_bytes: u16,
        /// Bytes used in `file`.
        file_bytes: u16,
        /// Bytes per character in `name`: 1 (Latin-1 or ASCII), 2 or 4.
        name_width: u8,
        /// Bytes per character in `file`.
        file_width: u8,
        /// Unused.
        pad: [u8; 6],
        /// `co_qualname` (3.11+) or `co_name`, as the interpreter stores it.
        name: [u8; NAME_BYTES],
        /// `co_filename`, as the interpreter stores it.
        file: [u8; FILE_BYTES],
    }
}
