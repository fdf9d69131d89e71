//! Sizes of the kernel side's tables, in one place.

/// Thread slots: threads of traced processes that may be alive at once. Slot 0 means "none".
pub const THREADS: u32 = 16_384;
/// Traced processes that may be alive at once. Index 0 means "none".
pub const PROCESSES: u32 = 1_024;
/// Interpreter images hooked at once: distinct files. The index must fit a [`crate::site::Site`].
pub const IMAGES: u32 = 256;
/// Entries of the direct-mapped cache from a RESUME instruction's address to its function. A power of two.
pub const INSTRUCTION_CACHE: u32 = 16_384;
/// Code objects known at once; the least recently used ones are forgotten first.
pub const CODE_OBJECTS: u32 = 65_536;
/// Functions whose starts are counted in windows, by function id; those of later ones are counted together.
pub const WINDOW_FUNCTIONS: u32 = 131_072;
/// Frames reported when a thread's stack is read from its frame chain; deeper ones are cut, and said so.
pub const CHAIN_FRAMES: u32 = 4_096;
/// Frames of a sample; deeper stacks are cut, and said so: they are read while interrupts are off. A power of two.
pub const SAMPLE_FRAMES: u32 = 256;
/// States of the automaton that holds function globs against names in the kernel.
pub const GLOB_STATES: u32 = 1_024;
/// Bytes kept of a function's qualified name, from its beginning.
pub const NAME_BYTES: usize = 256;
/// Bytes kept of a file name, from its end.
pub const FILE_BYTES: usize = 512;
/// Default size of all far event rings together, in bytes: on two CPUs, at 60 MB/s per running thread, a quarter of a second
/// of a stalled reader.
pub const RING_BYTES: u32 = 32 << 20;
/// Functions that the kernel side adds up; those of which it hears later are one row for each process. The rows of these
/// come behind, one for each process index.
pub const FUNCTION_ROWS: u32 = 65_536;
/// Frames in one page of a stack that the kernel side keeps.
pub const STACK_PAGE_FRAMES: u32 = 64;
/// Frames that such a stack may hold; deeper ones are counted, but not timed.
pub const STACK_FRAMES: u32 = 8_192;
/// Pages for all such stacks together: 1,000 threads take two each at least, one of 5,000 frames takes 80.
pub const STACK_PAGES: u32 = 8_192;
/// Functions whose names wait for the loader in a map, where the ring buffer had no room for them.
pub const WAITING_NAMES: u32 = 8_192;
/// Least size of a CPU's far event ring by default.
pub const CPU_RING_BYTES: u32 = 1 << 20;
/// Most that the ring buffer for all other records takes, in bytes.
pub const SHARED_RING_BYTES: u32 = 4 << 20;
