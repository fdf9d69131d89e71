//! Finds Python processes, and for each the file that holds its interpreter and where that is loaded.
//!
//! A process is known by what it has mapped, not by its name: programs with CPython built in are found as well.
//! Processes come and go meanwhile; one that vanishes is an error value like any other.

pub mod cgroup;
mod containers;
mod identity;
mod image;
mod jit;
pub(crate) mod maps;
mod plans;
mod script;
mod users;

use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

use procfs::{
    ProcError,
    process::{self, Process, Stat},
};
use thiserror::Error;

pub use self::{
    identity::{Identity, command, inner_pids, own_tid},
    image::ImageFile,
    jit::{Jit, jit, jit_active},
    plans::{PlanCache, Planned},
    script::Script,
    users::{Users, user_id},
};
use crate::{
    python::{elf::ElfError, recognise::Kind},
    text::shown,
};

/// `PF_KTHREAD` of the kernel's `include/linux/sched.h`.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// A process that runs Python.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonProcess {
    /// Process id.
    pub pid: u32,
    /// File with the interpreter: the program itself or a library.
    pub image: ImageFile,
    /// What to add to addresses in the file to get those in the process.
    pub bias: u64,
    /// Where the interpreter's own code is in the process.
    pub text: Range<u64>,
    /// When it started, in clock ticks since boot: tells it from a later process with the same id.
    pub start_ticks: u64,
}

/// Why a process can't be traced.
#[derive(Debug, Error)]
pub enum NotTraceable {
    /// No such process, or it ended meanwhile.
    #[error("no process {0}")]
    NoProcess(u32),
    /// Ended, not yet collected by its parent.
    #[error("process {0} has ended (a zombie)")]
    Zombie(u32),
    /// Part of the kernel.
    #[error("process {0} is a kernel thread")]
    KernelThread(u32),
    /// Another user's, or protected.
    #[error("process {0} may not be looked at: needs root or CAP_SYS_PTRACE")]
    Permission(u32),
    /// No interpreter in it.
    #[error("process {pid} ({}) does not run Python", shown(.exe))]
    NotPython {
        /// Process id.
        pid: u32,
        /// Its program.
        exe: String,
    },
    /// PyPy.
    #[error("process {0} runs PyPy: only CPython is supported")]
    PyPy(u32),
    /// A 32-bit program.
    #[error("process {0} is a 32-bit program: only 64-bit CPython is supported")]
    Bits32(u32),
    /// The interpreter's file can't be read.
    #[error("can't read the interpreter of process {pid}: {source}")]
    Image {
        /// Process id.
        pid: u32,
        /// Why.
        source: ElfError,
    },
    /// `/proc` says something unexpected.
    #[error("can't look at process {pid}: {source}")]
    Proc {
        /// Process id.
        pid: u32,
        /// Why.
        source: io::Error,
    },
}

/// A process id, and what looking at the process came to.
pub type Found = (u32, Result<PythonProcess, NotTraceable>);

/// Looks at one process.
///
/// # Errors
/// If it can't be traced, and why.
pub fn inspect(pid: u32) -> Result<PythonProcess, NotTraceable> {
    inspect_with(pid, &mut image::Seen::default())
}

/// Does the program of a process name a library that holds an interpreter? It has none before it has loaded that.
pub fn names_library(pid: u32) -> bool {
    image::names_library(Path::new(&format!("/proc/{pid}/exe")))
}

/// All processes of the machine that run Python, and those that look like it but can't be traced, by process id.
pub fn processes() -> Vec<Found> {
    let mut seen = image::Seen::default();
    let own = std::process::id();
    let all = process::all_processes().into_iter().flatten().filter_map(Result::ok);
    let pids = all.filter_map(|p| u32::try_from(p.pid()).ok()).filter(|&pid| pid != own);
    let mut found: Vec<_> = pids
        .map(|pid| (pid, inspect_with(pid, &mut seen)))
        .filter(|(pid, result)| match result {
            Ok(_) | Err(NotTraceable::PyPy(_)) => true,
            Err(NotTraceable::Permission(_) | NotTraceable::Image { .. } | NotTraceable::Bits32(_)) => {
                looks_like_python(*pid)
            }
            Err(_) => false,
        })
        .collect();
    found.sort_by_key(|&(pid, _)| pid);
    found
}

/// When a process started, in clock ticks since boot; `None` if it has ended, collected by its parent or not.
pub fn start_ticks(pid: u32) -> Option<u64> {
    stat(pid).ok().filter(|stat| stat.state != 'Z' && stat.state != 'X').map(|stat| stat.starttime)
}

/// What a thread is called: by itself, or after its program. `None` if it has ended.
pub fn thread_name(pid: u32, tid: u32) -> Option<String> {
    let name = fs::read(format!("/proc/{pid}/task/{tid}/comm")).ok()?;
    Some(String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned())
}

/// Has a process a thread of this id?
pub fn has_thread(pid: u32, tid: u32) -> bool {
    fs::exists(format!("/proc/{pid}/task/{tid}")).unwrap_or(false)
}

