//! One hooked address: a perf event of the uprobe kind with our program on it.
//!
//! The kernel counts a USDT semaphore up in every process that maps the file and down again when the event closes, also
//! when we are killed.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use super::perf_event::{Cause, PerfEvent, Scope};

/// `PERF_TYPE` of uprobes is given by the running kernel.
const TYPE_FILE: &str = "/sys/bus/event_source/devices/uprobe/type";
/// Bit of `perf_event_attr.config` where the semaphore's file offset begins (`uprobe/format/ref_ctr_offset`).
const SEMAPHORE_SHIFT: u32 = 32;

/// Which processes a probe fires in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One process, all its threads; not its children.
    Pid(u32),
    /// Every process that maps the file, now or later.
    All,
}

/// A probe in place; dropping it takes it away.
#[derive(Debug)]
pub struct Uprobe(PerfEvent);

/// What to hook.
#[derive(Clone, Copy, Debug)]
pub struct UprobeSpec<'a> {
    /// The file, as we can open it.
    pub path: &'a Path,
    /// Offset of the instruction in the file.
    pub offset: u64,
    /// Offset of the semaphore in the file.
    pub semaphore: Option<u64>,
    /// Which processes.
    pub target: Target,
    /// What the program gets from `bpf_get_attach_cookie` (Linux 5.15+).
    pub cookie: u64,
}

impl Uprobe {
    /// Puts a loaded program on an address.
    ///
    /// # Errors
    /// As `perf_event_open(2)` and `bpf(2)` give them: `ESRCH` the process is gone, `EACCES`/`EPERM` no privilege,
    /// `EINVAL` the instruction can't be probed or another tracer uses the same address with another semaphore.
    pub fn attach(program: BorrowedFd<'_>, spec: UprobeSpec<'_>) -> io::Result<Self> {
        let path = CString::new(spec.path.as_os_str().as_bytes())?;
        let scope = match spec.target {
            Target::Pid(pid) => Scope::Process(pid),
            // One event on one CPU serves a whole machine: the program runs before the event's CPU is looked at.
            Target::All => Scope::Cpu(0),
        };
        let config = spec.semaphore.unwrap_or(0) << SEMAPHORE_SHIFT;
        let cause = Cause::Uprobe { kind: event_type()?, config, path: &path, offset: spec.offset };
        PerfEvent::start(program, scope, cause, spec.cookie).map(Self)
    }

    /// What holds the probe in place.
    pub(super) fn into_descriptors(self) -> Vec<OwnedFd> {
        self.0.into_descriptors()
    }
}

fn event_type() -> io::Result<u32> {
    let text = std::fs::read_to_string(TYPE_FILE)?;
    text.trim().parse().map_err(|_| io::Error::other(format!("{TYPE_FILE} holds no number")))
}
