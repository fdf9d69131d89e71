//! A perf event with a program of ours on it, by the system calls that this takes.
//!
//! aya 0.14 has no way to name a USDT semaphore, nor to change the period of a timer that runs.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd as _, BorrowedFd, OwnedFd},
};

use super::bpf::{self, bpf, owned};

/// `PERF_TYPE_SOFTWARE`.
const TYPE_SOFTWARE: u32 = 1;
/// `PERF_COUNT_SW_CPU_CLOCK`.
const CONFIG_CPU_CLOCK: u64 = 0;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
const PERF_EVENT_IOC_PERIOD: libc::c_ulong = 0x4008_2404;
/// `enum bpf_attach_type`: `BPF_PERF_EVENT`.
const ATTACH_PERF_EVENT: u32 = 41;

/// First 72 bytes of `struct perf_event_attr` (`PERF_ATTR_SIZE_VER1`).
#[repr(C)]
#[derive(Default)]
struct PerfEventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    /// Of a uprobe: address of the file's path.
    uprobe_path: u64,
    /// Of a uprobe: offset in the file.
    probe_offset: u64,
}

/// The part of `union bpf_attr` that `BPF_LINK_CREATE` reads for a perf event.
#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    cookie: u64,
}

/// Whose event it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scope {
    /// All threads of one process, not its children.
    Process(u32),
    /// Whatever runs on a CPU.
    Cpu(u32),
}

/// What makes it happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cause<'a> {
    /// An instruction of a file is reached. `kind` and `config` as the running kernel wants them.
    Uprobe { kind: u32, config: u64, path: &'a CStr, offset: u64 },
    /// So much time has passed, also on a CPU that has nothing to do.
    Timer { period_ns: u64 },
}

impl Cause<'_> {
    fn attr(self) -> PerfEventAttr {
        let attr = PerfEventAttr { size: size_of::<PerfEventAttr>() as u32, ..PerfEventAttr::default() };
        match self {
            Self::Uprobe { kind, config, path, offset } => PerfEventAttr {
                kind,
                config,
                uprobe_path: path.as_ptr() as u64,
                probe_offset: offset,
                ..attr
            },
            Self::Timer { period_ns } => PerfEventAttr {
                kind: TYPE_SOFTWARE,
                config: CONFIG_CPU_CLOCK,
                sample_period: period_ns,
                ..attr
            },
        }
    }
}

/// An event whose program runs; dropping it ends that.
#[derive(Debug)]
pub(super) struct PerfEvent {
    link: OwnedFd,
    event: OwnedFd,
}

impl PerfEvent {
    /// Has the program run at each event. `cookie` is what it gets from `bpf_get_attach_cookie` (Linux 5.15+).
    ///
    /// # Errors
    /// As `perf_event_open(2)` and `bpf(2)` give them.
    pub(super) fn start(
        program: BorrowedFd<'_>,
        scope: Scope,
        cause: Cause<'_>,
        cookie: u64,
    ) -> io::Result<Self> {
        let attr = cause.attr();
        let (pid, cpu) = match scope {
            Scope::Process(pid) => (pid as libc::pid_t, -1),
            Scope::Cpu(cpu) => (-1, cpu as libc::c_int),
        };
        // SAFETY: `attr` and the path that it may point to live until the call returns.
        let event = owned(unsafe {
            libc::syscall(libc::SYS_perf_event_open, &raw const attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC)
        })?;
        let create = LinkCreate {
            program: program.as_raw_fd() as u32,
            target: event.as_raw_fd() as u32,
            attach_type: ATTACH_PERF_EVENT,
            flags: 0,
            cookie,
        };
        let link = bpf(bpf::LINK_CREATE, &create)?;
        // SAFETY: no pointers; the descriptor is ours.
        if unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_ENABLE, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { link, event })
    }

    /// Gives a timer another period, which begins now.
    ///
    /// # Errors
    /// As `ioctl(2)` gives them.
    pub(super) fn set_period(&self, period_ns: u64) -> io::Result<()> {
        // SAFETY: `period_ns` lives until the call returns; the descriptor is ours.
        match unsafe { libc::ioctl(self.event.as_raw_fd(), PERF_EVENT_IOC_PERIOD, &raw const period_ns) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// What holds it in place.
    pub(super) fn into_descriptors(self) -> Vec<OwnedFd> {
        vec![self.link, self.event]
    }
}
