//! The interpreters that the tests run.

use std::{path::Path, process::Command};

use crate::workspace;

/// A CPython whose plan must be exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Python {
    /// Debian 12's 3.11.
    Debian3_11,
    /// Debian sid's 3.15, in a root folder of its own.
    Sid3_15,
}

impl Python {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Debian3_11, Self::Sid3_15];

    /// The first two numbers of the version.
    pub fn version(self) -> &'static str {
        match self {
            Self::Debian3_11 => "3.11",
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

    /// The words of that command.
    pub fn words(self) -> Vec<String> {
        match self {
            Self::Debian3_11 => vec!["/usr/bin/python3.11".into()],
            Self::Sid3_15 => {
                let root = workspace().join("target/pythons/3.15");
                assert!(root.join("usr/bin/python3.15").exists(), "no CPython 3.15: run `cargo xtask setup`");
                let path = |path: &Path| path.to_str().expect("the workspace's path is UTF-8").to_owned();
                let script = path(&workspace().join("tests/in-root.sh"));
                vec![script, path(&root), path(workspace()), "/usr/bin/python3.15".into()]
            }
        }
    }
}

/// Makes a test of each function, for each interpreter: `cpython_3_11::name` and `cpython_3_15::name`.
#[macro_export]
macro_rules! on_both_pythons {
    ($($name:ident),+ $(,)?) => {
        mod cpython_3_11 {
            $(#[test] fn $name() { super::$name($crate::Python::Debian3_11); })+
        }
        mod cpython_3_15 {
            $(#[test] fn $name() { super::$name($crate::Python::Sid3_15); })+
        }
    };
}
