//! Where an interpreter keeps its threads, and each thread the frame that it executes: how a stack is found without an
//! event of its thread.
//!
//! From 3.13 on the offsets are published, as those of [`super::layout`] are.

use super::{
    elf::Elf,
    versions::{Threads, VersionTable},
};

/// A larger published offset is a sign of damage. Interpreter states have a few hundred kilobytes.
const MAX_OFFSET: u64 = 1 << 20;

/// Where the threads of an image are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadStates {
    /// Virtual address of `_PyRuntime` in the file.
    pub runtime: u64,
    /// The way from there.
    pub offsets: ThreadOffsets,
}

/// Byte offsets on the way from the runtime to the frames that run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadOffsets {
    /// Runtime: the first interpreter.
    pub first_interpreter: u64,
    /// Interpreter: the next one.
    pub next_interpreter: u64,
    /// Interpreter: its first thread state.
    pub first_thread: u64,
    /// Thread state: the next one of its interpreter.
    pub next_thread: u64,
    /// Thread state: the frame that runs, or what points to it.
    pub frame: u64,
    /// Where the pointer to the frame lies in what [`ThreadOffsets::frame`] points to (`_PyCFrame`, up to 3.12); `None`:
    /// that is the frame.
    pub frame_in_c_frame: Option<u64>,
    /// Thread state: which thread it is of.
    pub thread: ThreadId,
}

/// How a thread state names its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadId {
    /// By its id, as the process itself sees it, at this offset.
    Native(u64),
    /// By its `pthread_t` at this offset (up to 3.10). With glibc that is the address of the thread's descriptor.
    Descriptor(u64),
}

impl ThreadId {
    /// Where in the thread state it is.
    pub fn offset(self) -> u64 {
        match self {
            Self::Native(offset) | Self::Descriptor(offset) => offset,
        }
    }
}

/// Of an image of a version. `None`: it should publish that, and what is there can't be read.
pub fn of(table: &VersionTable, elf: &Elf) -> Option<ThreadStates> {
    let runtime = elf.symbol("_PyRuntime")?.address;
    let offsets = match &table.threads {
        Threads::Fixed(offsets) => *offsets,
        Threads::Published(positions) => positions.read(elf, runtime)?,
    };
    Some(ThreadStates { runtime, offsets })
}

impl ThreadOffsets {
    /// Those of 3.11.
    pub(super) const COMMON: Self = Self {
        first_interpreter: 40,
        next_interpreter: 0,
        first_thread: 16,
        next_thread: 8,
        frame: 56,
        frame_in_c_frame: Some(8),
        thread: ThreadId::Native(160),
    };
    /// Those of 3.8 to 3.10.
    pub(super) const OF_FRAME_OBJECTS: Self = Self {
        first_interpreter: 32,
        first_thread: 8,
        frame: 24,
        frame_in_c_frame: None,
        thread: ThreadId::Descriptor(176),
        ..Self::COMMON
    };
}

/// Where in the published block each offset stands.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names are those of `ThreadOffsets`")]
pub struct PublishedThreads {
    pub first_interpreter: u64,
    pub next_interpreter: u64,
    pub first_thread: u64,
    pub next_thread: u64,
    pub frame: u64,
    pub native_id: u64,
}

impl PublishedThreads {
    /// What is at the same place in all versions.
    pub(super) const COMMON: Self = Self {
        first_interpreter: 40,
        next_interpreter: 64,
        first_thread: 72,
        next_thread: 0,
        frame: 0,
        native_id: 0,
    };

    fn read(&self, elf: &Elf, runtime: u64) -> Option<ThreadOffsets> {
        let offset = |at: u64| elf.u64_at(runtime.checked_add(at)?).filter(|&offset| offset < MAX_OFFSET);
        Some(ThreadOffsets {
            first_interpreter: offset(self.first_interpreter)?,
            next_interpreter: offset(self.next_interpreter)?,
            first_thread: offset(self.first_thread)?,
            next_thread: offset(self.next_thread)?,
            frame: offset(self.frame)?,
            frame_in_c_frame: None,
            thread: ThreadId::Native(offset(self.native_id)?),
        })
    }
}
