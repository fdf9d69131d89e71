//! Which functions are wanted: globs on qualified names and on file names.

mod automaton;

use globset::{Glob, GlobSet, GlobSetBuilder};

pub use self::automaton::Automaton;
use crate::event::Function;

/// Globs that choose functions. A function is wanted if any glob matches it, of either kind; without globs all are.
///
/// A name glob is held against the qualified name (`Order.total`), and against the name with its module in front,
/// taken from the file: `total` of `/srv/shop/orders.py` is also `orders.total`, `shop.orders.total` and
/// `srv.shop.orders.total` (of an `__init__.py` the directory is the module, of `<frozen os>` it is `os`).
/// A file glob is held against the whole file name. `*` stands for anything, `/` and `.` included.
#[derive(Clone, Debug, Default)]
pub struct FunctionFilter {
    names: Globs,
    files: Globs,
}

/// Globs of which any may match.
#[derive(Clone, Debug, Default)]
pub(crate) struct Globs {
    single: Vec<Glob>,
    set: GlobSet,
}

/// A glob that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("`{glob}` is not a glob: {reason}")]
pub struct BadGlob {
    /// As it was given.
    pub glob: String,
    /// What is wrong with it.
    pub reason: String,
}

impl FunctionFilter {
    /// A filter of these globs.
    pub fn new(names: &[String], files: &[String]) -> Result<Self, BadGlob> {
        Ok(Self { names: Globs::new(names)?, files: Globs::new(files)? })
    }

    /// Are all functions wanted?
    pub fn is_all(&self) -> bool {
        self.names.is_empty() && self.files.is_empty()
    }

    /// The same for the kernel side; `None` if there are no globs, or too many.
    pub fn automaton(&self) -> Option<Automaton> {
        if self.is_all() {
            return None;
        }
        Automaton::new(&self.names.single, &self.files.single)
    }

    /// Is this function wanted?
    pub fn matches(&self, function: &Function) -> bool {
        self.is_all() || self.files.is_match(&function.file) || self.matches_name(function)
    }

    fn matches_name(&self, function: &Function) -> bool {
        if self.names.is_empty() {
            return false;
        }
        let mut dotted = function.name.clone();
        let mut parts = module_parts(&function.file);
        self.names.is_match(&dotted)
            || parts.any(|part| {
                dotted = format!("{part}.{dotted}");
                self.names.is_match(&dotted)
            })
    }
}

/// The module's name and its packages, innermost first.
pub(crate) fn module_parts(file: &str) -> impl Iterator<Item = &str> {
    let module = match file.strip_prefix("<frozen ").and_then(|rest| rest.strip_suffix('>')) {
        Some(frozen) => frozen,
        None if file.starts_with('<') => "",
        None => file.strip_suffix(".py").unwrap_or(file),
    };
    module.strip_suffix("/__init__").unwrap_or(module).rsplit('/').filter(|part| !part.is_empty())
}

impl Globs {
    pub(crate) fn is_empty(&self) -> bool {
        self.single.is_empty()
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.set.is_match(text)
    }

    /// Reads globs.
    ///
    /// # Errors
    /// Names the one that can't be read.
    pub(crate) fn new(globs: &[String]) -> Result<Self, BadGlob> {
        let bad = |glob: &str, error: &globset::Error| BadGlob {
            glob: glob.to_owned(),
            reason: error.kind().to_string(),
        };
        let mut single = Vec::new();
        let mut builder = GlobSetBuilder::new();
        for glob in globs {
            single.push(Glob::new(glob).map_err(|error| bad(glob, &error))?);
        }
        for glob in &single {
            builder.add(glob.clone());
        }
        let set = builder.build().map_err(|error| bad(&globs.join(" "), &error))?;
        Ok(Self { single, set })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, file: &str) -> Function {
        Function { name: name.into(), file: file.into(), line: 1 }
    }

    fn matches(names: &[&str], files: &[&str], function: &Function) -> bool {
        let owned = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect::<Vec<_>>();
        FunctionFilter::new(&owned(names), &owned(files)).unwrap().matches(function)
    }

    #[test]
    fn no_globs_want_all() {
        assert!(matches(&[], &[], &function("f", "x.py")));
    }

    #[test]
    fn a_name_glob_matches_the_qualified_name() {
        let total = function("Order.total", "/srv/shop/orders.py");
        assert!(matches(&["Order.*"], &[], &total));
        assert!(matches(&["*.total"], &[], &total));
        assert!(!matches(&["total"], &[], &total));
        assert!(matches(&["<lambda>"], &[], &function("<lambda>", "<string>")));
    }

    #[test]
    fn a_name_glob_matches_with_the_module_and_its_packages_in_front() {
        let total = function("Order.total", "/srv/shop/orders.py");
        for glob in ["orders.*", "shop.orders.*", "srv.shop.orders.Order.total", "shop.*"] {
            assert!(matches(&[glob], &[], &total), "{glob}");
        }
        for glob in ["hop.orders.*", "rders.*", "srv.orders.*", "py.*"] {
            assert!(!matches(&[glob], &[], &total), "{glob}");
        }
        assert!(matches(&["shop.run"], &[], &function("run", "/srv/shop/__init__.py")));
        assert!(matches(&["os.fspath"], &[], &function("fspath", "<frozen os>")));
        assert!(!matches(&["<string>.*"], &[], &function("f", "<string>")));
    }

    #[test]
    fn file_and_name_globs_add_up() {
        let get = function("get", "/srv/shop/handlers/cart.py");
        assert!(matches(&["orders.*"], &["*/handlers/*.py"], &get));
        assert!(!matches(&["orders.*"], &["*/handlers/*.pyc"], &get));
    }

    #[test]
    fn a_bad_glob_is_named() {
        let error = FunctionFilter::new(&["a[".into()], &[]).unwrap_err();
        assert_eq!(error.to_string(), "`a[` is not a glob: unclosed character class; missing ']'");
    }
}
