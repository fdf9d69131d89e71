//! Keeps a log within a size: the oldest segments go, those of names never.

use std::collections::VecDeque;

use crate::log::gone::Gone;

/// How large a log is, and what of it can go.
#[derive(Debug)]
pub(super) struct Bound {
    max_bytes: u64,
    /// What can't go: names and the description.
    names_bytes: u64,
    description_bytes: u64,
    rows_bytes: u64,
    /// Oldest first.
    segments: VecDeque<Segment>,
    gone: Gone,
}

/// A segment of rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) table: &'static str,
    pub(super) number: u32,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    /// First and last time in it, if it has times.
    pub(super) times_ns: Option<(u64, u64)>,
}

impl Bound {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            names_bytes: 0,
            description_bytes: 0,
            rows_bytes: 0,
            segments: VecDeque::new(),
            gone: Gone { max_bytes, ..Gone::default() },
        }
    }

    /// A segment of names was written: it had so many bytes before, 0 if it is new, and has so many now.
    pub(super) fn set_names(&mut self, before: u64, bytes: u64) {
        self.names_bytes = self.names_bytes - before + bytes;
    }

    /// The description was written again.
    pub(super) fn set_description(&mut self, bytes: u64) {
        self.description_bytes = bytes;
    }

    /// A segment of rows was written, for the first time or again.
    pub(super) fn set(&mut self, segment: Segment) {
        self.rows_bytes += segment.bytes;
        let known = self.segments.iter_mut().rev().find(|known| known.table == segment.table);
        match known.filter(|known| known.number == segment.number) {
            Some(known) => {
                self.rows_bytes -= known.bytes;
                *known = segment;
            }
            None => self.segments.push_back(segment),
        }
    }

    /// What has gone, if anything.
    pub(super) fn gone(&self) -> Option<Gone> {
        (self.gone.names_exceed || !self.gone.tables.is_empty()).then(|| self.gone.clone())
    }

    /// Which segments are to be removed by now; they count as gone.
    pub(super) fn make_room(&mut self) -> Vec<Segment> {
        let rest = self.names_bytes + self.description_bytes;
        let mut removed = Vec::new();
        while rest + self.rows_bytes > self.max_bytes
            && let Some(oldest) = self.segments.pop_front()
        {
            self.rows_bytes -= oldest.bytes;
            let gone = self.gone.tables.entry(oldest.table.to_owned()).or_default();
            gone.segments = oldest.number;
            gone.rows += oldest.rows;
            if let Some((from_ns, to_ns)) = oldest.times_ns {
                gone.from_ns = Some(gone.from_ns.map_or(from_ns, |known| known.min(from_ns)));
                gone.to_ns = Some(gone.to_ns.map_or(to_ns, |known| known.max(to_ns)));
            }
            removed.push(oldest);
        }
        self.gone.names_exceed |= rest > self.max_bytes;
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(table: &'static str, number: u32, bytes: u64) -> Segment {
        let times_ns = Some((u64::from(number) * 10, u64::from(number) * 10 + 9));
        Segment { table, number, bytes, rows: 5, times_ns }
    }

    #[test]
    fn the_oldest_go_until_there_is_room() {
        let mut bound = Bound::new(100);
        bound.set_names(0, 25);
        bound.set_names(25, 10);
        bound.set_description(20);
        for (table, number) in [("calls", 1), ("rss", 1), ("calls", 2)] {
            bound.set(segment(table, number, 20));
            assert!(bound.make_room().is_empty() && bound.gone().is_none());
        }
        bound.set(segment("calls", 3, 30));
        let removed: Vec<_> = bound.make_room().iter().map(|old| (old.table, old.number)).collect();
        assert_eq!(removed, [("calls", 1)]);
        bound.set_description(21);
        bound.set(segment("calls", 4, 30));
        let removed: Vec<_> = bound.make_room().iter().map(|old| (old.table, old.number)).collect();
        assert_eq!(removed, [("rss", 1), ("calls", 2)]);
        let gone = bound.gone().unwrap();
        assert_eq!((gone.segments("calls"), gone.segments("rss"), gone.names_exceed), (2, 1, false));
        let calls = gone.tables["calls"];
        assert_eq!((calls.rows, calls.from_ns, calls.to_ns), (10, Some(10), Some(29)));
    }

    #[test]
    fn a_segment_that_grows_counts_once() {
        let mut bound = Bound::new(100);
        bound.set(segment("calls", 1, 60));
        bound.set(segment("rss", 1, 10));
        bound.set(Segment { rows: 7, ..segment("calls", 1, 80) });
        assert!(bound.make_room().is_empty());
        bound.set(segment("rss", 1, 30));
        assert_eq!(bound.make_room().len(), 1);
        let gone = bound.gone().unwrap();
        assert_eq!((gone.tables["calls"].rows, gone.segments("rss")), (7, 0));
    }

    #[test]
    fn names_never_go_and_that_they_are_too_many_is_said() {
        let mut bound = Bound::new(100);
        bound.set(segment("calls", 1, 50));
        bound.set_names(0, 101);
        assert_eq!(bound.make_room().len(), 1);
        assert!(bound.make_room().is_empty());
        assert!(bound.gone().is_some_and(|gone| gone.names_exceed));
    }
}
