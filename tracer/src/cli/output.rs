//! Where something is written to: standard output, or a new file that nobody else can read.

use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::NamedTempFile;

/// What is written is at its place once it is [finished](Self::finish), and not at all if it never is.
#[derive(Debug)]
pub(super) enum Output {
    /// `-`
    Standard(BufWriter<StdoutLock<'static>>),
    /// A file beside the place that it is to have.
    File(BufWriter<NamedTempFile>, PathBuf),
}

impl Output {
    /// To a file that must not exist, or to standard output (`-`).
    ///
    /// # Errors
    /// If there is anything of this name, a link too, or it can't be written there.
    pub(super) fn create(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Standard(BufWriter::new(io::stdout().lock())));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let beside = match path.symlink_metadata() {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => tempfile::Builder::new().prefix(".pytracer-").tempfile_in(folder),
        };
        let beside = beside.with_context(|| format!("can't write {}", path.display()))?;
        Ok(Self::File(BufWriter::new(beside), path.to_owned()))
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// If it can't be written, or another file has taken the place.
    pub(super) fn finish(self) -> Result<()> {
        match self {
            Self::Standard(mut out) => out.flush().context("can't write to standard output"),
            Self::File(out, path) => {
                let failed = || format!("can't write {}", path.display());
                let file = out.into_inner().map_err(io::IntoInnerError::into_error).with_context(failed)?;
                file.persist_noclobber(&path).map(|_| ()).map_err(|error| error.error).with_context(failed)
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Standard(out) => out.write(bytes),
            Self::File(out, _) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Standard(out) => out.flush(),
            Self::File(out, _) => out.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn it_is_private_and_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let mut out = Output::create(&path).unwrap();
        out.write_all(b"half").unwrap();
        drop(out);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut out = Output::create(&path).unwrap();
        out.write_all(b"whole").unwrap();
        out.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn nothing_is_overwritten_and_no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let [precious, link, dangling, late] =
            ["precious", "link", "dangling", "late"].map(|name| folder.path().join(name));
        fs::write(&precious, "mine").unwrap();
        symlink(&precious, &link).unwrap();
        symlink(folder.path().join("nowhere"), &dangling).unwrap();
        for path in [&precious, &link, &dangling] {
            let error = Output::create(path).unwrap_err();
            assert!(crate::text::one_line(&error).contains("exists"), "{error:#}");
        }
        let out = Output::create(&late).unwrap();
        symlink(&precious, &late).unwrap();
        assert!(out.finish().is_err());
        assert_eq!(fs::read_to_string(&precious).unwrap(), "mine");
        assert!(!folder.path().join("nowhere").exists());
    }
}
