//! Where an interpreter keeps its threads, and each thread the frame that it executes: how a stack is found without an
//! event of its thread.
//!
//! From 3.13 on the offsets are published, as those of [`super::layout`] are.

use super::elf::Elf;

/// A larger published offset is a sign of damage. Interpreter states have a few hundred kilobytes.
const MAX_OFFSET: u64 = 1 << 20;

/// Byte offsets on the way from the runtime to the frames that run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadStates {
    /// Virtual address of `_PyRuntime` in the file.
    pub runtime: u64,
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
    /// Where the pointer to the frame lies in what [`ThreadStates::frame`] points to (`_PyCFrame`, up to 3.12); `None`:
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

/// Of an image of CPython 3.`minor`. `None`: a version that we do not know.
pub fn of(minor: u8, elf: &Elf) -> Option<ThreadStates> {
    let runtime = elf.symbol("_PyRuntime")?.address;
    if let Some(positions) = PUBLISHED.iter().find(|positions| positions.minor == minor) {
        return positions.read(elf, runtime);
    }
    // Source: the structures of the version's headers, compiled.
    let common = ThreadStates {
        runtime,
        first_interpreter: 40,
        next_interpreter: 0,
        first_thread: 16,
        next_thread: 8,
        frame: 56,
        frame_in_c_frame: Some(8),
        thread: ThreadId::Native(160),
    };
    Some(match minor {
        8..=10 => ThreadStates {
            first_interpreter: 32,
            first_thread: 8,
            frame: 24,
            frame_in_c_frame: None,
            thread: ThreadId::Descriptor(176),
            ..common
        },
        11 => common,
        12 => ThreadStates {
            first_thread: 72,
            frame_in_c_frame: Some(0),
            thread: ThreadId::Native(144),
            ..common
        },
        _ => return None,
    })
}

/// Where in the published block each offset stands. Source: `Include/internal/pycore_debug_offsets.h`.
struct Published {
    minor: u8,
    first_interpreter: u64,
    next_interpreter: u64,
    first_thread: u64,
    next_thread: u64,
    frame: u64,
    native_id: u64,
}

const PUBLISHED: [Published; 3] = [
    Published { minor: 13, next_thread: 168, frame: 184, native_id: 200, ..Published::COMMON },
    Published { minor: 14, next_thread: 192, frame: 208, native_id: 224, ..Published::COMMON },
    Published { minor: 15, next_thread: 192, frame: 208, native_id: 248, ..Published::COMMON },
];

impl Published {
    const COMMON: Self = Self {
        minor: 0,
        first_interpreter: 40,
        next_interpreter: 64,
        first_thread: 72,
        next_thread: 0,
        frame: 0,
        native_id: 0,
    };

    fn read(&self, elf: &Elf, runtime: u64) -> Option<ThreadStates> {
        let offset = |at: u64| elf.u64_at(runtime.checked_add(at)?).filter(|&offset| offset < MAX_OFFSET);
        Some(ThreadStates {
            runtime,
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
