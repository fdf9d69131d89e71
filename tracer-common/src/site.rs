//! What one hooked address means, packed into a 64-bit word: the attach cookie of its probe, and, as far as a program
//! needs it at every hit ([`Site::kind`]), a constant in the program.

/// A general register of x86-64, numbered as instructions encode it.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Register {
    /// rax
    Rax = 0,
    /// rcx
    Rcx = 1,
    /// rdx
    Rdx = 2,
    /// rbx
    Rbx = 3,
    /// rsp
    Rsp = 4,
    /// rbp
    Rbp = 5,
    /// rsi
    Rsi = 6,
    /// rdi
    Rdi = 7,
    /// r8
    R8 = 8,
    /// r9
    R9 = 9,
    /// r10
    R10 = 10,
    /// r11
    R11 = 11,
    /// r12
    R12 = 12,
    /// r13
    R13 = 13,
    /// r14
    R14 = 14,
    /// r15
    R15 = 15,
}

/// Which of the opcodes that begin a frame, or go on in it, a site belongs to.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// `RESUME`, or no opcode's site.
    #[default]
    General = 0,
    /// `RESUME_CHECK` and its like. If its check fails, the general handler runs as well.
    Quick = 1,
    /// `INSTRUMENTED_RESUME`.
    Instrumented = 2,
}

/// Which ends of frames pass no site.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unseen {
    /// None: every end is seen.
    #[default]
    Nothing = 0,
    /// Generators and coroutines that are suspended.
    Suspensions = 1,
    /// Frames that an exception leaves.
    Unwinds = 2,
}

/// What the cookie says of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteParts {
    /// Index of the interpreter image.
    pub image: u8,
    /// Register with the frame.
    pub frame: Register,
    /// Register with the frame's instruction pointer, and how much it is ahead of the stored one.
    pub instruction: Option<(Register, i8)>,
    /// Register that says whether an exception is thrown into the frame, where `instruction` is not known.
    pub thrown: Option<Register>,
    /// Opcodes that may stand there; the same twice if only one may.
    pub opcodes: [u8; 2],
    /// Which opcode's site it is.
    pub form: Form,
    /// Of the whole plan.
    pub unseen: Unseen,
}

/// The packed word. Bits: 0-7 image, 8-11 frame register, 12-15 instruction pointer register,
/// 16 has an instruction pointer, 17-18 unseen ends, 19-20 form, 21 has a register that tells of a throw instead, 24-31 the instruction pointer's delta (signed),
/// 32-39 and 40-47 accepted opcodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Site(pub u64);

impl Site {
    /// Stands in a program where the loader writes the kind of site that it is for. The highest bit is set in no site's
    /// word.
    pub const UNWRITTEN: u64 = 0xb7e1_5162_8aed_2a6b;

    /// Was this left as it was: is the program for any site?
    #[inline(always)]
    pub fn is_unwritten(self) -> bool {
        (self.0 as i64) < 0
    }

    /// Packs a site.
    pub fn new(parts: SiteParts) -> Self {
        let SiteParts { image, frame, instruction, thrown, opcodes, form, unseen } = parts;
        let (second, delta, has) = match (instruction, thrown) {
            (Some((register, delta)), _) => (register as u64, u64::from(delta as u8), 1 << 16),
            (None, Some(register)) => (register as u64, 0, 1 << 21),
            (None, None) => (0, 0, 0),
        };
        Self(
            u64::from(image)
                | (frame as u64) << 8
                | second << 12
                | has
                | (unseen as u64) << 17
                | (form as u64) << 19
                | delta << 24
                | u64::from(opcodes[0]) << 32
                | u64::from(opcodes[1]) << 40,
        )
    }

    /// What a hit needs at once: all but the image, the opcodes, and mostly the form. Sites that have this in common share
    /// a program.
    #[inline(always)]
    #[must_use]
    pub fn kind(self) -> Self {
        const OPCODES: u64 = 0xffff << 32;
        const IMAGE: u64 = 0xff;
        let form = if self.misses_suspensions() { 0 } else { 3 << 19 };
        Self(self.0 & !(OPCODES | IMAGE | form))
    }

    /// Index of the interpreter image.
    #[inline(always)]
    pub fn image(self) -> u32 {
        (self.0 & 0xff) as u32
    }

    /// Number of the register that holds the frame (or the code object, where code objects are freed).
    #[inline(always)]
    pub fn frame_register(self) -> u64 {
        self.0 >> 8 & 0xf
    }

    /// Number of the register that holds the instruction pointer, if one does.
    #[inline(always)]
    pub fn instruction_register(self) -> Option<u64> {
        if self.0 & 1 << 16 == 0 { None } else { Some(self.0 >> 12 & 0xf) }
    }

    /// Number of the register that says whether an exception is thrown into the frame, if one does.
    #[inline(always)]
    pub fn thrown_register(self) -> Option<u64> {
        if self.0 & 1 << 21 == 0 { None } else { Some(self.0 >> 12 & 0xf) }
    }

    /// How far the register of the instruction pointer is ahead of the frame's stored instruction pointer, in bytes.
    #[inline(always)]
    pub fn instruction_delta(self) -> i64 {
        i64::from((self.0 >> 24) as u8 as i8)
    }

    /// Are there ends of frames that pass no site?
    #[inline(always)]
    pub fn misses_ends(self) -> bool {
        self.0 >> 17 & 3 != 0
    }

    /// Do suspensions pass no site?
    #[inline(always)]
    pub fn misses_suspensions(self) -> bool {
        self.0 >> 17 & 3 == Unseen::Suspensions as u64
    }

    /// Number of the [`Form`].
    #[inline(always)]
    pub fn form(self) -> u32 {
        (self.0 >> 19 & 3) as u32
    }

    /// May this opcode stand at the frame's instruction pointer?
    #[inline(always)]
    pub fn accepts(self, opcode: u8) -> bool {
        opcode == (self.0 >> 32) as u8 || opcode == (self.0 >> 40) as u8
    }
}
