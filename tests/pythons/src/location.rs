//! Where a build lies on this machine, and how it is run.

use std::{
    env,
    error::Error,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Python, Source, Trait};

/// Where a build lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The words of a command that becomes the interpreter, under the PID it starts with.
    pub words: Vec<String>,
    /// The file that the interpreter's code is in, the program or `libpython`, as seen from outside of its root.
    pub image: PathBuf,
}

/// A build that is not on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    python: Python,
    reasons: Vec<String>,
}

impl Python {
    /// Where it lies.
    ///
    /// # Errors
    ///
    /// When none of its sources has it.
    pub fn locate(&self) -> Result<Location, Missing> {
        let mut reasons = Vec::new();
        for source in self.sources() {
            match self.locate_by(source) {
                Ok(mut location) => {
                    if self.has(Trait::Jit) {
                        location.words = with_environment(&["PYTHON_JIT=1".into()], location.words);
                    }
                    return Ok(location);
                }
                Err(why) => reasons.push(why),
            }
        }
        Err(Missing { python: *self, reasons })
    }

    /// The words of a command that becomes the interpreter, under the PID it starts with.
    ///
    /// # Panics
    ///
    /// When it is not on this machine.
    pub fn words(&self) -> Vec<String> {
        self.present().words
    }

    /// That command.
    ///
    /// # Panics
    ///
    /// When it is not on this machine.
    pub fn command(&self) -> Command {
        let words = self.words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    }

    /// The file that the interpreter's code is in, as seen from outside of its root.
    ///
    /// # Panics
    ///
    /// When it is not on this machine.
    pub fn image(&self) -> PathBuf {
        self.present().image
    }

    fn present(&self) -> Location {
        self.locate().unwrap_or_else(|missing| panic!("{missing}: run `cargo xtask setup`"))
    }

    fn locate_by(&self, source: &Source) -> Result<Location, String> {
        match *source {
            Source::Installed(path) => {
                let image = PathBuf::from(path);
                if !image.exists() {
                    return Err(format!("there is no {path}"));
                }
                Ok(Location { words: vec![text(&image)], image })
            }
            Source::Pyenv => self.of_pyenv(),
            Source::Package { suite, package } => {
                self.complete(&format!("{package} of Debian {suite} is not unpacked"))?;
                let program = format!("/usr/bin/{}", self.program());
                let image = self.folder().join(&program[1..]);
                let words = in_root(&self.folder()).into_iter().chain([program]).collect();
                Ok(Location { words, image })
            }
            Source::Compiled { suite, package, .. } => {
                self.complete(&format!("{package} of Debian {suite} is not compiled"))?;
                Ok(self.installed_in(&self.folder(), &[]))
            }
            Source::StrippedCopy(original) => {
                self.complete(&format!("there is no stripped copy of {original}"))?;
                // The library that it is a copy of: the modules are still those beside that.
                let library = fs::read_to_string(self.stamp()).map_err(|error| error.to_string())?;
                let home = format!("PYTHONHOME={}", text(&prefix_of(Path::new(&library))));
                Ok(self.installed_in(&self.folder(), &[home]))
            }
            Source::Same(other) => other.locate().map_err(|missing| missing.to_string()),
        }
    }

    fn of_pyenv(&self) -> Result<Location, String> {
        let versions = pyenv_versions();
        let prefix = newest_patch(&versions, self.version());
        let prefix =
            prefix.ok_or_else(|| format!("pyenv has no {} in {}", self.version(), versions.display()))?;
        let image = prefix.join("lib").join(self.library());
        if !image.exists() {
            return Err(format!("there is no {}", image.display()));
        }
        Ok(Location { words: vec![text(&prefix.join("bin").join(self.program()))], image })
    }

    /// A build that is installed under a prefix to which it was not made to be bound.
    fn installed_in(&self, prefix: &Path, environment: &[String]) -> Location {
        let program = prefix.join("bin").join(self.program());
        if !self.has(Trait::SharedLibrary) {
            return Location { words: vec![text(&program)], image: program };
        }
        let libraries = prefix.join("lib");
        let mut environment = environment.to_vec();
        environment.push(format!("LD_LIBRARY_PATH={}", text(&libraries)));
        let words = with_environment(&environment, vec![text(&program)]);
        Location { words, image: libraries.join(self.library()) }
    }

    fn complete(&self, otherwise: &str) -> Result<(), String> {
        if self.stamp().exists() && self.folder().exists() { Ok(()) } else { Err(otherwise.to_owned()) }
    }
}

impl Missing {
    /// Why none of its sources has it.
    pub fn why(&self) -> String {
        self.reasons.join(", and ")
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not on this machine: {}", self.python, self.why())
    }
}

impl Error for Missing {}

/// The root of the workspace.
///
/// # Panics
///
/// Never: the package lies in the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the package lies in the workspace")
}

/// The first words of a command that has another root folder.
pub fn in_root(root: &Path) -> Vec<String> {
    vec![text(&workspace().join("tests/in-root.sh")), text(root), text(workspace())]
}

/// The prefix of an installation with a shared library.
pub(crate) fn prefix_of(library: &Path) -> PathBuf {
    library.ancestors().nth(2).unwrap_or(library).to_owned()
}

fn with_environment(variables: &[String], words: Vec<String>) -> Vec<String> {
    [vec!["/usr/bin/env".to_owned()], variables.to_vec(), words].concat()
}

/// The folder in which pyenv has a prefix for each version.
fn pyenv_versions() -> PathBuf {
    let root = env::var_os("PYENV_ROOT").map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv"));
    root.or_else(home).unwrap_or_default().join("versions")
}

/// The folder of the highest patch version of a minor version.
fn newest_patch(versions: &Path, minor: &str) -> Option<PathBuf> {
    let patch = |path: &Path| -> Option<u32> {
        path.file_name()?.to_str()?.strip_prefix(minor)?.strip_prefix('.')?.parse().ok()
    };
    let folders = fs::read_dir(versions).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    folders.filter_map(|path| Some((patch(&path)?, path))).max().map(|(_, path)| path)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::newest_patch;
    use crate::{Python, Source};

    #[test]
    fn the_highest_patch_version_is_taken() {
        let folder = std::env::temp_dir().join(format!("pythons-test-{}", std::process::id()));
        for version in ["3.1.9", "3.10.2", "3.10.13", "3.10-dev", "3.10.x", "3.11.1"] {
            fs::create_dir_all(folder.join(version)).unwrap();
        }
        assert_eq!(newest_patch(&folder, "3.10"), Some(folder.join("3.10.13")));
        assert_eq!(newest_patch(&folder, "3.9"), None);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_missing_is_named_with_each_reason() {
        const NOWHERE: [Source; 2] =
            [Source::Installed("/nowhere/python"), Source::Installed("/nowhere/else")];
        let python = Python { sources: &NOWHERE, ..Python::DEBIAN_3_11 };
        assert_eq!(
            python.locate().unwrap_err().to_string(),
            "CPython 3.11 (program, dtrace, stripped) is not on this machine: there is no /nowhere/python, and there \
             is no /nowhere/else"
        );
    }

    #[test]
    fn names_are_unique_and_begin_with_the_version() {
        let mut names: Vec<_> = Python::ALL.iter().map(Python::name).collect();
        assert!(Python::ALL.iter().all(|python| python.name().starts_with(python.version())));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Python::ALL.len());
    }
}
