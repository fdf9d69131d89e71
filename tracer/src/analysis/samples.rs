//! The samples of a log, thread by thread in the order of time: what drawings of time are made of where calls were not
//! traced.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::blocks::Blocks;
use super::paths::PathId;
use super::walk::Threads;
use crate::event::Origin;

/// Rows that may come before one that is earlier than they are: the kernel tells of running threads, the recorder of
/// waiting ones, and neither waits for the other.
const UNORDERED: usize = 1024;

/// A sample of a thread that ran or waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSample {
    /// When: of a thread that waited, since when. Monotonic nanoseconds.
    pub time_ns: u64,
    /// The time that it stands for, nanoseconds.
    pub weight_ns: u64,
    /// Its thread, by number.
    pub thread: u32,
    /// Its call path.
    pub path: PathId,
    /// What the thread was doing; not [`Origin::Memory`].
    pub origin: Origin,
}

/// All samples of a log. They wait in [`Blocks`], 24 bytes each.
#[derive(Debug)]
pub struct Samples {
    waiting: Blocks<Waiting>,
    /// Time that the samples of each thread stand for, running and waiting, nanoseconds.
    sums: Vec<[u64; 2]>,
    /// When the first sample of each was taken.
    first_ns: Vec<Option<u64>>,
    ids: Vec<(u32, u32)>,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Waiting {
    time_ns: u64,
    weight_ns: u64,
    path: PathId,
    origin: u32,
}

/// By their numbers in a file.
const ORIGINS: [Origin; 4] = [Origin::Python, Origin::Native, Origin::System, Origin::OffCpu];

impl Samples {
    /// None yet.
    ///
    /// # Errors
    /// If no file can be made in the folder for temporary files.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { waiting: Blocks::new()?, sums: Vec::new(), first_ns: Vec::new(), ids: Vec::new() })
    }

    pub(super) fn add(&mut self, sample: &TimeSample) -> io::Result<()> {
        let &TimeSample { time_ns, weight_ns, thread, path, origin } = sample;
        let thread = thread as usize;
        self.reserve(thread + 1);
        let sum = &mut self.sums[thread][usize::from(origin == Origin::OffCpu)];
        *sum = sum.saturating_add(weight_ns);
        let first_ns = self.first_ns[thread].get_or_insert(time_ns);
        *first_ns = time_ns.min(*first_ns);
        let origin = ORIGINS.iter().position(|&known| known == origin).unwrap_or(0) as u32;
        self.waiting.push(thread, Waiting { time_ns, weight_ns, path, origin })
    }

    /// All samples have been added.
    pub(super) fn finish(&mut self, threads: &Threads) {
        threads.ids().clone_into(&mut self.ids);
        self.reserve(self.ids.len());
    }

    fn reserve(&mut self, threads: usize) {
        let threads = threads.max(self.sums.len());
        self.waiting.reserve(threads);
        self.sums.resize(threads, [0; 2]);
        self.first_ns.resize(threads, None);
    }

    /// Process and thread id of each thread, by number.
    pub fn threads(&self) -> &[(u32, u32)] {
        &self.ids
    }

    /// How many samples there are of a thread: what a thread waited, up to a tenth of a second, is one.
    pub fn len(&self, thread: usize) -> usize {
        self.waiting.len(thread)
    }

    /// Time that the samples of a thread stand for, nanoseconds: while it ran, and while it waited.
    pub fn sums(&self, thread: usize) -> [u64; 2] {
        self.sums[thread]
    }

    /// When the first sample of a thread was taken, monotonic nanoseconds.
    pub fn first_ns(&self, thread: usize) -> Option<u64> {
        self.first_ns[thread]
    }

    /// Goes through the samples of a thread, earlier ones first.
    ///
    /// # Errors
    /// If the file can't be read, and what `take` returns.
    pub fn each<E: From<io::Error>>(
        &self,
        thread: usize,
        mut take: impl FnMut(&TimeSample) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut coming = BinaryHeap::new();
        let mut number = 0_u64;
        let mut hand_on = |Reverse((time_ns, _, weight_ns, path, origin))| {
            let origin = ORIGINS[origin as usize % ORIGINS.len()];
            take(&TimeSample { time_ns, weight_ns, thread: thread as u32, path, origin })
        };
        self.waiting.each(thread, |&Waiting { time_ns, weight_ns, path, origin }| {
            number += 1;
            coming.push(Reverse((time_ns, number, weight_ns, path, origin)));
            if coming.len() > UNORDERED { coming.pop().map_or(Ok(()), &mut hand_on) } else { Ok(()) }
        })?;
        while let Some(next) = coming.pop() {
            hand_on(next)?;
        }
        Ok(())
    }
}
