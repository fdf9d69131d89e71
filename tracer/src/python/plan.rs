//! The plan of one interpreter image: which addresses to hook, what each means, and the way to the frame there.

use std::fmt;

use tracer_common::{
    layout::Layout,
    site::{Form, Register, Site, SiteParts, Unseen},
};

use super::version::FoundBy;

use super::thread_state::ThreadStates;

/// What a hit at a site says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Meaning {
    /// A frame begins or is resumed.
    Start,
    /// A frame ends.
    End,
    /// A frame is suspended.
    Yield,
    /// An exception reached a frame. The register holds the `PyFrameObject`, not the frame.
    Raise,
    /// A code object is freed. The register holds the code object.
    CodeFreed,
}

/// One address to hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeSite {
    /// What a hit says.
    pub meaning: Meaning,
    /// Virtual address in the ELF file.
    pub address: u64,
    /// Offset in the file: what the kernel wants.
    pub file_offset: u64,
    /// File offset of the USDT semaphore, which the kernel counts up while the probe is attached.
    pub semaphore_offset: Option<u64>,
    /// Register that holds the frame (see [`Meaning`] for the exceptions).
    pub frame: Register,
    /// Register that holds the frame's instruction pointer, and by how many bytes it is ahead of the stored one.
    pub instruction: Option<(Register, i8)>,
    /// Register that says whether an exception is thrown into a frame that starts (up to 3.10).
    pub thrown: Option<Register>,
    /// Opcodes that may stand at the frame's instruction pointer here (twice the same: only one).
    /// Only a start says; elsewhere `[0, 0]`: the stored pointer may be anywhere, and is not to be looked at.
    pub opcodes: [u8; 2],
    /// Of a start: which opcode's site it is.
    pub form: Form,
    /// Disassembly of the hooked instruction, for people.
    pub text: String,
    /// Whether the kernel emulates this instruction (about 0.5 us a hit) or has to single-step it (several us).
    pub emulated: bool,
    /// What the site is, for people: `RESUME handler`, `USDT function__return`.
    pub what: String,
}

impl ProbeSite {
    /// What the kernel side is told of this site. `image`: index of the image; `unseen`: of the plan.
    pub fn cookie(&self, image: u8, unseen: Unseen) -> u64 {
        let &Self { frame, instruction, thrown, opcodes, form, .. } = self;
        Site::new(SiteParts { image, frame, instruction, thrown, opcodes, form, unseen }).0
    }
}

/// Where the events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// USDT `function__entry` and `function__return`.
    Usdt,
    /// The eval loop's opcode handlers.
    Eval,
    /// Starts from the eval loop, ends from USDT.
    EvalUsdt,
    /// No probes: samples of the stacks.
    Sample,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Usdt => "usdt",
            Self::Eval => "eval",
            Self::EvalUsdt => "eval+usdt",
            Self::Sample => "sample",
        })
    }
}

/// Which source the user wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum SourceChoice {
    /// The exact and cheapest one that the build has
    #[default]
    Auto,
    /// The probe points of builds with dtrace
    Usdt,
    /// The eval loop, as in builds without dtrace
    Eval,
    /// No probes: samples of the stacks, which tell shares of time and no counts
    Sample,
}

/// What a plan is to be like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Where the events are to come from.
    pub source: SourceChoice,
    /// That a generator is suspended is to be seen at once also where that takes a probe on an instruction that the kernel
    /// single-steps, some 10 us a step; else it comes out at its thread's next event.
    pub exact_yields: bool,
}

impl From<SourceChoice> for Wanted {
    fn from(source: SourceChoice) -> Self {
        Self { source, exact_yields: false }
    }
}

/// Version of CPython.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// 3
    pub major: u8,
    /// 11 in 3.11.2
    pub minor: u8,
    /// 2 in 3.11.2
    pub patch: u8,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// How to trace one interpreter image.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Version of the interpreter.
    pub version: Version,
    /// How that was found out.
    pub found_by: FoundBy,
    /// Where the events come from.
    pub source: Source,
    /// Whether counts of starts and ends are exact by this plan.
    pub exact: bool,
    /// Ends of frames that pass no site; they come out at the thread's next event.
    pub unseen: Unseen,
    /// Field offsets of the interpreter's objects.
    pub layout: Layout,
    /// Virtual address of `PyCode_Type` in the file.
    pub code_type: u64,
    /// Where its threads are, where that is known.
    pub threads: Option<ThreadStates>,
    /// Sites, each address at most once.
    pub sites: Vec<ProbeSite>,
}

/// Offset of `ob_type` in builds with a GIL.
const GIL_OBJECT_TYPE: u16 = 8;

impl Plan {
    /// What will be missing or uncertain, a sentence each.
    pub fn limits(&self) -> Vec<String> {
        let mut limits = Vec::new();
        if self.source == Source::Sample {
            return limits;
        }
        if !self.exact {
            let Version { major, minor, .. } = self.version;
            limits.push(format!(
                "counts on CPython {major}.{minor} were not compared with the interpreter's own"
            ));
        }
        match self.unseen {
            Unseen::Nothing => {}
            Unseen::Suspensions => {
                limits.push(
                    "that a generator or coroutine is suspended comes out at its thread's next event: its own times \
                     are upper bounds"
                        .to_owned(),
                );
                if self.layout.object_type != GIL_OBJECT_TYPE {
                    limits.push(
                        "when sys.monitoring or a profiler is switched on or off while a generator is suspended, one \
                         of its resumptions may be missing"
                            .to_owned(),
                    );
                }
            }
            Unseen::Unwinds => limits.push(
                "a function left by an exception ends, for its times, where the exception reached it"
                    .to_owned(),
            ),
        }
        let yields = self.sites.iter().any(|site| site.meaning == Meaning::Yield);
        if !yields && self.unseen != Unseen::Suspensions {
            limits.push("whether a generator's step yielded or returned is not seen".to_owned());
        }
        if self.source == Source::Usdt && self.version.minor < 11 {
            limits.push("a generator that is thrown into before its first step counts as called".to_owned());
        }
        let slow = self.sites.iter().filter(|site| !site.emulated).count();
        if slow > 0 {
            let all = self.sites.len();
            limits.push(format!("{slow} of {all} places are single-stepped by the kernel: some 9 us a hit"));
        }
        limits
    }
}
