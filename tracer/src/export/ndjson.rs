//! A JSON object on each line.

use std::io::{self, Write};

use anyhow::Result;

use super::rows::{self, Heading, Rows, Table, Value};
use super::{Export, Measure};
use crate::analysis::Source;

/// The format.
pub(super) struct Ndjson {
    pub(super) rows: Rows,
}

impl Export for Ndjson {
    fn write(&self, source: &mut Source, _: Measure, out: &mut dyn Write) -> Result<()> {
        rows::write(source, self.rows, Lines { out, columns: Vec::new() })
    }
}

struct Lines<'a> {
    out: &'a mut dyn Write,
    columns: Vec<Heading>,
}

impl Table for Lines<'_> {
    fn begin(&mut self, columns: &[Heading]) -> Result<()> {
        self.columns = columns.to_vec();
        Ok(())
    }

    fn row(&mut self, values: &[Value<'_>]) -> Result<()> {
        for (at, (column, value)) in self.columns.iter().zip(values).enumerate() {
            write!(self.out, "{}\"{}\":", if at == 0 { '{' } else { ',' }, column.name)?;
            match value {
                Value::Number(number) => write!(self.out, "{number}")?,
                Value::Missing => write!(self.out, "null")?,
                Value::Text(text) => serde_json::to_writer(&mut self.out, text).map_err(io::Error::from)?,
            }
        }
        Ok(writeln!(self.out, "}}")?)
    }

    fn end(self, _: &[String]) -> Result<()> {
        Ok(())
    }
}
