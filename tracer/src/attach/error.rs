//! Why probes can't be put in place, and what to do about it.

use std::{
    io,
    path::{Path, PathBuf},
};

use aya::{maps::MapError, programs::ProgramError};
use thiserror::Error;

use crate::{btf::BtfError, python::plan::ProbeSite};

/// Why probes can't be put in place.
#[derive(Debug, Error)]
pub enum AttachError {
    /// No kernel object in this build.
    #[error(
        "this pytracer was built without its kernel programs (PYTRACER_SKIP_BPF): build it again without that"
    )]
    NoObject,
    /// No BTF.
    #[error(
        "can't read the kernel's type information: {0}; the kernel must be built with CONFIG_DEBUG_INFO_BTF"
    )]
    Btf(#[from] BtfError),
    /// Also no BTF, by aya's own reader.
    #[error(
        "can't read the kernel's type information: {0}; the kernel must be built with CONFIG_DEBUG_INFO_BTF"
    )]
    AyaBtf(#[from] aya::BtfError),
    /// A kernel whose structures we don't know.
    #[error("this kernel has no {0}: `pytracer doctor` lists what is needed")]
    Structure(String),
    /// Not allowed.
    #[error(
        "not allowed to load kernel programs ({0}): run pytracer as root, or give it CAP_BPF and CAP_PERFMON, before Linux 6.6 also CAP_SYS_ADMIN (setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep FILE)"
    )]
    Privilege(String),
    /// The kernel refused the object.
    #[error("the kernel refused the programs: {0}; `pytracer doctor` lists what is needed")]
    Load(#[from] aya::EbpfError),
    /// The kernel refused a program.
    #[error("the kernel refused the program {name}: {source}; `pytracer doctor` lists what is needed")]
    Program {
        /// Its name.
        name: &'static str,
        /// Why.
        source: ProgramError,
    },
    /// The PID namespace can't be told.
    #[error("can't tell which processes are which: {0}: mount one of this namespace (unshare --mount-proc)")]
    Namespace(io::Error),
    /// A map operation failed.
    #[error("kernel map: {0}")]
    Map(#[from] MapError),
    /// Getting at the rings failed.
    #[error("can't get at the rings of events: {0}")]
    Rings(io::Error),
    /// Mapping the thread slots failed.
    #[error("can't map the thread slots: {0}")]
    Threads(io::Error),
    /// Mapping the single numbers failed.
    #[error("can't map the kernel side's counters: {0}")]
    Totals(io::Error),
    /// No probes that can be put in place and taken away quickly.
    #[error(
        "a budget (--max-overhead) needs uprobe-multi links that see every thread, Linux 6.10 and later: leave it out, or take --source sample"
    )]
    NoWindows,
    /// Windows can't be opened.
    #[error("can't open windows: {0}")]
    Windows(io::Error),
    /// A probe could not be placed.
    #[error("can't hook {what} in {path} at {address:#x}: {source}{hint}")]
    Site {
        /// The site's name.
        what: String,
        /// Interpreter file.
        path: PathBuf,
        /// Virtual address.
        address: u64,
        /// The kernel's answer.
        source: io::Error,
        /// What may help.
        hint: &'static str,
    },
    /// A table of the kernel side is full.
    #[error("more than {0} at once are not supported")]
    Full(&'static str),
}

pub(super) fn refused(error: aya::EbpfError) -> AttachError {
    if is_permission(&error) { AttachError::Privilege(innermost(&error)) } else { AttachError::Load(error) }
}

pub(super) fn program_error(name: &'static str, source: ProgramError) -> AttachError {
    if is_permission(&source) {
        AttachError::Privilege(innermost(&source))
    } else {
        AttachError::Program { name, source }
    }
}

/// `EPERM` is a missing privilege; `EACCES` is how the verifier refuses a program.
fn is_permission(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.raw_os_error() == Some(libc::EPERM))
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

pub(super) fn site_error(path: &Path, site: &ProbeSite, source: io::Error) -> AttachError {
    let hint = site_hint(&source);
    AttachError::Site { what: site.what.clone(), path: path.into(), address: site.address, source, hint }
}

fn site_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => {
            "; run pytracer as root, or give it CAP_PERFMON (before Linux 6.6: CAP_SYS_ADMIN)"
        }
        Some(libc::ESRCH) => "; the process is gone",
        Some(libc::EINVAL) => {
            "; another tracer may hold this place with another reference counter (see `dmesg`): end that one"
        }
        _ => "",
    }
}
