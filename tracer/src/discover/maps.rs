//! What files a process has mapped, from `/proc/PID/maps`. Read as bytes: names of files need not be UTF-8.

use std::{ffi::OsString, os::unix::ffi::OsStringExt, path::PathBuf};

/// One mapping of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileMapping {
    /// First address.
    pub(super) start: u64,
    /// First address after it.
    pub(super) end: u64,
    /// Can it be executed?
    pub(super) executable: bool,
    /// Inode of the file.
    pub(super) inode: u64,
    /// Path as the kernel shows it to us.
    pub(super) path: PathBuf,
    /// Has the file no name any more?
    pub(super) deleted: bool,
}

/// The mappings that have a file, in order of address.
pub(crate) fn parse(text: &[u8]) -> Vec<FileMapping> {
    text.split(|&b| b == b'\n').filter_map(parse_line).collect()
}

/// `start-end perms offset major:minor inode    path`
fn parse_line(line: &[u8]) -> Option<FileMapping> {
    let mut rest = line;
    let mut next = || {
        let end = rest.iter().position(|&b| b == b' ')?;
        let (field, after) = rest.split_at(end);
        rest = after.trim_ascii_start();
        std::str::from_utf8(field).ok()
    };
    let (start, end) = next()?.split_once('-')?;
    let permissions = next()?;
    next()?; // offset
    next()?; // device: differs from stat's on some file systems
    let inode = next()?.parse().ok()?;
    if inode == 0 || rest.first() != Some(&b'/') {
        return None;
    }
    let (path, deleted) = match rest.strip_suffix(b" (deleted)") {
        Some(path) => (path, true),
        None => (rest, false),
    };
    Some(FileMapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        executable: permissions.as_bytes().get(2) == Some(&b'x'),
        inode,
        path: PathBuf::from(OsString::from_vec(unescape(path))),
        deleted,
    })
}

/// The kernel writes a newline in a name as `\012`, and nothing else so.
fn unescape(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some(&byte) = rest.first() {
        if let Some(after) = rest.strip_prefix(br"\012") {
            out.push(b'\n');
            rest = after;
        } else {
            out.push(byte);
            rest = &rest[1..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_of_files_only() {
        let text = b"00400000-0041f000 r--p 00000000 fe:00 1048 /usr/bin/python3.11\n\
            0041f000-006d2000 r-xp 0001f000 fe:00 1048                       /usr/bin/python3.11 (deleted)\n\
            7f00000-7f01000 rw-p 00000000 00:00 0 \n\
            7ffd000-7ffe000 r-xp 00000000 00:00 0                          [vdso]\n\
            7f10000-7f11000 r-xp 00000000 fe:00 77 /tmp/a\\012b c\xff\n";
        let maps = parse(text);
        assert_eq!(maps.len(), 3);
        assert_eq!((maps[0].start, maps[0].executable, maps[0].inode), (0x40_0000, false, 1048));
        assert_eq!((maps[1].path.to_str(), maps[1].deleted), (Some("/usr/bin/python3.11"), true));
        assert_eq!(maps[2].path.to_string_lossy(), "/tmp/a\nb c\u{fffd}");
    }

    #[test]
    fn damaged_lines_are_left_out() {
        for text in
            [&b""[..], b"x", b"1-2 r", b"1-2 rwxp 0 0:0 z /a", b"g-h r-xp 0 0:0 1 /a", b" - - - - 1 /"]
        {
            assert!(parse(text).is_empty());
        }
    }
}
