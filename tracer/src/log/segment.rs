//! One segment: a Parquet file with one row group.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parquet::basic::{
    Compression, Encoding as Parquet, LogicalType, Repetition, Type as Physical, ZstdLevel,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::reader::{ChunkReader, FileReader as _};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, SchemaDescriptor, Type, TypePtr};

use super::SCHEMA;
use super::bounded::{Fault, bounded};
use super::table::{Column, Encoding, Rows};

/// Key of the form's version in a file's metadata.
const SCHEMA_KEY: &str = "pytracer.schema";
const PAGE_ROWS: usize = 1_000_000;
const PAGE_BYTES: usize = 1 << 20;
/// More than any segment has: a larger number is damage, and would be believed by an allocation.
const MAX_ROWS: i64 = 1 << 24;
/// Processor time that reading a segment may take, and what each of its mebibytes adds: hundreds of times what it does.
const READING: Duration = Duration::from_secs(5);
const READING_OF_A_MEBIBYTE: Duration = Duration::from_secs(10);

/// What is wrong with a segment.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SegmentError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("damaged: {0}")]
    Damaged(String),
    #[error("no segment of this log: {0}")]
    Foreign(String),
    #[error("its form {0} is newer than this pytracer: use a newer one")]
    Newer(u32),
}

impl From<ParquetError> for SegmentError {
    fn from(error: ParquetError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<Fault> for SegmentError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Io(error) => Self::Io(error),
            fault => Self::Damaged(format!("reading it was given up: {fault}")),
        }
    }
}

/// What the times of a segment are of.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// To be added to a time to get nanoseconds since 1970.
    pub(super) clock_offset_ns: i64,
    /// The kernel's name for the time since it was started: the clock of one boot is not that of another.
    pub(super) boot_id: String,
}

impl Origin {
    /// Of times of this boot. The offset is not known yet.
    pub(super) fn of_this_boot() -> Self {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self { clock_offset_ns: 0, boot_id: boot_id.trim().to_owned() }
    }
}

/// Name of a segment.
pub(super) fn name(number: u32) -> String {
    format!("part-{number:06}.parquet")
}

/// Number of a segment, from its name.
pub(super) fn number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("part-")?.strip_suffix(".parquet")?;
    let number = digits.parse().ok()?;
    (self::name(number) == name).then_some(number)
}

/// Writes a segment beside its place and renames it into it, also where there is one that has fewer rows. Returns its
/// size in bytes.
pub(super) fn write<R: Rows>(
    dir: &Path,
    number: u32,
    rows: &R,
    origin: &Origin,
) -> parquet::errors::Result<u64> {
    let folder = dir.join(R::FOLDER);
    let beside = folder.join(format!("{}.part", name(number)));
    let written = write_file(&beside, rows, origin).and_then(|()| {
        let bytes = fs::metadata(&beside)?.len();
        fs::rename(&beside, folder.join(name(number)))?;
        Ok(bytes)
    });
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_file<R: Rows>(path: &Path, rows: &R, origin: &Origin) -> parquet::errors::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut writer =
        SerializedFileWriter::new(file, schema::<R>()?, Arc::new(properties(R::COLUMNS, origin)?))?;
    let mut group = writer.next_row_group()?;
    rows.write(&mut group)?;
    group.close()?;
    writer.close()?;
    Ok(())
}

/// Reads a whole segment.
pub(super) fn read<R: Rows>(path: &Path) -> Result<R, SegmentError> {
    parse(open(path)?)
}

/// Opens a segment: whatever takes its place, it can be read as it is now.
pub(super) fn open(path: &Path) -> Result<File, SegmentError> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(SegmentError::Foreign("not a regular file".into()));
    }
    Ok(File::open(path)?)
}

/// Reads a whole segment from a file or from memory. The Parquet library is not proof against every damaged file (it may
/// panic, or count to 2^31 for each few bytes): one file must not end the report, nor keep it from its end.
pub(crate) fn parse<R: Rows>(file: impl ChunkReader + 'static) -> Result<R, SegmentError> {
    let mebibytes = u32::try_from(file.len() >> 20).unwrap_or(u32::MAX);
    parse_within(READING.saturating_add(READING_OF_A_MEBIBYTE.saturating_mul(mebibytes)), file)
}

fn parse_within<R: Rows>(limit: Duration, file: impl ChunkReader + 'static) -> Result<R, SegmentError> {
    bounded(limit, || read_rows(file)).unwrap_or_else(|fault| Err(fault.into()))
}

fn read_rows<R: Rows>(file: impl ChunkReader + 'static) -> Result<R, SegmentError> {
    let reader = SerializedFileReader::new(file)?;
    let metadata = reader.metadata().file_metadata();
    let form = metadata.key_value_metadata().into_iter().flatten().find(|pair| pair.key == SCHEMA_KEY);
    match form.and_then(|pair| pair.value.as_deref()?.parse::<u32>().ok()) {
        Some(form) if form > SCHEMA => return Err(SegmentError::Newer(form)),
        Some(_) => {}
        None => return Err(SegmentError::Foreign(format!("it has no {SCHEMA_KEY}"))),
    }
    let places = places(R::COLUMNS, metadata.schema_descr())?;
    let mut rows = R::default();
    for at in 0..reader.num_row_groups() {
        let group = reader.get_row_group(at)?;
        if !(0..=MAX_ROWS).contains(&group.metadata().num_rows()) {
            return Err(SegmentError::Damaged("an impossible number of rows".into()));
        }
        rows.read(&*group, &places)?;
    }
    Ok(rows)
}

