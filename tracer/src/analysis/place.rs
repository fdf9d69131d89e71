//! Where functions come from: the program's own files, or a library; and what module a file is, as far as its name
//! tells. The files themselves may be of another machine.

use crate::event::Function;
use crate::filter::module_parts;

/// Folders that installed packages lie in.
const PACKAGES: [&str; 2] = ["/site-packages/", "/dist-packages/"];

/// Is it a file of the standard library or of an installed package?
pub fn is_library(file: &str) -> bool {
    file.starts_with("<frozen ") || inside_library(file).is_some()
}

/// The dotted module of a library's file; of others the file without what `own` says all of them have in common.
pub fn module(file: &str, own: &OwnFolder) -> String {
    let inside = inside_library(file).unwrap_or_else(|| file.strip_prefix(&*own.0).unwrap_or(file));
    let mut parts: Vec<&str> = module_parts(inside).collect();
    parts.reverse();
    if parts.is_empty() { file.to_owned() } else { parts.join(".") }
}

/// The package that a module is in, or itself if it is in none.
pub fn package(module: &str) -> &str {
    module.split('.').next().unwrap_or(module)
}

/// The folder that holds all of a program's own files, with a slash at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnFolder(String);

impl OwnFolder {
    /// That of the files which are no library's.
    pub fn of<'a>(functions: impl Iterator<Item = &'a Function>) -> Self {
        let mut common: Option<&str> = None;
        for function in functions.filter(|function| !is_library(&function.file)) {
            // Names such as `<string>` are no files.
            let Some((folder, _)) = function.file.rsplit_once('/') else { continue };
            common = Some(common.map_or(folder, |common| shared(common, folder)));
        }
        Self(common.map(|folder| format!("{folder}/")).unwrap_or_default())
    }
}

/// The folder that two folders lie in, or are.
fn shared<'a>(left: &'a str, right: &str) -> &'a str {
    let mut end = 0;
    let mut at = 0;
    for (one, other) in left.split('/').zip(right.split('/')) {
        if one != other {
            break;
        }
        at += one.len();
        end = at;
        at += 1;
    }
    &left[..end]
}

/// The rest of a file's name below the folder that its library is in.
fn inside_library(file: &str) -> Option<&str> {
    let packages = PACKAGES.iter().filter_map(|folder| Some(file.rfind(folder)? + folder.len())).max();
    let at = packages.or_else(|| standard_library(file))?;
    Some(&file[at..])
}

/// Where `.../lib/python3.11/` or `.../lib/python311.zip/` ends.
fn standard_library(file: &str) -> Option<usize> {
    let mut at = 0;
    let mut before = "";
    for part in file.split_inclusive('/') {
        at += part.len();
        let version = part.strip_prefix("python3").and_then(|part| part.strip_suffix('/'));
        let is_version = version.is_some_and(|version| {
            let version = version.strip_suffix(".zip").or(version.strip_prefix('.')).unwrap_or("");
            let digits = version.trim_start_matches(|c: char| c.is_ascii_digit());
            !version.is_empty() && ["", "t", "d"].contains(&digits)
        });
        if is_version && before.starts_with("lib") {
            return Some(at);
        }
        before = part;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(file: &str) -> Function {
        Function { name: "f".into(), file: file.into(), line: 1 }
    }

    #[test]
    fn libraries_are_told_by_their_folder() {
        for file in [
            "/usr/lib/python3.11/json/decoder.py",
            "/usr/lib64/python3.13t/os.py",
            "/opt/py/lib/python311.zip/os.py",
            "/srv/venv/lib/python3.11/site-packages/flask/app.py",
            "/usr/lib/python3/dist-packages/apt/__init__.py",
            "<frozen importlib._bootstrap>",
        ] {
            assert!(is_library(file), "{file}");
        }
        for file in [
            "/srv/app/portrait.py",
            "app.py",
            "<string>",
            "/home/lib/python3/app.py",
            "/srv/python3.11/app.py",
        ] {
            assert!(!is_library(file), "{file}");
        }
    }

    #[test]
    fn modules_are_dotted_below_what_all_have_in_common() {
        let files =
            ["/srv/app/shop/orders.py", "/srv/app/shop/web/cart.py", "/usr/lib/python3.11/os.py", "<string>"];
        let functions = files.map(function);
        let own = OwnFolder::of(functions.iter());
        let of = |file| module(file, &own);
        assert_eq!(of("/srv/app/shop/orders.py"), "orders");
        assert_eq!(of("/srv/app/shop/web/__init__.py"), "web");
        assert_eq!(of("/usr/lib/python3.11/asyncio/tasks.py"), "asyncio.tasks");
        assert_eq!(of("<frozen importlib._bootstrap>"), "importlib._bootstrap");
        assert_eq!(of("<string>"), "<string>");
        assert_eq!(package("asyncio.tasks"), "asyncio");
        assert_eq!(
            OwnFolder::of([function("/srv/ab/x.py"), function("/srv/a/y.py")].iter()),
            OwnFolder("/srv/".into())
        );
        assert_eq!(OwnFolder::of([function("/x.py"), function("/srv/y.py")].iter()), OwnFolder("/".into()));
    }
}
