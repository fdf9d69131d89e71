//! Where the fields that we read lie in one interpreter's frame, code and str objects.

/// Byte offsets, per interpreter image; filled in by the loader's plan, read by the kernel side's slow paths.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Frame: code object or `f_executable`.
    pub frame_code: u16,
    /// Frame: the caller's frame.
    pub frame_previous: u16,
    /// Frame: stored instruction pointer (3.11+).
    pub frame_instruction: u16,
    /// Frame: `f_lasti` (up to 3.10), an index that is negative until the frame has run; 0: there is none.
    pub frame_last_index: u16,
    /// Frame: `owner`, one byte; only used where `shim_owner` is not 0.
    pub frame_owner: u16,
    /// `PyFrameObject`: pointer to the interpreter frame; 0: the object is the frame (up to 3.10).
    pub frame_object_frame: u16,
    /// Object: `ob_type`.
    pub object_type: u16,
    /// Code: `co_flags`.
    pub code_flags: u16,
    /// Code: `co_firstlineno`.
    pub code_first_line: u16,
    /// Code: `co_filename`.
    pub code_file: u16,
    /// Code: `co_qualname` (3.11+), else `co_name`.
    pub code_name: u16,
    /// Code: `_co_instrumentation_version` (3.12+); 0: not known.
    pub code_version: u16,
    /// str: length in characters.
    pub str_length: u16,
    /// str: state bits.
    pub str_state: u16,
    /// str: characters of a compact ASCII string.
    pub str_ascii: u16,
    /// str: characters of any other compact string.
    pub str_compact: u16,
    /// Bits to clear in the frame's code field (3.14+ tags it).
    pub code_tag_mask: u8,
    /// Position of the `kind` bits in the str state (2 in every GIL build).
    pub str_kind_shift: u8,
    /// Frames with this `owner` are not functions (3.12+: one per call from C); 0: there are none.
    pub shim_owner: u8,
    /// Bits of RESUME's argument that tell where it stands (3 up to 3.14, 7 from 3.15 on).
    pub resume_mask: u8,
    /// The opcodes of RESUME in all its forms; 0: none.
    pub resume_opcodes: [u8; 4],
    /// A RESUME with this location does not begin anything (4 in 3.15: a generator expression's prologue); 0: none.
    pub resume_ignored: u8,
    /// 1 once all sites of the image are hooked: new processes of it may be taken up (`--all`).
    pub ready: u8,
    /// Unused.
    pub pad: [u8; 2],
}

const _: () = assert!(size_of::<Layout>() == 44);

#[cfg(feature = "user")]
// SAFETY: repr(C), integers only, no implicit padding (the size is asserted above).
unsafe impl aya::Pod for Layout {}