/// Where the columns are in a file. More columns than these do no harm.
fn places(columns: &[Column], schema: &SchemaDescriptor) -> Result<Vec<usize>, SegmentError> {
    let place = |column: &Column| {
        let at = schema.columns().iter().position(|found| found.path().parts() == [column.name]);
        let fits = at.filter(|&at| {
            let found = schema.column(at);
            found.physical_type() == column.physical
                && found.max_def_level() == 0
                && found.max_rep_level() == 0
        });
        fits.ok_or_else(|| SegmentError::Foreign(format!("no column {} as it should be", column.name)))
    };
    columns.iter().map(place).collect()
}

fn schema<R: Rows>() -> parquet::errors::Result<TypePtr> {
    let field = |column: &Column| {
        let text = (column.physical == Physical::BYTE_ARRAY).then_some(LogicalType::String);
        let field = Type::primitive_type_builder(column.name, column.physical)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(text);
        field.build().map(Arc::new)
    };
    let fields = R::COLUMNS.iter().map(field).collect::<parquet::errors::Result<_>>()?;
    Type::group_type_builder(R::FOLDER).with_fields(fields).build().map(Arc::new)
}

fn properties(columns: &[Column], origin: &Origin) -> parquet::errors::Result<WriterProperties> {
    let pair = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("pytracer {}", env!("CARGO_PKG_VERSION")))
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_key_value_metadata(Some(vec![
            pair(SCHEMA_KEY, SCHEMA.to_string()),
            pair("pytracer.clock_offset_ns", origin.clock_offset_ns.to_string()),
            pair("pytracer.boot_id", origin.boot_id.clone()),
        ]));
    for column in columns {
        let encoding = match column.encoding {
            Encoding::Dictionary => continue,
            Encoding::Delta => Parquet::DELTA_BINARY_PACKED,
            Encoding::Plain => Parquet::PLAIN,
        };
        let path = ColumnPath::from(column.name);
        properties =
            properties.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, encoding);
    }
    Ok(properties.build())
}

#[cfg(test)]
mod tests {
    #![expect(unreachable_pub, reason = "tables of the log are")]

    use bytes::Bytes;
    use parquet::data_type::ByteArray;
    use parquet::errors::Result;
    use parquet::file::reader::RowGroupReader;
    use parquet::file::writer::SerializedRowGroupWriter;

    use super::*;
    use crate::log::schema::{RssRows, ThreadRows};
    use crate::log::table::{physical, read_column, table, write_column};

    table! {
        /// `threads` as a later version may have it.
        LaterRows of LaterRow in "threads" {
            /// Another column.
            priority: i64 = Plain,
            /// As in `threads`, in another order.
            name: ByteArray = Plain,
            /// Thread id.
            tid: i32 = Delta,
            /// Process id.
            pid: i32 = Plain,
            /// Process.
            process: i32 = Dictionary,
        }
    }

    #[test]
    fn columns_of_a_later_version_and_their_order_do_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("threads")).unwrap();
        let mut rows = LaterRows::default();
        for tid in 1..=3 {
            let name = ByteArray::from(format!("worker {tid}").as_str());
            rows.push(LaterRow { priority: 9, name, tid, pid: 7, process: 0 });
        }
        write(dir.path(), 1, &rows, &Origin::of_this_boot()).unwrap();
        let path = dir.path().join("threads").join(name(1));
        let read: ThreadRows = read(&path).unwrap();
        let names: Vec<_> = read.iter().map(|row| (row.process, row.pid, row.tid, row.name)).collect();
        let expected: Vec<_> = rows.iter().map(|row| (row.process, row.pid, row.tid, row.name)).collect();
        assert_eq!(names, expected);
        let error = super::read::<RssRows>(&path).unwrap_err();
        assert_eq!(error.to_string(), "no segment of this log: no column time_ns as it should be");
    }

    /// Found by a fuzzer: for an unknown list of booleans the library counts to its length, which may be 2^31, for each 7
    /// bytes.
    #[test]
    fn one_that_keeps_its_reader_busy() {
        let fields = b"\xf9\xf1\xff\xff\xff\xff\x07".repeat(10);
        let size = (fields.len() as u32).to_le_bytes();
        let segment = Bytes::from([b"PAR1", fields.as_slice(), &size, b"PAR1"].concat());
        let limit = Duration::from_millis(50);
        let Err(error) = parse_within::<RssRows>(limit, segment) else { panic!("it was read") };
        assert!(
            error.to_string().starts_with("damaged: reading it was given up: it took more than"),
            "{error}"
        );
    }
}
