//! Empties the ring buffer into chunks of bytes, which another thread decodes.
//!
//! In a chunk each record stands behind its length (8 bytes). The kernel side wakes nobody up for an ordinary event:
//! whoever owns the receiver calls [`Receiver::drain`] every few milliseconds, and when [`Receiver::woken`] says so.

use std::{io, time::Duration};

use aya::maps::{MapData, RingBuf};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::{Interest, unix::AsyncFd};

/// How often the ring buffer is to be emptied: often enough for a small backlog, seldom enough to cost nothing
/// (polling without a pause doubles the cost of a call: the reader then fights for the lines being written).
pub const INTERVAL: Duration = Duration::from_millis(5);

/// A chunk is handed over when it has grown to this.
const CHUNK_BYTES: usize = 1 << 20;
const LENGTH_BYTES: usize = 8;

/// The reading end of the ring buffer.
pub struct Receiver {
    ring: AsyncFd<RingBuf<MapData>>,
    buffer: BytesMut,
}

impl Receiver {
    /// Takes over a ring buffer. To be called within a tokio runtime.
    ///
    /// # Errors
    /// If the descriptor can't be watched.
    pub fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        // SAFETY: the ring buffer owns its descriptor and keeps it as long as it lives.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE)? };
        Ok(Self { ring, buffer: BytesMut::new() })
    }

    /// Waits until the kernel side asks to be served at once.
    pub async fn woken(&self) {
        match self.ring.readable().await {
            Ok(mut guard) => guard.clear_ready(),
            Err(_) => std::future::pending().await,
        }
    }

    /// What is there, up to about one chunk; empty if nothing is. More may be waiting when a chunk is full.
    pub fn drain(&mut self) -> Bytes {
        self.buffer.reserve(CHUNK_BYTES);
        while self.buffer.len() < CHUNK_BYTES {
            let Some(record) = self.ring.get_mut().next() else { break };
            self.buffer.put_u64_ne(record.len() as u64);
            self.buffer.put_slice(&record);
        }
        self.buffer.split().freeze()
    }

    /// Is a chunk so full that more may be waiting?
    pub fn is_full(chunk: &Bytes) -> bool {
        chunk.len() >= CHUNK_BYTES
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
    use super::*;

    #[test]
    fn records_come_out_as_they_went_in() {
        let mut buffer = BytesMut::new();
        for record in [&b"one"[..], b"", b"three"] {
            buffer.put_u64_ne(record.len() as u64);
            buffer.put_slice(record);
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
