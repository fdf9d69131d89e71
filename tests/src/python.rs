//! The interpreters that the tests run.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::workspace;

/// The folders that are the roots of processes of Debian sid's interpreters.
const ROOT_3_14: &str = "target/pythons/3.14";
const ROOT_3_15: &str = "target/pythons/3.15";

/// A CPython whose plan must be exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Python {
    /// Debian 12's 3.11.
    Debian3_11,
    /// Debian sid's 3.14, stripped and without probe points for functions, in a root folder of its own.
    Sid3_14,
    /// Debian sid's 3.15, in a root folder of its own.
    Sid3_15,
}

impl Python {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Debian3_11, Self::Sid3_14, Self::Sid3_15];

    /// The first two numbers of the version.
    pub fn version(self) -> &'static str {
        match self {
            Self::Debian3_11 => "3.11",
            Self::Sid3_14 => "3.14",
            Self::Sid3_15 => "3.15",
        }
    }

    /// A command that becomes the interpreter, under the PID it starts with.
    pub fn command(self) -> Command {
        let words = self.words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    }

    /// The interpreter's file, as seen from outside of its root.
    pub fn file(self) -> PathBuf {
        match self {
            Self::Debian3_11 => "/usr/bin/python3.11".into(),
            Self::Sid3_14 => workspace().join(ROOT_3_14).join("usr/bin/python3.14"),
            Self::Sid3_15 => workspace().join(ROOT_3_15).join("usr/bin/python3.15"),
        }
    }

    /// The words of that command.
    pub fn words(self) -> Vec<String> {
        assert!(self.file().exists(), "no CPython {}: run `cargo xtask setup`", self.version());
        match self {
            Self::Debian3_11 => vec!["/usr/bin/python3.11".into()],
            Self::Sid3_14 => [in_root(ROOT_3_14), vec!["/usr/bin/python3.14".into()]].concat(),
            Self::Sid3_15 => [in_root(ROOT_3_15), vec!["/usr/bin/python3.15".into()]].concat(),
        }
    }
}

/// The first words of a command that has another root folder, which lies in the workspace.
pub fn in_root(root: &str) -> Vec<String> {
    let path = |path: &Path| path.to_str().expect("the workspace's path is UTF-8").to_owned();
    let script = workspace().join("tests/in-root.sh");
    vec![path(&script), path(&workspace().join(root)), path(workspace())]
}

/// Makes a test of each function, for each interpreter: `cpython_3_11::name` and so on.
#[macro_export]
macro_rules! on_all_pythons {
    ($($name:ident),+ $(,)?) => {
        mod cpython_3_11 {
            $(#[test] fn $name() { super::$name($crate::Python::Debian3_11); })+
        }
        mod cpython_3_14 {
            $(#[test] fn $name() { super::$name($crate::Python::Sid3_14); })+
        }
        mod cpython_3_15 {
            $(#[test] fn $name() { super::$name($crate::Python::Sid3_15); })+
        }
    };
}
