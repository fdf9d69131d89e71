//! How tables are defined, and how their columns go to and from Parquet.

use std::fs::File;

use parquet::basic::Type as Physical;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::RowGroupReader;
use parquet::file::writer::SerializedRowGroupWriter;

/// How a column is written. Chosen by measurement: only times jitter, all else repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// By reference to a list of values.
    Dictionary,
    /// As differences (`DELTA_BINARY_PACKED`).
    Delta,
    /// As it is.
    Plain,
}

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub physical: Physical,
    /// How it is written.
    pub encoding: Encoding,
}

/// Rows of one table, column by column.
pub trait Rows: Default + Send + 'static {
    /// The table's folder.
    const FOLDER: &'static str;
    /// Its columns, in order.
    const COLUMNS: &'static [Column];

    /// How many there are.
    fn len(&self) -> usize;

    /// None at all?
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes all rows out, and keeps the room that they took.
    fn clear(&mut self);

    /// Adds all rows of another, which has none then, after its own.
    fn append(&mut self, more: &mut Self);

    /// Writes all columns.
    fn write(&self, group: &mut SerializedRowGroupWriter<'_, File>) -> Result<()>;

    /// Adds the rows of a group. `places` has the column number in the file for each of [`Rows::COLUMNS`].
    fn read(&mut self, group: &dyn RowGroupReader, places: &[usize]) -> Result<()>;
}

/// A value as Parquet has it.
pub(super) trait Value: Sized {
    type Type: DataType<T = Self>;
}

impl Value for i32 {
    type Type = Int32Type;
}

impl Value for i64 {
    type Type = Int64Type;
}

impl Value for ByteArray {
    type Type = ByteArrayType;
}

pub(super) const fn physical<V: Value>() -> Physical {
    // `DataType::get_physical_type` is not const.
    match size_of::<V>() {
        4 => Physical::INT32,
        8 => Physical::INT64,
        _ => Physical::BYTE_ARRAY,
    }
}

/// Defines a table: the type of a row, the type of many, and how they are written and read.
macro_rules! table {
    ($(#[$doc:meta])* $rows:ident of $row:ident in $folder:literal {
        $($(#[$column_doc:meta])* $name:ident: $value:ty = $encoding:ident,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $row { $($(#[$column_doc])* pub $name: $value,)* }

        /// Rows, column by column.
        #[derive(Debug, Default)]
        pub struct $rows { $($name: Vec<$value>,)* }

        impl $rows {
            /// Adds a row.
            pub fn push(&mut self, row: $row) {
                $(self.$name.push(row.$name);)*
            }

            /// The rows, one by one.
            pub fn iter(&self) -> impl DoubleEndedIterator<Item = $row> {
                (0..self.len()).map(|at| $row { $($name: self.$name[at].clone(),)* })
            }
        }

        impl Rows for $rows {
            const FOLDER: &'static str = $folder;
            const COLUMNS: &'static [Column] = &[$(Column {
                name: stringify!($name),
                physical: physical::<$value>(),
                encoding: Encoding::$encoding,
            },)*];

            fn len(&self) -> usize {
                [$(self.$name.len(),)*][0]
            }

            fn clear(&mut self) {
                $(self.$name.clear();)*
            }

            fn append(&mut self, more: &mut Self) {
                if self.is_empty() {
                    std::mem::swap(self, more);
                } else {
                    $(self.$name.append(&mut more.$name);)*
                }
            }

            fn write(&self, group: &mut SerializedRowGroupWriter<'_, File>) -> Result<()> {
                $(write_column(group, &self.$name)?;)*
                Ok(())
            }

            fn read(&mut self, group: &dyn RowGroupReader, places: &[usize]) -> Result<()> {
                let mut places = places.iter().copied();
                $(read_column(group, places.next(), &mut self.$name)?;)*
                Ok(())
            }
        }
    };
}

pub(super) use table;

pub(super) fn write_column<V: Value>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[V],
) -> Result<()> {
    let mut column =
        group.next_column()?.ok_or_else(|| ParquetError::General("the table has too few columns".into()))?;
    column.typed::<V::Type>().write_batch(values, None, None)?;
    column.close()
}

pub(super) fn read_column<V: Value>(
    group: &dyn RowGroupReader,
    place: Option<usize>,
    values: &mut Vec<V>,
) -> Result<()> {
    let wrong = |what: &str| ParquetError::General(what.to_owned());
    let place = place.ok_or_else(|| wrong("a column is missing"))?;
    let rows =
        usize::try_from(group.metadata().num_rows()).map_err(|_| wrong("the number of rows is negative"))?;
    let mut column = get_typed_column_reader::<V::Type>(group.get_column_reader(place)?);
    let before = values.len();
    column.read_records(rows, None, None, values)?;
    if values.len() - before == rows { Ok(()) } else { Err(wrong("a column is too short")) }
}
