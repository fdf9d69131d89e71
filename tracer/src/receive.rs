//! Empties the rings into chunks of bytes, which another thread decodes.
//!
//! In a chunk each record stands behind its length (8 bytes). The kernel side wakes nobody up for an ordinary event:
//! whoever owns the receiver calls [`Receiver::drain`] every few milliseconds ([`INTERVAL`]), and when [`Receiver::woken`]
//! says so.
//!
//! A thread that moves to another CPU writes to another ring, and so does one whose ring is full. What it has written before
//! stands in the first one by then: it can't move while a program runs. So records are taken in the order of their times, up
//! to the time at which the rings were looked at; what is younger waits for the next turn. In one ring a record may stand
//! behind a younger one, of another thread: it is then taken after that one, and still before all that its own thread has
//! written later (though not before what it wrote elsewhere at the same time: a fork, and the first thread of the child).

mod events;
mod shared;
mod source;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io,
    os::fd::{AsFd as _, OwnedFd},
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{Interest, unix::AsyncFd};

use self::{
    events::EventRing,
    shared::SharedRing,
    source::{Next, Source},
};
use crate::attach::monotonic_ns;

/// How often the rings are to be emptied: often enough for a small backlog, seldom enough to cost nothing
/// (polling without a pause doubles the cost of a call: the reader then fights for the lines being written).
pub const INTERVAL: Duration = Duration::from_millis(5);
/// The same while there is nothing in them, as where the kernel side adds up: looking costs some 60 us each time.
pub const QUIET_INTERVAL: Duration = Duration::from_millis(25);

/// A chunk is handed over when it has grown to this.
const CHUNK_BYTES: usize = 1 << 20;
const LENGTH_BYTES: usize = 8;

/// The kernel side's ends of the rings.
#[derive(Debug)]
pub struct Rings {
    /// The ring buffer that all CPUs share.
    pub shared: OwnedFd,
    /// Its size in bytes, a power of two.
    pub shared_bytes: u32,
    /// Slots of all event rings.
    pub event_slots: OwnedFd,
    /// How far they are written and read.
    pub event_positions: OwnedFd,
    /// Slots of each event ring, a power of two, in their order; 0: there is none.
    pub slots_of_rings: Vec<u32>,
}

/// The reading ends of the rings.
pub struct Receiver {
    shared: AsyncFd<SharedRing>,
    events: Vec<EventRing>,
    buffer: BytesMut,
}

impl Receiver {
    /// Takes over the rings. To be called within a tokio runtime.
    ///
    /// # Errors
    /// If they can't be mapped or watched.
    pub fn new(rings: &Rings) -> io::Result<Self> {
        let shared = SharedRing::new(rings.shared.as_fd(), rings.shared_bytes as usize)?;
        let events =
            EventRing::all(rings.event_slots.as_fd(), rings.event_positions.as_fd(), &rings.slots_of_rings)?;
        // SAFETY: the ring owns its descriptor and keeps it as long as it lives.
        let shared = unsafe { AsyncFd::register_with_interest(shared, Interest::READABLE)? };
        Ok(Self { shared, events, buffer: BytesMut::with_capacity(CHUNK_BYTES) })
    }

    /// Waits until the kernel side asks to be served at once.
    pub async fn woken(&self) {
        match self.shared.readable().await {
            Ok(mut guard) => guard.clear_ready(),
            Err(_) => std::future::pending().await,
        }
    }

    /// What is there, up to about one chunk; empty if nothing is. More may be waiting when a chunk is full.
    pub fn drain(&mut self) -> Bytes {
        let until_ns = monotonic_ns();
        // The names last: those of all functions in the event rings are there then.
        self.events.iter_mut().for_each(Source::look);
        self.shared.get_mut().look();
        // At equal times the ring buffer comes first: its records are what the others refer to.
        let shared: &mut dyn Source = self.shared.get_mut();
        let events = self.events.iter_mut().map(|ring| -> &mut dyn Source { ring });
        let mut sources: Vec<_> = std::iter::once(shared).chain(events).collect();
        merge(&mut sources, until_ns, &mut self.buffer);
        sources.into_iter().for_each(Source::release);
        // No larger than it has to be: many may be waiting to be decoded.
        let chunk = Bytes::copy_from_slice(&self.buffer);
        self.buffer.clear();
        chunk
    }

    /// Is a chunk so full that more may be waiting?
    pub fn is_full(chunk: &Bytes) -> bool {
        chunk.len() >= CHUNK_BYTES
    }
}

