//! Starts a command so that it can be traced from its first function: it is held where it becomes a Python process, at an
//! exec or while its loader maps libraries, until the probes are in place.

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt as _,
    process::{Child, Command},
};

/// A command that is held by us. Not released, it is killed when we end.
#[derive(Debug)]
pub struct Held {
    child: Child,
}

/// What a held command did next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It stands at an exec: nothing of the new program has run yet.
    Exec,
    /// It stands where a system call begins or ends.
    Call,
    /// It ended, with this status as of `waitpid(2)`.
    Ended(i32),
}

impl Held {
    /// Starts a command and holds it at its first exec.
    ///
    /// # Errors
    /// If the command can't be started.
    pub fn start(command: &[OsString]) -> io::Result<Self> {
        let (program, arguments) =
            command.split_first().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no command"))?;
        let mut command = Command::new(program);
        command.args(arguments);
        // SAFETY: ptrace is async-signal-safe and touches no memory here.
        unsafe {
            command.pre_exec(|| check(libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0)));
        }
        let child = command.spawn()?;
        let held = Self { child };
        // The first stop is that of the first exec, a plain SIGTRAP.
        match held.wait()? {
            Stop::Signal(_) | Stop::Exec | Stop::Call => {}
            Stop::Ended(status) => {
                return Err(io::Error::other(format!("it ended at once (status {status})")));
            }
        }
        let options = libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACESYSGOOD;
        // SAFETY: no pointers; the process is our stopped child.
        check(unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, held.pid(), 0, options) })?;
        Ok(held)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it go on to its next exec or its end, passing signals on to it.
    ///
    /// # Errors
    /// If it can't be continued.
    pub fn next_exec(&self) -> io::Result<Step> {
        self.go_on(libc::PTRACE_CONT)
    }

    /// The same, but no further than to the start or the end of a system call of its first thread.
    ///
    /// # Errors
    /// If it can't be continued.
    pub fn next_call(&self) -> io::Result<Step> {
        self.go_on(libc::PTRACE_SYSCALL)
    }

    fn go_on(&self, request: libc::c_uint) -> io::Result<Step> {
        let mut signal = 0;
        loop {
            // SAFETY: no pointers; the process is our stopped child.
            check(unsafe { libc::ptrace(request, self.pid(), 0, signal) })?;
            match self.wait()? {
                Stop::Exec => return Ok(Step::Exec),
                Stop::Call => return Ok(Step::Call),
                Stop::Ended(status) => return Ok(Step::Ended(status)),
                Stop::Signal(number) => signal = number,
            }
        }
    }

    /// Lets it run, and be nobody's but its own.
    ///
    /// # Errors
    /// If it can't be released.
    pub fn release(self) -> io::Result<Child> {
        // SAFETY: no pointers; the process is our stopped child.
        check(unsafe { libc::ptrace(libc::PTRACE_DETACH, self.pid(), 0, 0) })?;
        Ok(self.child)
    }

    fn wait(&self) -> io::Result<Stop> {
        let mut status = 0;
        // SAFETY: `status` lives until the call returns.
        let pid = unsafe { libc::waitpid(self.pid() as i32, &raw mut status, libc::__WALL) };
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(if !libc::WIFSTOPPED(status) {
            Stop::Ended(status)
        } else if status >> 16 == libc::PTRACE_EVENT_EXEC {
            Stop::Exec
        } else if libc::WSTOPSIG(status) == libc::SIGTRAP | CALL {
            Stop::Call
        } else {
            Stop::Signal(libc::WSTOPSIG(status))
        })
    }
}

/// What tells a stop at a system call from a signal, with `PTRACE_O_TRACESYSGOOD`.
const CALL: i32 = 0x80;

enum Stop {
    Exec,
    Call,
    Signal(i32),
    Ended(i32),
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Exit code for a shell: the program's own, or 128 and the signal that killed it.
pub fn exit_code(status: i32) -> u8 {
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) as u8 } else { 128 + libc::WTERMSIG(status) as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &[&str]) -> Vec<OsString> {
        line.iter().map(OsString::from).collect()
    }

    #[test]
    fn it_is_held_before_anything_has_run() {
        let held = Held::start(&command(&["/bin/true"])).unwrap();
        let exe = std::fs::read_link(format!("/proc/{}/exe", held.pid())).unwrap();
        assert!(exe.ends_with("true"));
        let mut child = held.release().unwrap();
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn a_wrapper_goes_on_to_its_own_exec() {
        let held = Held::start(&command(&["/usr/bin/env", "/bin/sh", "-c", "exit 7"])).unwrap();
        assert_eq!(held.next_exec().unwrap(), Step::Exec);
        let mut child = held.release().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(7));
    }

    #[test]
    fn it_goes_on_by_system_calls() {
        let held = Held::start(&command(&["/bin/sh", "-c", "exec /bin/true"])).unwrap();
        let mut steps = std::iter::repeat_with(|| held.next_call().unwrap());
        let calls = steps.by_ref().take_while(|step| *step == Step::Call).count();
        assert!(calls > 2, "{calls}");
        assert!(held.release().unwrap().wait().unwrap().success());
    }

    #[test]
    fn an_end_without_exec_is_told() {
        let held = Held::start(&command(&["/bin/sh", "-c", "exit 3"])).unwrap();
        let Step::Ended(status) = held.next_exec().unwrap() else { panic!("no end") };
        assert_eq!(exit_code(status), 3);
    }

    #[test]
    fn a_command_that_does_not_exist_is_an_error() {
        assert!(Held::start(&command(&["/no/such/program"])).is_err());
    }
}