fn inspect_with(pid: u32, seen: &mut image::Seen) -> Result<PythonProcess, NotTraceable> {
    let before = stat(pid)?;
    if before.state == 'Z' || before.state == 'X' {
        return Err(NotTraceable::Zombie(pid));
    }
    if before.flags & KERNEL_THREAD != 0 {
        return Err(NotTraceable::KernelThread(pid));
    }
    let text = fs::read(format!("/proc/{pid}/maps")).map_err(|e| proc_error(pid, e))?;
    let exe = fs::read_link(format!("/proc/{pid}/exe")).map_err(|e| proc_error(pid, e))?;
    let exe = exe.to_string_lossy().into_owned();
    let found = image::find(pid, &maps::parse(&text), seen).map_err(|source| match source {
        ElfError::Bits32 => NotTraceable::Bits32(pid),
        ElfError::Read(e) if e.kind() == io::ErrorKind::PermissionDenied => NotTraceable::Permission(pid),
        source => NotTraceable::Image { pid, source },
    });
    // What was read belongs to one process only if it is still the same one.
    if stat(pid)?.starttime != before.starttime {
        return Err(NotTraceable::NoProcess(pid));
    }
    let found = match found? {
        None => return Err(NotTraceable::NotPython { pid, exe }),
        Some(found) if found.kind == Kind::PyPy => return Err(NotTraceable::PyPy(pid)),
        Some(found) => found,
    };
    let image::Found { image, bias, text, .. } = found;
    Ok(PythonProcess { pid, image, bias, text, start_ticks: before.starttime })
}

fn stat(pid: u32) -> Result<Stat, NotTraceable> {
    let id = i32::try_from(pid).map_err(|_| NotTraceable::NoProcess(pid))?;
    Process::new(id).and_then(|p| p.stat()).map_err(|error| match error {
        ProcError::NotFound(_) | ProcError::Incomplete(_) => NotTraceable::NoProcess(pid),
        ProcError::PermissionDenied(_) => NotTraceable::Permission(pid),
        ProcError::Io(source, _) => proc_error(pid, source),
        other => NotTraceable::Proc { pid, source: io::Error::other(other.to_string()) },
    })
}

fn proc_error(pid: u32, source: io::Error) -> NotTraceable {
    match (source.kind(), source.raw_os_error()) {
        (io::ErrorKind::NotFound, _) | (_, Some(libc::ESRCH)) => NotTraceable::NoProcess(pid),
        (io::ErrorKind::PermissionDenied, _) => NotTraceable::Permission(pid),
        _ => NotTraceable::Proc { pid, source },
    }
}

/// By what anyone may read: its name and its command line.
fn looks_like_python(pid: u32) -> bool {
    let program = PathBuf::from(identity::arguments(pid).into_iter().next().unwrap_or_default());
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    image::is_python_name(&program) || image::is_python_name(name.as_ref())
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::process::CommandExt as _,
        process::{Child, Command, Stdio},
    };

    use super::*;

    const PYTHON311: &str = "/usr/bin/python3.11";

    /// A child that is killed when the test ends, however it ends.
    struct Running(Child);

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// A Python that has said it is up.
    fn python(program: &str, jit: &str) -> Running {
        use std::io::Read as _;
        let mut command = Command::new(program);
        command.arg0("python3.11").args([
            "-S",
            "-c",
            "import sys; print('up', flush=True); sys.stdin.read()",
        ]);
        command.env("PYTHON_JIT", jit).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("CPython 3.11");
        let mut up = [0; 3];
        child.stdout.as_mut().expect("a pipe").read_exact(&mut up).expect("its output");
        Running(child)
    }

    #[test]
    fn a_running_python_is_found() {
        let child = python(PYTHON311, "0");
        let pid = child.0.id();
        let found = inspect(pid).expect("a Python process");
        let identity = Identity::of(pid).expect("a process");
        assert!(identity.command().starts_with("python3.11 -S -c import sys"));
        assert_eq!((identity.program.as_str(), identity.script), (PYTHON311, None));
        assert_eq!((found.bias, found.image.shown_path.to_str()), (0, Some(PYTHON311)));
        assert!(found.start_ticks > 0 && found.image.build_id.len() == 20);
        assert!(
            processes().iter().any(|(p, result)| *p == pid && result.as_ref().is_ok_and(|r| *r == found))
        );
        assert!(!jit_active(pid));
    }

    #[test]
    fn a_renamed_and_deleted_program_is_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let copy = dir.path().join("renamed");
        fs::copy(PYTHON311, &copy).expect("CPython 3.11");
        let child = python(copy.to_str().expect("a path"), "1");
        let pid = child.0.id();
        let by_name = inspect(pid).expect("a Python process");
        assert_eq!(by_name.image.shown_path, copy);
        assert!(jit_active(pid));
        fs::write(dir.path().join("other"), "other").expect("a file");
        fs::rename(dir.path().join("other"), &copy).expect("a replaced file");
        let by_link = inspect(pid).expect("a Python process");
        assert_eq!((by_link.image.device, by_link.image.inode), (by_name.image.device, by_name.image.inode));
        assert!(crate::python::plan(&by_link.image.open_path).is_ok());
    }

    #[test]
    fn processes_that_run_no_python() {
        assert!(matches!(inspect(u32::MAX), Err(NotTraceable::NoProcess(_))));
        assert!(matches!(inspect(4_194_304), Err(NotTraceable::NoProcess(_))));
        assert!(matches!(inspect(std::process::id()), Err(NotTraceable::NotPython { .. })));
        let mut child = Command::new("/bin/true").spawn().expect("true");
        let zombie = (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            matches!(inspect(child.id()), Err(NotTraceable::Zombie(_)))
        });
        child.wait().expect("an ended child");
        assert!(zombie);
        assert!(matches!(inspect(child.id()), Err(NotTraceable::NoProcess(_))));
    }
}
