//! How an interpreter image was built, as far as its file says.

use super::{elf::Elf, usdt_notes};

/// First bytes of `_Py_DebugOffsets`, which 3.13 and later begin `_PyRuntime` with.
const COOKIE: &[u8] = b"xdebugpy";
/// Where in it stands whether the build has no GIL.
const FREE_THREADED: u64 = 16;

/// Traits of a build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent of each other")]
pub struct Traits {
    /// A library, not a program.
    pub library: bool,
    /// Has USDT probes.
    pub dtrace: bool,
    /// Has USDT probes that functions pass; 3.12 to 3.14 have none in any build.
    pub function_probes: bool,
    /// Has no symbols but those that the dynamic linker needs.
    pub stripped: bool,
    /// Has no GIL.
    pub free_threaded: bool,
    /// Has the JIT compiler built in, used or not.
    pub jit: bool,
}

impl Traits {
    /// The traits of an image.
    pub fn of(elf: &Elf) -> Self {
        let probes = usdt_notes::read(elf);
        let probes: Vec<_> = probes.iter().filter(|note| note.provider == "python").collect();
        let published = elf
            .symbol("_PyRuntime")
            .map(|runtime| runtime.address)
            .filter(|&address| elf.bytes_at(address, COOKIE.len()) == Some(COOKIE));
        let free_threaded = published
            .and_then(|address| elf.u64_at(address.checked_add(FREE_THREADED)?))
            .is_some_and(|v| v == 1);
        Self {
            library: !elf.is_program(),
            dtrace: !probes.is_empty(),
            function_probes: probes.iter().any(|note| note.name == "function__return"),
            stripped: elf.section(".symtab").is_none(),
            free_threaded,
            jit: published.is_some() && mentions(elf, b"PYTHON_JIT"),
        }
    }

    /// In words, the most important first: `program, dtrace, stripped`.
    pub fn words(&self) -> Vec<&'static str> {
        let kind = if self.library { "library" } else { "program" };
        let dtrace = match (self.dtrace, self.function_probes) {
            (true, true) => "dtrace",
            (true, false) => "dtrace without functions",
            (false, _) => "no dtrace",
        };
        let also =
            [(self.stripped, "stripped"), (self.free_threaded, "free-threaded"), (self.jit, "JIT built in")];
        let also = also.into_iter().filter_map(|(is, word)| is.then_some(word));
        [kind, dtrace].into_iter().chain(also).collect()
    }
}

/// Is this one of the image's constant strings? The name of the environment variable that switches the compiler on is
/// in every image that has the compiler, symbols or not.
fn mentions(elf: &Elf, text: &[u8]) -> bool {
    elf.section(".rodata").is_some_and(|(_, bytes)| bytes.split(|&b| b == 0).any(|string| string == text))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pythons::{Python, Trait};

    use super::*;

    fn of(path: &Path) -> Traits {
        Traits::of(&Elf::open(path).expect("an interpreter"))
    }

    #[test]
    fn python_3_11_of_debian_12() {
        let traits = of(Path::new("/usr/bin/python3.11"));
        let expected = Traits { dtrace: true, function_probes: true, stripped: true, ..Traits::default() };
        assert_eq!(traits, expected);
        assert_eq!(traits.words(), ["program", "dtrace", "stripped"]);
    }

    /// Of the builds that are on this machine.
    #[test]
    fn every_build_is_what_the_table_says() {
        for python in Python::ALL {
            let Ok(location) = python.locate() else { continue };
            let traits = of(&location.image);
            let found = (traits.library, traits.stripped, traits.free_threaded, traits.dtrace);
            let [library, stripped, free_threaded, dtrace] =
                [Trait::SharedLibrary, Trait::Stripped, Trait::FreeThreaded, Trait::Dtrace]
                    .map(|t| python.has(t));
            assert_eq!(found, (library, stripped, free_threaded, dtrace), "{python}");
        }
    }
}
