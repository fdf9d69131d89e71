//! Which interpreter an image holds.

use std::fmt;

use memchr::memmem;

use super::{elf::Elf, plan::Version, refusal::Refusal};

/// Symbols that only an image with the interpreter's loop defines.
pub(super) const EVAL: [&str; 3] = ["_PyEval_EvalFrameDefault", "PyEval_EvalFrameEx", "PyEval_EvalFrame"];
/// Entry points of PyPy's library.
pub(super) const PYPY: [&str; 3] = ["pypy_execute_source", "pypy_setup_home", "rpython_startup_code"];

/// The first functions that a version exports and the one before does not, newest first, for versions that do not
/// say which they are.
const FIRST_WITH: [(&str, u8); 3] =
    [("PyIter_Send", 10), ("PyFrame_GetCode", 9), ("PyCode_NewWithPosOnlyArgs", 8)];

/// How a version was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// The file says it (`Py_Version`, 3.11+).
    PyVersion,
    /// By the functions that it exports and a text in the file.
    Exports,
}

impl fmt::Display for FoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PyVersion => "Py_Version in the file",
            Self::Exports => "the functions that the file exports, and its version text",
        })
    }
}

/// The version of the CPython in an image. `name` is the file's name, for those too old to say.
///
/// # Errors
/// If there is none, or it is older than 3.8.
pub fn of(elf: &Elf, name: &str) -> Result<(Version, FoundBy), Refusal> {
    if PYPY.iter().any(|n| elf.symbol(n).is_some()) {
        return Err(Refusal::PyPy);
    }
    if !EVAL.iter().any(|n| elf.symbol(n).is_some()) {
        return Err(Refusal::NotPython);
    }
    // PY_VERSION_HEX of the build.
    let Some(symbol) = elf.symbol("Py_Version") else { return before_3_11(elf, name) };
    let hex = elf.u32_at(symbol.address).ok_or(Refusal::NotPython)?;
    let version = Version { major: (hex >> 24) as u8, minor: (hex >> 16) as u8, patch: (hex >> 8) as u8 };
    match (version.major, version.minor) {
        (3, 11..) => Ok((version, FoundBy::PyVersion)),
        (4.., _) => Err(Refusal::TooNew(version)),
        _ => Err(Refusal::TooOld(version.to_string())),
    }
}

fn before_3_11(elf: &Elf, name: &str) -> Result<(Version, FoundBy), Refusal> {
    let minor = FIRST_WITH.iter().find(|(symbol, _)| elf.symbol(symbol).is_some()).map(|&(_, minor)| minor);
    let minor = minor.ok_or_else(|| Refusal::TooOld(version_in(name)))?;
    // Without the text the patch release is not known; nothing depends on it.
    let patch = patch_text(elf, minor).unwrap_or(0);
    Ok((Version { major: 3, minor, patch }, FoundBy::Exports))
}

/// The patch release by `PY_VERSION`: `3.8.18`. Linkers may make it the end of a longer string.
fn patch_text(elf: &Elf, minor: u8) -> Option<u8> {
    let prefix = format!("3.{minor}.");
    let constants = elf.section(".rodata")?.1;
    memmem::find_iter(constants, &prefix).find_map(|at| {
        let text = constants.get(at + prefix.len()..)?;
        let digits = text.iter().take(3).take_while(|b| b.is_ascii_digit()).count();
        let ends = matches!(text.get(digits), Some(0 | b'+'));
        if ends { str::from_utf8(&text[..digits]).ok()?.parse().ok() } else { None }
    })
}

/// `3.7` of `python3.7` or `libpython3.7m.so.1.0`.
fn version_in(name: &str) -> String {
    let known = name.split_once("python").map(|(_, rest)| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        rest[..end].trim_matches('.').to_owned()
    });
    known.filter(|v| v.len() > 1).unwrap_or_else(|| "before 3.8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::version_in;

    #[test]
    fn version_from_a_file_name() {
        assert_eq!(version_in("libpython3.8.so.1.0"), "3.8");
        assert_eq!(version_in("python3.10"), "3.10");
        assert_eq!(version_in("python2.7"), "2.7");
        assert_eq!(version_in("blender"), "before 3.8");
    }
}
