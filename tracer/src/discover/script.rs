//! What an interpreter was told to run, from its command line.

/// Options of the interpreter that take a value, in the same argument or the next.
const WITH_VALUE: [char; 3] = ['W', 'X', 'Q'];

/// The program that an interpreter runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// A file, or a folder with a `__main__.py`, as it was named.
    File(String),
    /// `-m`: a module.
    Module(String),
}

impl Script {
    /// The file as it was named, or the module.
    pub fn name(&self) -> &str {
        let (Self::File(name) | Self::Module(name)) = self;
        name
    }
}

/// The script in the arguments of an interpreter, the first of which is its own name. `None`: code on the command line
/// (`-c`), from standard input, or what can't be told.
pub(super) fn script<S: AsRef<str>>(arguments: &[S]) -> Option<Script> {
    let mut rest = arguments.iter().map(AsRef::as_ref).skip(1);
    while let Some(argument) = rest.next() {
        let Some(options) = argument.strip_prefix('-') else {
            return (!argument.is_empty()).then(|| Script::File(argument.to_owned()));
        };
        if options.is_empty() {
            return None;
        }
        if let Some(long) = options.strip_prefix('-') {
            if long == "check-hash-based-pycs" {
                rest.next();
            }
            continue;
        }
        // Options of one letter may stand together; one that takes a value ends them.
        let valued = options.char_indices().find(|&(_, c)| matches!(c, 'c' | 'm') || WITH_VALUE.contains(&c));
        let Some((at, option)) = valued else { continue };
        let attached = &options[at + 1..];
        let value = if attached.is_empty() { rest.next() } else { Some(attached) };
        match option {
            'm' => return value.map(|module| Script::Module(module.to_owned())),
            'c' => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<String> {
        let script = script(&line.split(' ').collect::<Vec<_>>());
        script.map(|script| match script {
            Script::File(name) => name,
            Script::Module(name) => format!("module {name}"),
        })
    }

    #[test]
    fn scripts_and_modules() {
        for (line, expected) in [
            ("python3 app.py --port 80", Some("app.py")),
            ("/usr/bin/python3 -u /usr/bin/gunicorn app:app", Some("/usr/bin/gunicorn")),
            ("python3 -m http.server 80", Some("module http.server")),
            ("python3 -mhttp.server", Some("module http.server")),
            ("python3 -Im pytest -x", Some("module pytest")),
            ("python3 -W ignore -X dev app.py", Some("app.py")),
            ("python3 -Wignore -Xdev -OO app.py", Some("app.py")),
            ("python3 -bbW error app.py", Some("app.py")),
            ("python3 --check-hash-based-pycs always app.py", Some("app.py")),
            ("python3 -c code app.py", None),
            ("python3 -Sc code", None),
            ("python3 - app.py", None),
            ("python3 -X", None),
            ("python3", None),
        ] {
            assert_eq!(of(line).as_deref(), expected, "{line}");
        }
        assert_eq!(script::<&str>(&[]), None);
    }
}
