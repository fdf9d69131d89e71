//! Processes that put probes in place and take them away for us, many times a second.
//!
//! Why not we ourselves: if we are killed while a probe is being taken away, the kernel may leave its breakpoint behind
//! (see [`super::release`]); if we are stopped, it stays in place for as long as we are. Starting a process for each
//! probe, as is done there, would be too much where windows open and close all the time. So these run from the beginning,
//! and the probe is theirs from its first moment on: should we be killed, they take away what they hold, and end; should
//! we be stopped, they take it away when it has been there for longer than any window is.

use std::{
    io::{self, IoSlice, IoSliceMut, Write as _},
    mem::{self, MaybeUninit},
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd},
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg, socketpair,
        sockopt::{Timeout, set_socket_timeout},
    },
};
use zerocopy::{FromBytes, FromZeros as _, Immutable, IntoBytes, KnownLayout};

use super::{
    multi::{self, Columns, MultiSite},
    release::{close_all_but, outlive_lack_of_memory},
    uprobe::Target,
};
use crate::privileges::{self, Need};

/// To take a probe away takes the kernel 24 to 70 ms, in which its holder does nothing else.
const HOLDERS: usize = 8;
/// No window is open for so long (a quarter of a second at most): a tracer that leaves a probe in place longer has been
/// stopped, and its target is not to pay for that.
const LONGEST: Duration = Duration::from_secs(1);
/// Most sites of a probe: a plan has ten at the most, of all kinds.
const MOST_SITES: usize = 16;

/// A probe to be put in place: a process, and the sites in its image. Of one size, and without an address in it, so that
/// it goes to a holder as it is.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Order {
    pid: u32,
    count: u32,
    offsets: [u64; MOST_SITES],
    semaphores: [u64; MOST_SITES],
    cookies: [u64; MOST_SITES],
}

impl Order {
    /// # Errors
    /// If there are more sites than fit.
    pub(super) fn new(pid: u32, sites: &[MultiSite]) -> io::Result<Self> {
        if sites.len() > MOST_SITES {
            return Err(io::Error::other(format!("{} sites, {MOST_SITES} fit", sites.len())));
        }
        let mut order = Self::new_zeroed();
        (order.pid, order.count) = (pid, sites.len() as u32);
        for (at, site) in sites.iter().enumerate() {
            order.offsets[at] = site.offset;
            order.semaphores[at] = site.semaphore;
            order.cookies[at] = site.cookie;
        }
        Ok(order)
    }

    fn columns(&self) -> Columns<'_> {
        let count = (self.count as usize).min(MOST_SITES);
        Columns {
            offsets: &self.offsets[..count],
            semaphores: &self.semaphores[..count],
            cookies: &self.cookies[..count],
        }
    }
}

/// How a holder puts a probe in place: by the program, in the image. Makes system calls only.
type PutInPlace = fn(BorrowedFd<'_>, BorrowedFd<'_>, &Order) -> io::Result<OwnedFd>;

/// Holders, each with its process and our end of the line to it.
#[derive(Debug)]
pub(super) struct Holders {
    all: Vec<(libc::pid_t, OwnedFd)>,
    next: usize,
}

/// A probe that a holder has.
#[derive(Debug)]
#[must_use = "the probe stays in place until it is closed"]
pub(super) struct Held(usize);

impl Holders {
    /// Starts them, for probes with this program, which is loaded for uprobe-multi links.
    ///
    /// # Errors
    /// If no process or no socket is to be had.
    pub(super) fn start(program: &OwnedFd) -> io::Result<Self> {
        Self::with(program, link)
    }

    fn with(program: &OwnedFd, put_in_place: PutInPlace) -> io::Result<Self> {
        let mut holders = Self { all: Vec::new(), next: 0 };
        for _ in 0..HOLDERS {
            holders.all.push(start_holder(program.as_fd(), put_in_place)?);
        }
        Ok(holders)
    }

    /// Has a probe put in place, and waits for that.
    ///
    /// # Errors
    /// As `bpf(2)` gives them to the holder; `EPIPE`: the holder is gone, and the probe with it.
    pub(super) fn open(&mut self, image: BorrowedFd<'_>, order: &Order) -> io::Result<Held> {
        let holder = self.next % self.all.len();
        self.next += 1;
        let line = &self.all[holder].1;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut attached = SendAncillaryBuffer::new(&mut space);
        let image = [image];
        attached.push(SendAncillaryMessage::ScmRights(&image));
        sendmsg(line, &[IoSlice::new(order.as_bytes())], &mut attached, SendFlags::NOSIGNAL)?;
        let mut error = 0_i32;
        loop {
            match recv(line, error.as_mut_bytes(), RecvFlags::empty()) {
                Err(Errno::INTR) => {}
                Ok((bytes, _)) if bytes == size_of_val(&error) => break,
                Ok(_) => return Err(Errno::PIPE.into()),
                Err(error) => return Err(error.into()),
            }
        }
        if error == 0 { Ok(Held(holder)) } else { Err(io::Error::from_raw_os_error(error)) }
    }