/// Takes records in the order of their times, the first source's first, up to a full chunk and to a time.
fn merge(sources: &mut [&mut dyn Source], until_ns: u64, buffer: &mut BytesMut) {
    let mut heads = BinaryHeap::with_capacity(sources.len());
    for (number, source) in sources.iter().enumerate() {
        match source.next() {
            Next::At(time_ns) => heads.push(Reverse((time_ns, number))),
            Next::Nothing => {}
            // What comes behind it may be of a thread that has written elsewhere since.
            Next::Unfinished => return,
        }
    }
    while let Some(Reverse((first_ns, number))) = heads.pop() {
        let other = heads.peek().map_or((u64::MAX, 0), |Reverse(head)| *head);
        let mut next = Next::At(first_ns);
        // Up to where another one has something, without asking for each record who is first.
        while let Next::At(time_ns) = next {
            if time_ns > until_ns || buffer.len() >= CHUNK_BYTES {
                break;
            }
            if (time_ns, number) > other {
                heads.push(Reverse((time_ns, number)));
                break;
            }
            sources[number].take(buffer);
            next = sources[number].next();
        }
        if next == Next::Unfinished || buffer.len() >= CHUNK_BYTES {
            return;
        }
    }
}

/// The records of a chunk.
pub fn records(chunk: &Bytes) -> impl Iterator<Item = &[u8]> {
    let mut rest: &[u8] = chunk;
    std::iter::from_fn(move || {
        if rest.len() < LENGTH_BYTES {
            return None;
        }
        let length = (rest.get_u64_ne() as usize).min(rest.len());
        let (record, after) = rest.split_at(length);
        rest = after;
        Some(record)
    })
}

#[cfg(test)]
mod tests {
    use bytes::BufMut as _;

    use super::*;

    /// A ring of times, of which some are of records that are being written.
    struct Times {
        waiting: Vec<Next>,
    }

    impl Source for Times {
        fn look(&mut self) {}

        fn next(&self) -> Next {
            self.waiting.first().copied().unwrap_or(Next::Nothing)
        }

        fn take(&mut self, buffer: &mut BytesMut) {
            if let Next::At(time_ns) = self.waiting.remove(0) {
                source::put(buffer, &time_ns.to_ne_bytes());
            }
        }

        fn release(&mut self) {}
    }

    fn merged(rings: &[&[Next]], until_ns: u64) -> Vec<u64> {
        let mut rings: Vec<_> = rings.iter().map(|ring| Times { waiting: ring.to_vec() }).collect();
        let mut sources: Vec<_> = rings.iter_mut().map(|ring| -> &mut dyn Source { ring }).collect();
        let mut buffer = BytesMut::new();
        merge(&mut sources, until_ns, &mut buffer);
        records(&buffer.freeze()).map(|record| record.try_into().map_or(0, u64::from_ne_bytes)).collect()
    }

    fn at(times: &[u64]) -> Vec<Next> {
        times.iter().map(|&time_ns| Next::At(time_ns)).collect()
    }

    #[test]
    fn rings_are_merged_by_time() {
        let rings = [at(&[1, 5, 6]), at(&[2, 3, 9]), at(&[]), at(&[4])];
        let rings: Vec<_> = rings.iter().map(Vec::as_slice).collect();
        assert_eq!(merged(&rings, 100), [1, 2, 3, 4, 5, 6, 9]);
    }

    #[test]
    fn what_is_younger_than_the_look_waits() {
        assert_eq!(merged(&[&at(&[1, 5, 6]), &at(&[2, 7])], 5), [1, 2, 5]);
    }

    /// 25 was written first, by a thread that took the other one's place; that one has moved on to the second ring since.
    #[test]
    fn a_late_record_comes_before_those_that_its_thread_wrote_later() {
        assert_eq!(merged(&[&at(&[25, 10]), &at(&[26, 27])], 100), [25, 10, 26, 27]);
    }

    #[test]
    fn nothing_passes_a_record_that_is_being_written() {
        let unfinished = [Next::At(1), Next::Unfinished, Next::At(3)];
        assert_eq!(merged(&[&unfinished, &at(&[2, 4])], 100), [1]);
        assert_eq!(merged(&[&unfinished[1..], &at(&[2, 4])], 100), [0; 0]);
    }

    #[test]
    fn records_come_out_as_they_went_in() {
        let mut buffer = BytesMut::new();
        for record in [&b"one"[..], b"", b"three"] {
            source::put(&mut buffer, record);
        }
        let chunk = buffer.freeze();
        assert_eq!(records(&chunk).collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
    }

    #[test]
    fn a_cut_chunk_ends_without_panic() {
        let mut buffer = BytesMut::new();
        buffer.put_u64_ne(100);
        buffer.put_slice(b"short");
        assert_eq!(records(&buffer.freeze()).collect::<Vec<_>>(), [b"short"]);
    }
}
