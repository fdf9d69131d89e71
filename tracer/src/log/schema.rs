//! The tables of the log, their columns, and what the codes in them mean. All columns are required, `INT32`, `INT64`
//! or text; times are nanoseconds of the monotonic clock.

use parquet::basic::Type as Physical;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::RowGroupReader;
use parquet::file::writer::SerializedRowGroupWriter;
use std::fs::File;

use crate::charge::{Began, Ended};
use crate::event::Member;

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
pub trait Rows: Default + Send {
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

    /// Writes all columns.
    fn write(&self, group: &mut SerializedRowGroupWriter<'_, File>) -> Result<()>;

    /// Adds the rows of a group. `places` has the column number in the file for each of [`Rows::COLUMNS`].
    fn read(&mut self, group: &dyn RowGroupReader, places: &[usize]) -> Result<()>;
}

/// A value as Parquet has it.
trait Value: Sized {
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

const fn physical<V: Value>() -> Physical {
    // `DataType::get_physical_type` is not const.
    match size_of::<V>() {
        4 => Physical::INT32,
        8 => Physical::INT64,
        _ => Physical::BYTE_ARRAY,
    }
}

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
            pub fn iter(&self) -> impl Iterator<Item = $row> {
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

table! {
    /// Names of a function id.
    FunctionRows of FunctionRow in "functions" {
        /// Its id. Several ids may have the same names.
        function_id: i32 = Dictionary,
        /// Process id.
        pid: i32 = Dictionary,
        /// Qualified name.
        function: ByteArray = Dictionary,
        /// File.
        file: ByteArray = Dictionary,
        /// First line of the definition.
        line: i32 = Dictionary,
        /// `co_flags`.
        code_flags: i32 = Dictionary,
    }
}

table! {
    /// A finished call.
    CallRows of CallRow in "calls" {
        /// When it ended.
        end_ns: i64 = Delta,
        /// How long it took.
        duration_ns: i64 = Plain,
        /// Process id.
        pid: i32 = Dictionary,
        /// Thread id.
        tid: i32 = Dictionary,
        /// Which function.
        function_id: i32 = Dictionary,
        /// The function it was called from; 0: none that is traced.
        caller_id: i32 = Dictionary,
        /// Calls open further out.
        depth: i32 = Dictionary,
        /// Part of the duration not on a CPU.
        off_cpu_ns: i64 = Dictionary,
        /// Change of resident memory in bytes, by this thread.
        rss_delta: i64 = Dictionary,
        /// Page faults.
        faults: i64 = Dictionary,
        /// How it began: 0 called, 1 resumed, 2 found open.
        began: i32 = Dictionary,
        /// How it ended: 0 returned, 1 raised, 2 still open at the end, 3 suspended, 4 unseen, 5 with its thread.
        ended: i32 = Dictionary,
        /// 1: the same function is open further out.
        recursive: i32 = Dictionary,
    }
}

table! {
    /// The beginning or the end of a call.
    EventRows of EventRow in "events" {
        /// When.
        time_ns: i64 = Delta,
        /// Process id.
        pid: i32 = Dictionary,
        /// Thread id.
        tid: i32 = Dictionary,
        /// A beginning: the code of `began`. An end: 10 and the code of `ended`.
        kind: i32 = Dictionary,
        /// Which function.
        function_id: i32 = Dictionary,
        /// Calls open further out.
        depth: i32 = Dictionary,
        /// Of an end: time not on a CPU in this call.
        off_cpu_ns: i64 = Dictionary,
        /// Of an end: change of resident memory in bytes in this call.
        rss_delta: i64 = Dictionary,
        /// Of an end: page faults in this call.
        faults: i64 = Dictionary,
        /// 1: the same function is open further out.
        recursive: i32 = Dictionary,
    }
}

table! {
    /// A change of resident memory.
    RssRows of RssRow in "rss" {
        /// When.
        time_ns: i64 = Delta,
        /// Process id.
        pid: i32 = Dictionary,
        /// Thread that caused it; 0: another task.
        tid: i32 = Dictionary,
        /// Function on top of that thread; 0: none.
        function_id: i32 = Dictionary,
        /// 0 file, 1 anonymous, 2 swap (not part of resident memory), 3 shared.
        member: i32 = Dictionary,
        /// Change in bytes.
        delta: i64 = Dictionary,
        /// Resident memory of the process after it; of a swap change, what is swapped out.
        total: i64 = Delta,
    }
}

/// What an end has on top in [`EventRow::kind`].
pub const END: i32 = 10;

/// The code of a beginning.
pub fn began_code(began: Began) -> i32 {
    match began {
        Began::Call => 0,
        Began::Resumed => 1,
        Began::Held => 2,
    }
}

/// The beginning of a code.
pub fn began(code: i32) -> Option<Began> {
    [Began::Call, Began::Resumed, Began::Held].into_iter().find(|&began| began_code(began) == code)
}

/// The code of an end.
pub fn ended_code(ended: Ended) -> i32 {
    match ended {
        Ended::Returned => 0,
        Ended::Raised => 1,
        Ended::OpenAtDetach => 2,
        Ended::Suspended => 3,
        Ended::Unseen => 4,
        Ended::WithThread => 5,
    }
}

/// The end of a code.
pub fn ended(code: i32) -> Option<Ended> {
    let all = [
        Ended::Returned,
        Ended::Raised,
        Ended::OpenAtDetach,
        Ended::Suspended,
        Ended::Unseen,
        Ended::WithThread,
    ];
    all.into_iter().find(|&ended| ended_code(ended) == code)
}

/// The kind of memory of a code.
pub fn member(code: i32) -> Option<Member> {
    [Member::File, Member::Anon, Member::Swap, Member::Shmem]
        .into_iter()
        .find(|&member| member as i32 == code)
}

fn write_column<V: Value>(group: &mut SerializedRowGroupWriter<'_, File>, values: &[V]) -> Result<()> {
    let mut column =
        group.next_column()?.ok_or_else(|| ParquetError::General("the table has too few columns".into()))?;
    column.typed::<V::Type>().write_batch(values, None, None)?;
    column.close()
}

fn read_column<V: Value>(
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
