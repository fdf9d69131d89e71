//! Processes that take probes away for us, many times a second.
//!
//! Why not we ourselves: see [`super::release`]. Starting a process for each probe, as is done there, would be too much
//! where windows open and close all the time. So these run from the beginning and are handed each probe as soon as it
//! is in place: should we be killed, they take away what they hold, and end.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::{self, MaybeUninit},
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
        sockopt::{Timeout, set_socket_timeout},
    },
};

use super::release::{close_all_but, outlive_lack_of_memory};
use crate::privileges::{self, Need};

/// To close a probe takes the kernel 24 to 70 ms, in which its closer does nothing else.
const CLOSERS: usize = 8;
/// No window is open for so long (a quarter of a second at most): a tracer that leaves a probe in place longer has been
/// stopped, and its target is not to pay for that.
const LONGEST: Duration = Duration::from_secs(1);
/// Packets to a closer: hold the probe that comes with this one; close it.
const HOLD: u8 = b'h';
const CLOSE: u8 = b'c';

/// Closers, each with its process and our end of the line to it.
#[derive(Debug)]
pub(super) struct Closers {
    all: Vec<(libc::pid_t, OwnedFd)>,
    next: usize,
}

/// A probe that a closer holds.
#[derive(Debug)]
#[must_use = "the probe stays in place until it is closed"]
pub(super) struct Held(usize);

impl Closers {
    /// Starts them.
    ///
    /// # Errors
    /// If no process or no socket is to be had.
    pub(super) fn start() -> io::Result<Self> {
        let mut closers = Self { all: Vec::new(), next: 0 };
        for _ in 0..CLOSERS {
            closers.all.push(start_closer()?);
        }
        Ok(closers)
    }

    /// Hands a probe over.
    ///
    /// # Errors
    /// If the closer is gone. The probe is then taken away.
    pub(super) fn hold(&mut self, probe: &OwnedFd) -> io::Result<Held> {
        let closer = self.next % self.all.len();
        self.next += 1;
        send(&self.all[closer].1, HOLD, &[probe.as_fd()])?;
        Ok(Held(closer))
    }

    /// Has a probe taken away, and does not wait for that.
    ///
    /// # Errors
    /// If the closer is gone; then so is the probe.
    pub(super) fn close(&mut self, Held(closer): Held) -> io::Result<()> {
        send(&self.all[closer].1, CLOSE, &[])
    }
}

impl Drop for Closers {
    /// Returns when all that they held is gone.
    fn drop(&mut self) {
        let (processes, lines): (Vec<_>, Vec<_>) = mem::take(&mut self.all).into_iter().unzip();
        drop(lines);
        for process in processes {
            // SAFETY: no pointers that are followed; the process is our child and nobody else waits for it.
            unsafe { libc::waitpid(process, std::ptr::null_mut(), 0) };
        }
    }
}

fn send(line: &OwnedFd, what: u8, probe: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut attached = SendAncillaryBuffer::new(&mut space);
    if !probe.is_empty() {
        attached.push(SendAncillaryMessage::ScmRights(probe));
    }
    sendmsg(line, &[IoSlice::new(&[what])], &mut attached, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn start_closer() -> io::Result<(libc::pid_t, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    // SAFETY: the child makes system calls only, none of which touches a lock or memory but its own stack.
    match unsafe { libc::fork() } {
        0 => {
            outlive_lack_of_memory();
            let _ = privileges::keep(Need::Nothing);
            close_all_but(&[theirs.as_raw_fd()]);
            serve(&theirs);
            // SAFETY: ends the process without running anything of ours.
            unsafe { libc::_exit(0) }
        }
        -1 => Err(io::Error::last_os_error()),
        child => Ok((child, ours)),
    }
}

/// What a closer does until the other end is closed: by the tracer, or because that was killed.
fn serve(line: &OwnedFd) {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGTSTP] {
        // SAFETY: no handler. What ends or stops the tracer from a terminal must not disturb the closing.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    let mut held: Option<OwnedFd> = None;
    loop {
        let mut what = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut attached = RecvAncillaryBuffer::new(&mut space);
        // Should that be refused, the probe is held for as long as the tracer wants.
        let _ = set_socket_timeout(line, Timeout::Recv, held.is_some().then_some(LONGEST));
        match recvmsg(line, &mut [IoSliceMut::new(&mut what)], &mut attached, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => {
                held = None;
                continue;
            }
            Ok(received) if received.bytes > 0 => {}
            _ => return,
        }
        let mut probe = None;
        for message in attached.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                probe = descriptors.last();
            }
        }
        // What was held before is closed by this.
        drop(mem::replace(&mut held, if what[0] == HOLD { probe } else { None }));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read as _, pipe},
    };

    use super::*;

    #[test]
    fn a_probe_is_there_until_it_is_closed() {
        let mut closers = Closers::start().unwrap();
        for _ in 0..3 * CLOSERS {
            let (mut read, write) = pipe().unwrap();
            let held = closers.hold(&write.into()).unwrap();
            rustix::io::ioctl_fionbio(&read, true).unwrap();
            let early = read.read(&mut [0]).unwrap_err();
            assert_eq!(early.kind(), io::ErrorKind::WouldBlock, "the other end is held");
            rustix::io::ioctl_fionbio(&read, false).unwrap();
            closers.close(held).unwrap();
            assert_eq!(read.read(&mut [0]).unwrap(), 0);
        }
    }

    /// As of a tracer that has been stopped.
    #[test]
    fn nothing_is_held_for_ever() {
        let mut closers = Closers::start().unwrap();
        let (mut read, write) = pipe().unwrap();
        let held = closers.hold(&write.into()).unwrap();
        assert_eq!(read.read(&mut [0]).unwrap(), 0);
        closers.close(held).unwrap();
    }

    #[test]
    fn what_is_held_at_the_end_is_closed() {
        let mut closers = Closers::start().unwrap();
        let (mut read, write) = pipe().unwrap();
        let _held = closers.hold(&write.into()).unwrap();
        let _other = closers.hold(&File::open("/dev/null").unwrap().into()).unwrap();
        drop(closers);
        assert_eq!(read.read(&mut [0]).unwrap(), 0);
    }
}
