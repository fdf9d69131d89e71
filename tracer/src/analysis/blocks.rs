//! What is known of each thread, one thing after the other, of any length: it waits in a file without a name, in blocks
//! of one thread, so that any number of things takes little memory.

use std::env;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Items of a block. Each thread has one in memory: ten thousand busy threads take 150 MB if an item takes 64 bytes.
pub(super) const BLOCK: usize = 256;
/// Where the file goes if `TMPDIR` names no other folder: `/tmp` is often in memory.
const FOLDER: &str = "/var/tmp";

/// What can wait in a file.
pub(super) trait Item: Copy + FromBytes + IntoBytes + Immutable {}

impl<T: Copy + FromBytes + IntoBytes + Immutable> Item for T {}

/// Items of several threads, by the threads' numbers.
#[derive(Debug)]
pub(super) struct Blocks<T> {
    file: File,
    length: u64,
    threads: Vec<Thread<T>>,
}

#[derive(Debug)]
struct Thread<T> {
    /// Where the full blocks lie in the file, in the order in which they were filled.
    full: Vec<u64>,
    block: Vec<T>,
}

impl<T> Default for Thread<T> {
    fn default() -> Self {
        Self { full: Vec::new(), block: Vec::new() }
    }
}

impl<T: Item> Blocks<T> {
    /// None yet.
    ///
    /// # Errors
    /// If no file can be made in the folder for temporary files (`TMPDIR`, or `/var/tmp`).
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { file: unnamed_file()?, length: 0, threads: Vec::new() })
    }

    /// Adds an item to those of a thread.
    pub(super) fn push(&mut self, thread: usize, item: T) -> io::Result<()> {
        self.reserve(thread + 1);
        let thread = &mut self.threads[thread];
        thread.block.push(item);
        if thread.block.len() == BLOCK {
            self.file.write_all_at(thread.block.as_bytes(), self.length)?;
            thread.full.push(self.length);
            thread.block.clear();
            self.length += size_of::<[T; BLOCK]>() as u64;
        }
        Ok(())
    }

    /// There are so many threads at least; some may have no item.
    pub(super) fn reserve(&mut self, threads: usize) {
        if threads > self.threads.len() {
            self.threads.resize_with(threads, Thread::default);
        }
    }

    /// How many items a thread has.
    pub(super) fn len(&self, thread: usize) -> usize {
        let Thread { full, block } = &self.threads[thread];
        full.len() * BLOCK + block.len()
    }

    /// The item of a thread that was added last.
    pub(super) fn last(&self, thread: usize) -> io::Result<Option<T>> {
        let Thread { full, block } = &self.threads[thread];
        if let (None, Some(&at)) = (block.last(), full.last()) {
            let mut last = T::new_zeroed();
            self.file.read_exact_at(last.as_mut_bytes(), at + (size_of::<T>() * (BLOCK - 1)) as u64)?;
            return Ok(Some(last));
        }
        Ok(block.last().copied())
    }

    /// Goes through the items of a thread in the order in which they were added.
    pub(super) fn each<E: From<io::Error>>(
        &self,
        thread: usize,
        mut take: impl FnMut(&T) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut read = vec![T::new_zeroed(); BLOCK];
        for &at in self.full(thread) {
            self.read(at, &mut read)?;
            read.iter().try_for_each(&mut take)?;
        }
        self.rest(thread).iter().try_for_each(take)
    }

    /// The same, those that were added last first.
    pub(super) fn each_backward<E: From<io::Error>>(
        &self,
        thread: usize,
        mut take: impl FnMut(&T) -> Result<(), E>,
    ) -> Result<(), E> {
        self.rest(thread).iter().rev().try_for_each(&mut take)?;
        let mut read = vec![T::new_zeroed(); BLOCK];
        for &at in self.full(thread).iter().rev() {
            self.read(at, &mut read)?;
            read.iter().rev().try_for_each(&mut take)?;
        }
        Ok(())
    }

    /// Where the full blocks of a thread lie, to be [read](Self::read).
    pub(super) fn full(&self, thread: usize) -> &[u64] {
        &self.threads[thread].full
    }

    /// What was added to a thread after its last full block.
    pub(super) fn rest(&self, thread: usize) -> &[T] {
        &self.threads[thread].block
    }

    /// Reads a full block.
    pub(super) fn read(&self, at: u64, block: &mut [T]) -> io::Result<()> {
        self.file.read_exact_at(block.as_mut_bytes(), at)
    }
}

/// A file without a name, in the folder for temporary files.
pub(crate) fn unnamed_file() -> io::Result<File> {
    match env::var_os("TMPDIR") {
        Some(folder) => tempfile::tempfile_in(folder),
        None => tempfile::tempfile_in(FOLDER).or_else(|_| tempfile::tempfile()),
    }
}
