//! Several threads of a timeline together, in the order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use zerocopy::FromZeros as _;

use super::super::blocks::BLOCK;
use super::{Edge, Span, Timeline};

/// How far a thread is.
struct Cursor<'a> {
    thread: usize,
    /// Where the blocks lie that have not been read yet, the latest calls first.
    blocks: &'a [u64],
    /// Calls that have not begun yet, the latest first.
    coming: Vec<Span>,
    open: Vec<Span>,
}

impl Timeline {
    /// Goes through the beginnings and ends of all calls of some threads, in the order of time; those of one thread
    /// are in the order of [`Timeline::edges`]. A block of each thread is kept in memory.
    ///
    /// # Errors
    /// If the file can't be read, and what `take` returns.
    pub fn merged<E: From<io::Error>>(
        &self,
        threads: impl IntoIterator<Item = usize>,
        mut take: impl FnMut(usize, Edge<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let cursors = threads.into_iter().map(|thread| Cursor::new(self, thread));
        let mut cursors = cursors.collect::<io::Result<Vec<_>>>()?;
        let mut next: BinaryHeap<_> = cursors
            .iter()
            .enumerate()
            .filter_map(|(at, cursor)| Some(Reverse((cursor.time_ns()?, at))))
            .collect();
        while let Some(Reverse((_, at))) = next.pop() {
            let cursor = &mut cursors[at];
            if let Some(over) = cursor.ending() {
                take(cursor.thread, Edge::End(&over))?;
            } else if let Some(span) = cursor.beginning(self)? {
                take(cursor.thread, Edge::Begin(&span))?;
            }
            next.extend(cursor.time_ns().map(|time_ns| Reverse((time_ns, at))));
        }
        Ok(())
    }
}

impl<'a> Cursor<'a> {
    fn new(timeline: &'a Timeline, thread: usize) -> io::Result<Self> {
        let (blocks, coming) = (timeline.calls.full(thread), timeline.calls.rest(thread).to_vec());
        let mut cursor = Self { thread, blocks, coming, open: Vec::new() };
        cursor.read(timeline)?;
        Ok(cursor)
    }

    /// When something happens next; `None`: nothing is left.
    fn time_ns(&self) -> Option<u64> {
        let over = if self.ends_first() { self.open.last().map(|span| span.end_ns) } else { None };
        over.or_else(|| Some(self.coming.last()?.start_ns))
    }

    /// Does the innermost open call end before another begins?
    fn ends_first(&self) -> bool {
        match (self.open.last(), self.coming.last()) {
            (Some(open), Some(coming)) => open.depth >= coming.depth,
            (open, _) => open.is_some(),
        }
    }

    fn ending(&mut self) -> Option<Span> {
        if self.ends_first() { self.open.pop() } else { None }
    }

    fn beginning(&mut self, timeline: &Timeline) -> io::Result<Option<Span>> {
        let span = self.coming.pop();
        self.open.extend(span);
        self.read(timeline)?;
        Ok(span)
    }

    /// Reads the next block, if it is time.
    fn read(&mut self, timeline: &Timeline) -> io::Result<()> {
        if let (true, Some((&at, later))) = (self.coming.is_empty(), self.blocks.split_last()) {
            self.coming.resize(BLOCK, Span::new_zeroed());
            timeline.calls.read(at, &mut self.coming)?;
            self.blocks = later;
        }
        Ok(())
    }
}
