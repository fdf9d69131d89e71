//! The folder of a log, which nobody else can read, and which is written in by whoever made it, nobody else.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::{LogError, recording};

/// A folder, held open: whoever may rename it, or put a link in its place, does not make us write elsewhere.
#[derive(Debug)]
pub(super) struct Folder {
    name: PathBuf,
    open: File,
    /// It was not there before.
    made: bool,
}

impl Folder {
    /// Makes the folder, which must be new or empty, and those of its tables.
    pub(super) fn create(dir: &Path, tables: &[&str]) -> Result<Self, LogError> {
        let made = match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
            Ok(true) => false,
            Ok(false) => return Err(LogError::NotEmpty(dir.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(dir).map_err(failed("make", dir))?;
                true
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(LogError::NotAFolder(dir.to_owned()));
            }
            Err(error) => return Err(failed("read", dir)(error)),
        };
        let folder = Self { made, ..Self::open(dir)? };
        for table in tables {
            make(&folder.path().join(table)).map_err(failed("write in", dir))?;
        }
        Ok(folder)
    }

    /// One that is there.
    pub(super) fn open(dir: &Path) -> Result<Self, LogError> {
        Ok(Self { name: dir.to_owned(), open: open_own(dir)?, made: false })
    }

    /// By which it is reached, whatever its name has become.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.open.as_raw_fd()))
    }

    /// What it was called.
    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    /// Takes an empty log away again; the folder itself too, if it was made for it.
    pub(super) fn remove(&self, tables: &[&str]) {
        let dir = self.path();
        // As far as it goes: what was made may be gone already.
        let _ = fs::remove_file(dir.join(recording::FILE));
        for table in tables {
            let _ = fs::remove_dir(dir.join(table));
        }
        if self.made {
            let _ = fs::remove_dir(&self.name);
        }
    }
}

fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Opens a folder that is ours alone. Others could put links in the place of what we are about to write.
fn open_own(dir: &Path) -> Result<File, LogError> {
    let open = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW).open(dir);
    let open = match open {
        // The kernel says either of a link.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENOTDIR)) => {
            return Err(LogError::NotOurs(dir.to_owned(), "a link"));
        }
        open => open.map_err(failed("open", dir))?,
    };
    let metadata = open.metadata().map_err(failed("read", dir))?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(LogError::NotOurs(dir.to_owned(), "another user's"));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(LogError::NotOurs(dir.to_owned(), "open to others"));
    }
    Ok(open)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError + use<> {
    let path = path.to_owned();
    move |source| LogError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_new_folder_is_private_and_goes_again() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("log");
        let folder = Folder::create(&dir, &["calls"]).unwrap();
        for path in [dir.clone(), dir.join("calls")] {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o700);
        }
        folder.remove(&["calls"]);
        assert!(!dir.exists());
    }

    #[test]
    fn what_takes_its_name_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let [dir, away, other] = ["log", "away", "other"].map(|name| parent.path().join(name));
        let folder = Folder::create(&dir, &[]).unwrap();
        fs::create_dir(&other).unwrap();
        fs::rename(&dir, &away).unwrap();
        symlink(&other, &dir).unwrap();
        fs::write(folder.path().join("file"), "text").unwrap();
        assert_eq!(fs::read_to_string(away.join("file")).unwrap(), "text");
        assert_eq!(fs::read_dir(other).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_is_not_ours_alone_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let [dir, link] = ["dir", "link"].map(|name| parent.path().join(name));
        fs::create_dir(&dir).unwrap();
        symlink(&dir, &link).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        for (path, why) in [(&dir, "open to others"), (&link, "a link")] {
            let error = Folder::create(path, &["calls"]).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("give a new folder to -o"), "{error}");
        }
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    }
}
