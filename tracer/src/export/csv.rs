//! Comma-separated values with a line of headings (RFC 4180).
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula and runs it, and functions can have
//! such names: an apostrophe in front makes text of it.

use std::borrow::Cow;
use std::io::{self, Write};

use anyhow::Result;
use csv::Writer;

use super::rows::{self, Heading, Rows, Table, Value};
use super::{Export, Measure};
use crate::analysis::Source;

/// The format.
pub(super) struct Csv {
    pub(super) rows: Rows,
}

impl Export for Csv {
    fn write(&self, source: &mut Source, _: Measure, out: &mut dyn Write) -> Result<()> {
        rows::write(source, self.rows, Lines(Writer::from_writer(out)))
    }
}

struct Lines<'a>(Writer<&'a mut dyn Write>);

impl Table for Lines<'_> {
    fn begin(&mut self, columns: &[Heading]) -> Result<()> {
        Ok(self.0.write_record(columns.iter().map(|column| column.name)).map_err(from_csv)?)
    }

    fn row(&mut self, values: &[Value<'_>]) -> Result<()> {
        let cells = values.iter().map(|value| match value {
            Value::Number(number) => Cow::Owned(number.to_string()),
            Value::Text(text) => harmless(text),
            Value::Missing => Cow::Borrowed(""),
        });
        Ok(self.0.write_record(cells.map(Cell)).map_err(from_csv)?)
    }

    fn end(mut self, _: &[String]) -> Result<()> {
        Ok(self.0.flush()?)
    }
}

/// The error of the output itself: the library's own conversion hides of what kind it is.
fn from_csv(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// A cell, as the library takes it.
struct Cell<'a>(Cow<'a, str>);

impl AsRef<[u8]> for Cell<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Text that no spreadsheet runs.
fn harmless(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_text() {
        let mut out = Vec::new();
        let mut lines = Lines(Writer::from_writer(&mut out));
        let values = [Value::Text("=1+1"), Value::Text("@x,\"y\""), Value::Text("a=b"), Value::Number(-1)];
        lines.row(&values).unwrap();
        lines.end(&[]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "'=1+1,\"'@x,\"\"y\"\"\",a=b,-1\n");
    }
}
