//! One Parquet file. The account is in its metadata, under `pytracer.notes`.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;

use super::rows::{self, Heading, Kind, Rows, Table, Value};
use super::{Export, Measure};
use crate::analysis::Source;

/// Rows that are held in memory before they are written.
const GROUP_ROWS: usize = 100_000;

/// The format.
pub(super) struct Parquet {
    pub(super) rows: Rows,
}

impl Export for Parquet {
    fn write(&self, source: &mut Source, _: Measure, out: &mut dyn Write) -> Result<()> {
        rows::write(source, self.rows, Groups { out, file: None, columns: Vec::new() })
    }
}

struct Groups<'a> {
    out: &'a mut dyn Write,
    /// Writes to memory, which is emptied after each group: threads of the library must not share `out`.
    file: Option<SerializedFileWriter<Vec<u8>>>,
    columns: Vec<Values>,
}

/// The values of a column.
enum Values {
    Numbers(Vec<i64>),
    /// Those that are there, and for each row whether it has one: 1 or 0.
    Optionals(Vec<i64>, Vec<i16>),
    Texts(Vec<ByteArray>),
}

impl Table for Groups<'_> {
    fn begin(&mut self, columns: &[Heading]) -> Result<()> {
        let field = |column: &Heading| {
            let (physical, logical) = match column.kind {
                Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
                Kind::Number | Kind::Optional => (Physical::INT64, None),
            };
            let optional = column.kind == Kind::Optional;
            let field = Type::primitive_type_builder(column.name, physical)
                .with_repetition(if optional { Repetition::OPTIONAL } else { Repetition::REQUIRED })
                .with_logical_type(logical);
            field.build().map(Arc::new)
        };
        let fields = columns.iter().map(field).collect::<Result<_, _>>()?;
        let schema = Type::group_type_builder("pytracer").with_fields(fields).build()?;
        let properties = WriterProperties::builder()
            .set_created_by(format!("pytracer {}", env!("CARGO_PKG_VERSION")))
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .build();
        self.file = Some(SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?);
        self.columns = columns.iter().map(Values::of).collect();
        Ok(())
    }

    fn row(&mut self, values: &[Value<'_>]) -> Result<()> {
        for (column, value) in self.columns.iter_mut().zip(values) {
            match (column, value) {
                (Values::Numbers(numbers), Value::Number(number)) => numbers.push(*number),
                (Values::Optionals(numbers, present), Value::Number(number)) => {
                    numbers.push(*number);
                    present.push(1);
                }
                (Values::Optionals(_, present), Value::Missing) => present.push(0),
                (Values::Texts(texts), Value::Text(text)) => texts.push(ByteArray::from(*text)),
                _ => unreachable!("a column has values of one kind"),
            }
        }
        if self.columns.first().is_some_and(|column| column.len() >= GROUP_ROWS) {
            self.group()
        } else {
            Ok(())
        }
    }

    fn end(mut self, notes: &[String]) -> Result<()> {
        if self.columns.first().is_some_and(|column| column.len() > 0) {
            self.group()?;
        }
        let mut file = self.file.take().context("a table without columns")?;
        file.append_key_value_metadata(KeyValue::new("pytracer.notes".into(), notes.join("\n")));
        Ok(self.out.write_all(&file.into_inner()?)?)
    }
}

impl Groups<'_> {
    /// Writes what is held in memory.
    fn group(&mut self) -> Result<()> {
        let file = self.file.as_mut().context("a table without columns")?;
        let mut group = file.next_row_group()?;
        for values in &mut self.columns {
            let column = group.next_column()?.context("the table has too few columns")?;
            values.write(column)?;
        }
        group.close()?;
        file.flush()?;
        self.out.write_all(file.inner())?;
        file.inner_mut().clear();
        Ok(())
    }
}

impl Values {
    fn of(column: &Heading) -> Self {
        match column.kind {
            Kind::Number => Self::Numbers(Vec::new()),
            Kind::Optional => Self::Optionals(Vec::new(), Vec::new()),
            Kind::Text => Self::Texts(Vec::new()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Optionals(_, present) => present.len(),
            Self::Texts(texts) => texts.len(),
        }
    }

    /// Writes all of them, and forgets them.
    fn write(&mut self, mut column: SerializedColumnWriter<'_>) -> parquet::errors::Result<()> {
        match self {
            Self::Numbers(numbers) => {
                column.typed::<Int64Type>().write_batch(numbers, None, None)?;
                numbers.clear();
            }
            Self::Optionals(numbers, present) => {
                column.typed::<Int64Type>().write_batch(numbers, Some(present), None)?;
                numbers.clear();
                present.clear();
            }
            Self::Texts(texts) => {
                column.typed::<ByteArrayType>().write_batch(texts, None, None)?;
                texts.clear();
            }
        }
        column.close()
    }
}
