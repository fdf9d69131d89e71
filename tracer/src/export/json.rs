//! JSON that is written piece by piece, for what does not fit in memory.

use std::io::{self, Write};

use serde::Serialize;

/// Writes a value.
///
/// # Errors
/// Those of the output as they are, so that it is told when nobody reads it.
pub(super) fn write(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    Ok(serde_json::to_writer(out, value)?)
}

/// An array, one element a line.
pub(super) struct Array<'w> {
    out: &'w mut dyn Write,
    is_empty: bool,
}

impl<'w> Array<'w> {
    /// An array without elements.
    pub(super) fn begin(out: &'w mut dyn Write) -> io::Result<Self> {
        out.write_all(b"[")?;
        Ok(Self { out, is_empty: true })
    }

    /// Adds an element.
    pub(super) fn push(&mut self, element: &impl Serialize) -> io::Result<()> {
        write(self.next()?, element)
    }

    /// The place for another element, to be written there.
    pub(super) fn next(&mut self) -> io::Result<&mut dyn Write> {
        self.out.write_all(if self.is_empty { b"\n" } else { b",\n" })?;
        self.is_empty = false;
        Ok(self.out)
    }

    /// No element is left.
    pub(super) fn end(self) -> io::Result<()> {
        self.out.write_all(b"\n]")
    }
}
