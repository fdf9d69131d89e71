//! The kernels that there are virtual machines of.

use anyhow::{Context as _, Result};

/// A kernel of Debian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// What the tasks call it.
    pub(crate) name: &'static str,
    /// The suite of Debian that it is the kernel of.
    pub(crate) suite: &'static str,
}

impl Kernel {
    /// All of them, the oldest first.
    pub(crate) const ALL: [Self; 3] = [
        Self { name: "6.1", suite: "bookworm" },
        Self { name: "6.12", suite: "trixie" },
        Self { name: "sid", suite: "sid" },
    ];

    /// What is taken if none is asked for: that of Debian's stable release.
    pub(crate) const USUAL: &'static str = "6.12";

    /// The kernel of a name.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let known = Self::ALL.map(|kernel| kernel.name).join(", ");
        let found = Self::ALL.into_iter().find(|kernel| kernel.name == name);
        found.with_context(|| format!("there is no kernel {name} here: take one of {known}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Kernel;

    #[test]
    fn kernels_are_found_by_name() {
        assert_eq!(Kernel::named(Kernel::USUAL).expect("a kernel").suite, "trixie");
        let error = Kernel::named("2.4").expect_err("no kernel").to_string();
        assert!(error.contains("6.1, 6.12, sid"), "{error}");
    }
}