    /// Has a probe taken away, and does not wait for that.
    ///
    /// # Errors
    /// If the holder is gone; then so is the probe.
    pub(super) fn close(&mut self, Held(holder): Held) -> io::Result<()> {
        send(&self.all[holder].1, CLOSE, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

/// The packet that has a probe taken away. All others are orders.
const CLOSE: &[u8] = b"c";

impl Drop for Holders {
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

/// The process, which keeps nothing but the program and its end of the line.
fn start_holder(program: BorrowedFd<'_>, put_in_place: PutInPlace) -> io::Result<(libc::pid_t, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let mut kept: [RawFd; 2] = [program.as_raw_fd(), theirs.as_raw_fd()];
    kept.sort_unstable();
    // SAFETY: the child makes system calls only, none of which touches a lock or memory but its own stack.
    match unsafe { libc::fork() } {
        0 => {
            outlive_lack_of_memory();
            let _ = privileges::keep(Need::Probes);
            close_all_but(&kept);
            serve(&theirs, |image, order| put_in_place(program, image, order));
            // SAFETY: ends the process without running anything of ours.
            unsafe { libc::_exit(0) }
        }
        -1 => Err(io::Error::last_os_error()),
        child => Ok((child, ours)),
    }
}

/// What a holder does until the other end is closed: by the tracer, or because that was killed.
fn serve(line: &OwnedFd, put_in_place: impl Fn(BorrowedFd<'_>, &Order) -> io::Result<OwnedFd>) {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGTSTP] {
        // SAFETY: no handler. What ends or stops the tracer from a terminal must not disturb the closing.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    let mut held: Option<OwnedFd> = None;
    loop {
        let mut order = Order::new_zeroed();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut attached = RecvAncillaryBuffer::new(&mut space);
        // Should that be refused, the probe is held for as long as the tracer wants.
        let _ = set_socket_timeout(line, Timeout::Recv, held.is_some().then_some(LONGEST));
        let packet = &mut [IoSliceMut::new(order.as_mut_bytes())];
        let bytes = match recvmsg(line, packet, &mut attached, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => {
                held = None;
                continue;
            }
            Ok(received) if received.bytes > 0 => received.bytes,
            _ => return,
        };
        let mut image = None;
        for message in attached.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                image = descriptors.last();
            }
        }
        // At an order there is nothing, unless the tracer was late.
        drop(held.take());
        let (true, Some(image)) = (bytes == size_of::<Order>(), image) else { continue };
        let made = put_in_place(image.as_fd(), &order);
        let error = made.as_ref().err().map_or(0, |error| error.raw_os_error().unwrap_or(libc::EIO));
        held = made.ok();
        if send(line, error.as_bytes(), SendFlags::NOSIGNAL).is_err() {
            return;
        }
    }
}

/// Hooks what the order says. Makes system calls only.
fn link(program: BorrowedFd<'_>, image: BorrowedFd<'_>, order: &Order) -> io::Result<OwnedFd> {
    let mut path = [0; 32];
    write!(&mut path[..], "/proc/self/fd/{}\0", image.as_raw_fd())?;
    let path = std::ffi::CStr::from_bytes_until_nul(&path).map_err(|_| Errno::INVAL)?;
    multi::link_columns(program, path, order.columns(), Target::Pid(order.pid))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{PipeReader, Read as _, pipe},
        time::Instant,
    };

    use super::*;

    /// With what it is handed in the place of a probe.
    fn holders() -> Holders {
        Holders::with(&File::open("/dev/null").unwrap().into(), |_, image, _| image.try_clone_to_owned())
            .unwrap()
    }

    fn order() -> Order {
        let site = MultiSite { offset: 1, semaphore: 2, cookie: 3 };
        Order::new(7, &[site; 3]).unwrap()
    }

    /// A holder has the only other end of this pipe.
    fn opened(holders: &mut Holders) -> (PipeReader, Held) {
        let (read, write) = pipe().unwrap();
        let held = holders.open(write.as_fd(), &order()).unwrap();
        (read, held)
    }

    #[test]
    fn a_probe_is_there_until_it_is_closed() {
        let mut holders = holders();
        for _ in 0..3 * HOLDERS {
            let (mut read, held) = opened(&mut holders);
            rustix::io::ioctl_fionbio(&read, true).unwrap();
            let early = read.read(&mut [0]).unwrap_err();
            assert_eq!(early.kind(), io::ErrorKind::WouldBlock, "the other end is held");
            rustix::io::ioctl_fionbio(&read, false).unwrap();
            holders.close(held).unwrap();
            assert_eq!(read.read(&mut [0]).unwrap(), 0);
        }
    }

    /// As of a tracer that has been stopped, right after its order too.
    #[test]
    fn nothing_is_held_for_ever() {
        let mut holders = holders();
        let began = Instant::now();
        let (mut read, held) = opened(&mut holders);
        assert_eq!(read.read(&mut [0]).unwrap(), 0);
        assert!(began.elapsed() >= LONGEST);
        holders.close(held).unwrap();
        let (mut read, _held) = opened(&mut holders);
        drop(holders);
        assert_eq!(read.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn what_the_kernel_refuses_is_an_error_and_the_next_is_held() {
        let program = File::open("/dev/null").unwrap().into();
        let mut holders = Holders::with(&program, |_, image, order| {
            if order.pid == 7 {
                Err(io::Error::from_raw_os_error(libc::ESRCH))
            } else {
                image.try_clone_to_owned()
            }
        })
        .unwrap();
        let file = File::open("/dev/null").unwrap();
        for _ in 0..=HOLDERS {
            let error = holders.open(file.as_fd(), &order()).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
        }
        let held = holders.open(file.as_fd(), &Order::new(8, &[]).unwrap()).unwrap();
        holders.close(held).unwrap();
    }

    #[test]
    fn an_order_has_the_columns_of_its_sites() {
        let order = order();
        let columns = order.columns();
        assert_eq!(
            (columns.offsets, columns.semaphores, columns.cookies),
            (&[1; 3][..], &[2; 3][..], &[3; 3][..])
        );
        let site = MultiSite { offset: 1, semaphore: 2, cookie: 3 };
        assert!(Order::new(7, &[site; MOST_SITES + 1]).is_err());
    }
}
