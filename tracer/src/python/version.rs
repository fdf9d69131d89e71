//! Which interpreter an image holds.

use super::{elf::Elf, plan::Version, refusal::Refusal};

/// Symbols that only an image with the interpreter's loop defines.
pub(super) const EVAL: [&str; 3] = ["_PyEval_EvalFrameDefault", "PyEval_EvalFrameEx", "PyEval_EvalFrame"];
/// Entry points of PyPy's library.
pub(super) const PYPY: [&str; 3] = ["pypy_execute_source", "pypy_setup_home", "rpython_startup_code"];

/// The version of the CPython in an image. `name` is the file's name, for those too old to say.
///
/// # Errors
/// If there is none, or it is older than 3.11.
pub fn of(elf: &Elf, name: &str) -> Result<Version, Refusal> {
    if PYPY.iter().any(|n| elf.symbol(n).is_some()) {
        return Err(Refusal::PyPy);
    }
    if !EVAL.iter().any(|n| elf.symbol(n).is_some()) {
        return Err(Refusal::NotPython);
    }
    // Exported since 3.11: PY_VERSION_HEX of the build.
    let Some(symbol) = elf.symbol("Py_Version") else { return Err(Refusal::TooOld(version_in(name))) };
    let hex = elf.u32_at(symbol.address).ok_or(Refusal::NotPython)?;
    let version = Version { major: (hex >> 24) as u8, minor: (hex >> 16) as u8, patch: (hex >> 8) as u8 };
    match (version.major, version.minor) {
        (3, 11..) => Ok(version),
        (4.., _) => Err(Refusal::TooNew(version)),
        _ => Err(Refusal::TooOld(version.to_string())),
    }
}

/// `3.8` of `python3.8` or `libpython3.8.so.1.0`.
fn version_in(name: &str) -> String {
    let known = name.split_once("python").map(|(_, rest)| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        rest[..end].trim_matches('.').to_owned()
    });
    known.filter(|v| v.len() > 1).unwrap_or_else(|| "before 3.11".to_owned())
}

#[cfg(test)]
mod tests {
    use super::version_in;

    #[test]
    fn version_from_a_file_name() {
        assert_eq!(version_in("libpython3.8.so.1.0"), "3.8");
        assert_eq!(version_in("python3.10"), "3.10");
        assert_eq!(version_in("python2.7"), "2.7");
        assert_eq!(version_in("blender"), "before 3.11");
    }
}
