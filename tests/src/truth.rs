//! The interpreter's own count of calls and their ends, and the comparison with the tracer's.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde::Deserialize;

use crate::{program, python::Python, real_programs, report::Report, workspace};

/// Calls, resumptions and ends of each function, by name, file and line.
pub type Counts = BTreeMap<(String, String, u64), (u64, u64, u64)>;

#[derive(Deserialize)]
struct Written {
    functions: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    function: String,
    file: String,
    line: u64,
    calls: u64,
    resumes: u64,
    ends: u64,
}

/// Runs a program under the interpreter's own counter, in a process that is not traced.
pub fn of(python: Python, name: &str, arguments: &[&str]) -> Counts {
    of_command(python.command().arg(program(name)).args(arguments))
}

/// The same for a command that runs a program.
pub fn of_command(command: &mut Command) -> Counts {
    let folder = crate::scratch();
    let file = folder.path().join("truth.json");
    command.arg("--truth").arg(&file).env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.status().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    assert!(status.success(), "{command:?} under the counter ended with {status}");
    read(&file)
}

/// Reads what a counter wrote; only the functions of the programs.
pub fn read(file: &Path) -> Counts {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("read {}: {error}", file.display()));
    let written: Written = serde_json::from_str(&text).expect("the counter writes JSON");
    let rows = written.functions.into_iter();
    ours(rows.map(|row| ((row.function, row.file, row.line), (row.calls, row.resumes, row.ends))))
}

/// What the tracer counted; only the functions of the programs, code objects of one definition together.
pub fn counted(report: &Report) -> Counts {
    let rows = report.functions.iter();
    ours(
        rows.map(|row| {
            ((row.function.clone(), row.file.clone(), row.line), (row.calls, row.resumes, row.ends))
        }),
    )
}

/// Compares function by function.
///
/// # Panics
///
/// When they differ, with a line for each difference.
pub fn assert_equal(truth: &Counts, counted: &Counts) {
    let keys: std::collections::BTreeSet<_> = truth.keys().chain(counted.keys()).collect();
    let differences: Vec<String> = keys
        .into_iter()
        .filter(|key| truth.get(key) != counted.get(key))
        .map(|key| {
            let show = |counts: &Counts| {
                counts.get(key).map_or("none".into(), |(c, r, e)| format!("{c} + {r}, {e}"))
            };
            format!("{:?} {}:{}: {}, traced {}", key.0, key.1, key.2, show(truth), show(counted))
        })
        .collect();
    assert!(!truth.is_empty(), "the interpreter counted nothing");
    assert!(
        differences.is_empty(),
        "{} of {} functions differ (calls + resumptions, ends):\n{}",
        differences.len(),
        truth.len(),
        differences.join("\n")
    );
}

/// Is a file one of a test program, and not of the library or of the talk with the test?
pub(crate) fn is_of_the_program(file: &str) -> bool {
    let benchmarks = real_programs().join("pyperformance/data-files/benchmarks");
    let programs = [workspace().join("tests/programs"), benchmarks, "/hostile".into()];
    let path = Path::new(file);
    let library = path.is_absolute() && !programs.iter().any(|folder| path.starts_with(folder));
    let talk = [program("protocol.py"), program("truth.py")].iter().any(|file| file == path);
    let elsewhere = file.starts_with("<frozen ") || ["<string>", "~"].contains(&file);
    !(library || talk || elsewhere)
}

/// Leaves out the library, whose calls differ from run to run, and the parts that talk with the test.
fn ours(rows: impl Iterator<Item = ((String, String, u64), (u64, u64, u64))>) -> Counts {
    let mut counts = Counts::new();
    for (key, (calls, resumes, ends)) in rows.filter(|(_, counts)| *counts != (0, 0, 0)) {
        if is_of_the_program(&key.1) {
            let sum = counts.entry(key).or_default();
            *sum = (sum.0 + calls, sum.1 + resumes, sum.2 + ends);
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::{Counts, assert_equal, of, ours};
    use crate::{program, python::Python};

    fn key(function: &str, file: &str) -> (String, String, u64) {
        (function.into(), file.into(), 1)
    }

    #[test]
    fn only_functions_of_the_programs_count() {
        let calls = program("calls.py").display().to_string();
        let rows = [
            (key("leaf", &calls), (2, 0, 2)),
            (key("leaf", &calls), (3, 1, 4)),
            (key("wait", &program("protocol.py").display().to_string()), (1, 0, 1)),
            (key("dumps", "/usr/lib/python3.11/json/__init__.py"), (1, 0, 1)),
            (key("made", "<generated 1>"), (1, 0, 1)),
            (key("never", &calls), (0, 0, 0)),
        ];
        let expected =
            Counts::from([(key("leaf", &calls), (5, 1, 6)), (key("made", "<generated 1>"), (1, 0, 1))]);
        assert_eq!(ours(rows.into_iter()), expected);
    }

    #[test]
    #[should_panic(expected = "1 of 1 functions differ")]
    fn a_difference_is_shown() {
        let truth = Counts::from([(key("leaf", "x"), (5, 1, 6))]);
        assert_equal(&truth, &Counts::from([(key("leaf", "x"), (5, 2, 7))]));
    }

    #[test]
    fn the_interpreter_counts_what_the_program_does() {
        let counts = of(Python::DEBIAN_3_11, "calls.py", &[]);
        let speak = |class: &str| {
            counts.iter().find(|(key, _)| key.0 == format!("{class}.speak")).map(|found| *found.1)
        };
        assert_eq!((speak("Cat"), speak("Dog")), (Some((300, 0, 300)), Some((600, 0, 600))));
    }
}
