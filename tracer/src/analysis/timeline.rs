//! The calls of a log in the order in which they began, thread by thread: what drawings of time are made of.
//!
//! The log gives them in the reverse of that order. They wait in a file without a name, in blocks of one thread each,
//! so that any number of them takes little memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use zerocopy::{FromBytes, FromZeros as _, Immutable, IntoBytes, KnownLayout};

use super::Visit;
use super::walk::Threads;
use crate::charge::{Began, Ended};
use crate::functions::Row;

/// Calls of a block.
const BLOCK: usize = 1024;

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Span {
    /// Beginning, monotonic nanoseconds.
    pub start_ns: u64,
    /// End.
    pub end_ns: u64,
    /// Part of that not on a CPU, nanoseconds.
    pub off_cpu_ns: u64,
    /// Change of resident memory with all that it called, bytes.
    pub rss_bytes: i64,
    /// Which generator or coroutine it is a step of; 0: of none.
    pub instance: u64,
    /// Its function.
    pub row: Row,
    /// How many calls are open further out.
    pub depth: u32,
    /// Page faults with all that it called.
    pub faults: u32,
    flags: u32,
}

impl Span {
    const CUT_START: u32 = 1;
    const CUT_END: u32 = 2;
    const RESUMED: u32 = 4;

    fn new(visit: &Visit) -> Self {
        let call = &visit.call;
        let mut flags = 0;
        match call.began {
            Began::Call => {}
            Began::Resumed => flags |= Self::RESUMED,
            Began::OpenAtAttach | Began::Unseen => flags |= Self::CUT_START,
        }
        if call.ended == Ended::OpenAtDetach {
            flags |= Self::CUT_END;
        }
        Self {
            start_ns: call.start_ns,
            end_ns: call.end_ns,
            off_cpu_ns: call.total.off_cpu_ns,
            rss_bytes: call.total.rss_bytes,
            instance: call.instance,
            row: visit.row,
            depth: call.depth,
            faults: u32::try_from(call.total.faults).unwrap_or(u32::MAX),
            flags,
        }
    }

    /// Did it begin before what is shown?
    pub fn is_cut_at_start(&self) -> bool {
        self.flags & Self::CUT_START != 0
    }

    /// Did it go on after what is shown?
    pub fn is_cut_at_end(&self) -> bool {
        self.flags & Self::CUT_END != 0
    }

    /// Did a generator or coroutine go on with it?
    pub fn is_resumed(&self) -> bool {
        self.flags & Self::RESUMED != 0
    }
}

/// All calls of a log.
#[derive(Debug)]
pub struct Timeline {
    file: File,
    length: u64,
    threads: Vec<Thread>,
    ids: Vec<(u32, u32)>,
}

#[derive(Debug, Default)]
struct Thread {
    /// Where the full blocks lie in the file, the latest calls first.
    blocks: Vec<u64>,
    block: Vec<Span>,
}

impl Timeline {
    /// One that has no calls yet.
    ///
    /// # Errors
    /// If no file can be made in the folder for temporary files (`TMPDIR`).
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile()?, length: 0, threads: Vec::new(), ids: Vec::new() })
    }

    /// Adds a call, later ones first.
    pub(super) fn add(&mut self, visit: &Visit) -> io::Result<()> {
        let at = visit.thread as usize;
        if at >= self.threads.len() {
            self.threads.resize_with(at + 1, Thread::default);
        }
        let thread = &mut self.threads[at];
        thread.block.push(Span::new(visit));
        if thread.block.len() == BLOCK {
            self.file.write_all_at(thread.block.as_bytes(), self.length)?;
            thread.blocks.push(self.length);
            thread.block.clear();
            self.length += size_of::<[Span; BLOCK]>() as u64;
        }
        Ok(())
    }

    /// All calls have been added.
    pub(super) fn finish(&mut self, threads: &Threads) {
        threads.ids().clone_into(&mut self.ids);
        self.threads.resize_with(self.ids.len(), Thread::default);
    }

    /// Process and thread id of each thread, by number.
    pub fn threads(&self) -> &[(u32, u32)] {
        &self.ids
    }

    /// How many calls a thread made.
    pub fn len(&self, thread: usize) -> usize {
        let Thread { blocks, block } = &self.threads[thread];
        blocks.len() * BLOCK + block.len()
    }

    /// Goes through the calls of a thread, earlier ones first, and callers before what they called.
    ///
    /// # Errors
    /// If the file can't be read, and what `take` returns.
    pub fn each<E: From<io::Error>>(
        &self,
        thread: usize,
        mut take: impl FnMut(&Span) -> Result<(), E>,
    ) -> Result<(), E> {
        let Thread { blocks, block } = &self.threads[thread];
        block.iter().rev().try_for_each(&mut take)?;
        let mut earlier = vec![Span::new_zeroed(); BLOCK];
        for &at in blocks.iter().rev() {
            self.file.read_exact_at(earlier.as_mut_bytes(), at)?;
            earlier.iter().rev().try_for_each(&mut take)?;
        }
        Ok(())
    }

    /// The same as beginnings and ends, in the order of time: ends come before what begins at the same time, and a
    /// call ends after all that it called.
    ///
    /// # Errors
    /// As [`Timeline::each`].
    pub fn edges<E: From<io::Error>>(
        &self,
        thread: usize,
        mut take: impl FnMut(Edge<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut open: Vec<Span> = Vec::new();
        self.each(thread, |span| {
            while let Some(over) = open.pop_if(|outer| outer.depth >= span.depth) {
                take(Edge::End(&over))?;
            }
            open.push(*span);
            take(Edge::Begin(span))
        })?;
        while let Some(over) = open.pop() {
            take(Edge::End(&over))?;
        }
        Ok(())
    }
}

/// A beginning or an end.
#[derive(Clone, Copy, Debug)]
pub enum Edge<'a> {
    /// This call begins.
    Begin(&'a Span),
    /// This call ends.
    End(&'a Span),
}
