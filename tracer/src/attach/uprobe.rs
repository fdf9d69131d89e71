//! One hooked address: a perf event of the uprobe kind with our program on it.
//!
//! aya 0.14 has no way to name a USDT semaphore, so the two system calls are made here. The kernel counts the
//! semaphore up in every process that maps the file and down again when the event closes, also when we are killed.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

/// `PERF_TYPE` of uprobes is given by the running kernel.
const TYPE_FILE: &str = "/sys/bus/event_source/devices/uprobe/type";
/// Bit of `perf_event_attr.config` where the semaphore's file offset begins (`uprobe/format/ref_ctr_offset`).
const SEMAPHORE_SHIFT: u32 = 32;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
const BPF_LINK_CREATE: libc::c_int = 28;
/// `enum bpf_attach_type`: `BPF_PERF_EVENT`.
const ATTACH_PERF_EVENT: u32 = 41;

/// Which processes a probe fires in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One process, all its threads; not its children.
    Pid(u32),
    /// Every process that maps the file, now or later.
    All,
}

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
    /// Address of the file's path.
    uprobe_path: u64,
    /// Offset in the file.
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

/// A probe in place; dropping it takes it away.
#[derive(Debug)]
pub struct Uprobe {
    link: OwnedFd,
    event: OwnedFd,
}

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
        let attr = PerfEventAttr {
            kind: event_type()?,
            size: size_of::<PerfEventAttr>() as u32,
            config: spec.semaphore.unwrap_or(0) << SEMAPHORE_SHIFT,
            uprobe_path: path.as_ptr() as u64,
            probe_offset: spec.offset,
            ..PerfEventAttr::default()
        };
        // One event on one CPU serves a whole machine: the program runs before the event's CPU is looked at.
        let (pid, cpu) = match spec.target {
            Target::Pid(pid) => (pid as libc::pid_t, -1),
            Target::All => (-1, 0),
        };
        // SAFETY: `attr` and the path that it points to live until the call returns.
        let event = owned(unsafe {
            libc::syscall(libc::SYS_perf_event_open, &raw const attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC)
        })?;
        let create = LinkCreate {
            program: program.as_raw_fd() as u32,
            target: event.as_raw_fd() as u32,
            attach_type: ATTACH_PERF_EVENT,
            flags: 0,
            cookie: spec.cookie,
        };
        // SAFETY: `create` lives until the call returns and its size is passed.
        let link = owned(unsafe {
            libc::syscall(libc::SYS_bpf, BPF_LINK_CREATE, &raw const create, size_of::<LinkCreate>())
        })?;
        // SAFETY: no pointers; the descriptor is ours.
        if unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_ENABLE, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { link, event })
    }

    /// What holds the probe in place.
    pub(super) fn into_descriptors(self) -> Vec<OwnedFd> {
        vec![self.link, self.event]
    }
}

/// The descriptor that a system call has made, or its error.
pub(super) fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system call has just made this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(result as i32) })
}

fn event_type() -> io::Result<u32> {
    let text = std::fs::read_to_string(TYPE_FILE)?;
    text.trim().parse().map_err(|_| io::Error::other(format!("{TYPE_FILE} holds no number")))
}
