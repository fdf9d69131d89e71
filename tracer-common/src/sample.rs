//! Sampling: what the loader tells the kernel side of interpreters and threads, and what comes back of their stacks.

use crate::limits::SAMPLE_FRAMES;
use crate::record::SampleRecord;

/// Where a process's interpreter keeps what a sample needs.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampledProcess {
    /// First address of the interpreter's own code; 0: nothing is known of this process yet.
    pub text_start: u64,
    /// First address after it.
    pub text_end: u64,
    /// Thread state: the frame that runs, or what points to it.
    pub frame: u32,
    /// Where in that the pointer to the frame is; [`SampledProcess::DIRECT`]: it is the frame.
    pub frame_in_c_frame: u32,
    /// Thread state: what tells whose it is, see [`PythonThread::id`].
    pub id: u32,
    /// Unused.
    pub pad: u32,
}

impl SampledProcess {
    /// See [`SampledProcess::frame_in_c_frame`].
    pub const DIRECT: u32 = u32::MAX;
}

/// What is known of the thread in a slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PythonThread {
    /// Thread id: a slot may be another thread's by now.
    pub tid: u32,
    /// Unused.
    pub pad: u32,
    /// Address of its thread state; 0: it has none.
    pub state: u64,
    /// What stands in the state: the thread's id as its process sees it, or its `pthread_t`.
    pub id: u64,
}

/// What a thread was doing when a sample was taken of it.
pub mod origin {
    /// Running the interpreter's own code.
    pub const PYTHON: u32 = 0;
    /// Running code of another file, or of none.
    pub const NATIVE: u32 = 1;
    /// In the kernel.
    pub const SYSTEM: u32 = 2;
    /// Changing its resident memory: a record of kind `RSS` of the same thread follows.
    pub const MEMORY: u32 = 3;
}

/// A record with room for the function ids that follow it, innermost first; only as many as it says are sent.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SampleBuffer {
    /// The record.
    pub record: SampleRecord,
    /// The ids.
    pub functions: [u32; SAMPLE_FRAMES as usize],
}

#[cfg(feature = "user")]
mod pod {
    // SAFETY: repr(C), integers only, without implicit padding.
    unsafe impl aya::Pod for super::SampledProcess {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::PythonThread {}
}
