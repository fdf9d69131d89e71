//! Which of the files that a process has mapped is its interpreter, and how to open that very file from here.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    ops::Range,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use memchr::memmem;
use rustc_hash::FxHashMap;

use super::maps::FileMapping;
use crate::python::{
    elf::ElfError,
    recognise::{Kind, Recognised, recognise},
};

/// So much is read of a program that may load an interpreter's library, in bytes.
const LARGEST_LAUNCHER: u64 = 64 << 20;

/// The file that holds a process's interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// Where to open it from here: through the process's own root, or its link to the file.
    pub open_path: PathBuf,
    /// Where the process has it.
    pub shown_path: PathBuf,
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// When its content last changed, in nanoseconds since 1970.
    pub modified_ns: i128,
    /// Build id; empty: none.
    pub build_id: Vec<u8>,
}

impl ImageFile {
    /// The build id in hexadecimal.
    pub fn build_id(&self) -> String {
        self.build_id
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .filter_map(|n| char::from_digit(n.into(), 16))
            .collect()
    }
}

/// An interpreter's file and where it is loaded.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) image: ImageFile,
    pub(super) kind: Kind,
    pub(super) bias: u64,
    /// From the first address of its code to the first after it.
    pub(super) text: Range<u64>,
}

/// What was found in files, by device, inode and time of change: one run asks the same file for many processes.
pub(super) type Seen = FxHashMap<(u64, u64, i128), Option<Recognised>>;

/// Finds the interpreter among the mapped files. `Ok(None)`: no Python.
///
/// # Errors
/// If a file with the name of an interpreter can't be read.
pub(super) fn find(pid: u32, maps: &[FileMapping], seen: &mut Seen) -> Result<Option<Found>, ElfError> {
    let mut unreadable = None;
    for mapping in candidates(pid, maps) {
        match look(pid, mapping, maps, seen) {
            Ok(None) => {}
            Ok(found) => return Ok(found),
            Err(error) if is_python_name(&mapping.path) => unreadable = Some(error),
            Err(_) => {}
        }
    }
    unreadable.map_or(Ok(None), Err)
}

/// Mapped code that could be an interpreter: files named like one, libraries first, then the program itself, which
/// may have CPython built in under any name.
fn candidates(pid: u32, maps: &[FileMapping]) -> Vec<&FileMapping> {
    let program = fs::metadata(format!("/proc/{pid}/exe")).map(|m| m.ino()).ok();
    let rank = |m: &FileMapping| match file_name(&m.path) {
        name if name.starts_with("libpython") || name.starts_with("libpypy") => Some(0),
        _ if Some(m.inode) == program => Some(2),
        name if name.starts_with("python") || name.starts_with("pypy") => Some(1),
        _ => None,
    };
    let mut ranked: Vec<_> =
        maps.iter().filter(|m| m.executable).filter_map(|m| Some((rank(m)?, m))).collect();
    ranked.sort_by_key(|&(rank, _)| rank);
    ranked.dedup_by_key(|(_, m)| m.inode);
    ranked.into_iter().map(|(_, m)| m).collect()
}

fn look(
    pid: u32,
    mapping: &FileMapping,
    maps: &[FileMapping],
    seen: &mut Seen,
) -> Result<Option<Found>, ElfError> {
    let (open_path, metadata) = open(pid, mapping)?;
    let key = (metadata.dev(), metadata.ino(), modified_ns(&metadata));
    let recognised = match seen.get(&key) {
        Some(Some(known)) => known.clone(),
        Some(None) => return Ok(None),
        None => {
            let fresh = recognise(&open_path)?;
            seen.insert(key, (fresh.kind != Kind::Other).then(|| fresh.clone()));
            fresh
        }
    };
    if recognised.kind == Kind::Other {
        return Ok(None);
    }
    let lowest =
        maps.iter().filter(|m| m.inode == mapping.inode).map(|m| m.start).min().unwrap_or(mapping.start);
    let bias = if recognised.fixed { 0 } else { lowest.wrapping_sub(recognised.lowest_address & !0xfff) };
    let (device, inode, modified_ns) = key;
    let shown_path = mapping.path.clone();
    let build_id = recognised.build_id;
    let image = ImageFile { open_path, shown_path, device, inode, modified_ns, build_id };
    let code = || maps.iter().filter(|m| m.inode == mapping.inode && m.executable);
    let start = code().map(|m| m.start).min().unwrap_or(mapping.start);
    let end = code().map(|m| m.end).max().unwrap_or(mapping.end);
    Ok(Some(Found { image, kind: recognised.kind, bias, text: start..end }))
}

/// A way to open the file that is mapped, rather than another that has taken its name.
///
/// The kernel shows a process in a container paths within it, but one that has only changed its root directory
/// paths of ours. A file that was replaced or deleted is reached by the process's own links, which need more
/// privileges. Where inode numbers of a mapping and its file differ (overlay file systems of older kernels), names
/// are all there is.
fn open(pid: u32, mapping: &FileMapping) -> io::Result<(PathBuf, fs::Metadata)> {
    let in_root = Path::new("/proc").join(pid.to_string()).join("root").join(relative(&mapping.path));
    let exe = PathBuf::from(format!("/proc/{pid}/exe"));
    let link = PathBuf::from(format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end));
    let by_name = (!mapping.deleted).then(|| [in_root.clone(), mapping.path.clone()]).into_iter().flatten();
    for path in by_name.chain([exe, link.clone()]) {
        if let Ok(metadata) = fs::metadata(&path)
            && metadata.ino() == mapping.inode
        {
            return Ok((path, metadata));
        }
    }
    if let Ok(metadata) = fs::metadata(&link) {
        return Ok((link, metadata));
    }
    fs::metadata(&in_root).map(|metadata| (in_root, metadata))
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

fn modified_ns(metadata: &fs::Metadata) -> i128 {
    i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec())
}

/// Is the file named like an interpreter or its library?
pub(super) fn is_python_name(path: &Path) -> bool {
    let name = file_name(path);
    ["python", "libpython", "pypy", "libpypy"].iter().any(|prefix| name.starts_with(prefix))
}

/// Has a program the name of an interpreter's library in it: among those that its loader is to map, or to load one itself?
pub(super) fn names_library(program: &Path) -> bool {
    let mut bytes = Vec::new();
    let read = File::open(program).and_then(|file| file.take(LARGEST_LAUNCHER).read_to_end(&mut bytes));
    read.is_ok() && memmem::find(&bytes, b"libpython").is_some()
}

fn file_name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}
