//! What a ring looks like to the one who puts records in order.

use bytes::{BufMut as _, BytesMut};

/// What comes next in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing that had been begun when the ring was last looked at.
    Nothing,
    /// A record of this time.
    At(u64),
    /// A record that is being written.
    Unfinished,
}

/// The reading end of a ring.
pub(super) trait Source {
    /// Looks how far the ring is written.
    fn look(&mut self);

    /// What comes next, as of the last look.
    fn next(&self) -> Next;

    /// Takes a record, of which [`Source::next`] has told.
    fn take(&mut self, buffer: &mut BytesMut);

    /// Lets what was taken be written over.
    fn release(&mut self);
}

/// Appends a record, as chunks have it: behind its length.
pub(super) fn put(buffer: &mut BytesMut, record: &[u8]) {
    buffer.put_u64_ne(record.len() as u64);
    buffer.put_slice(record);
}
