//! A generated part of a document, between two markers.

use std::fs;

use anyhow::{Context as _, Result};

use crate::{command::step, workspace};

const END: &str = "<!-- End of the table. -->\n";

/// What stands before the table that a task writes.
fn begin(task: &str) -> String {
    format!("<!-- The table is written by `cargo xtask {task}`. -->\n")
}

/// Writes the part of a document of the workspace that is a task's.
pub(crate) fn write(name: &str, task: &str, part: &str) -> Result<()> {
    let path = workspace::root().join(name);
    let old = fs::read_to_string(&path).with_context(|| format!("read {name}"))?;
    let new =
        replaced(&old, task, part).with_context(|| format!("find the markers of the table in {name}"))?;
    fs::write(&path, new).with_context(|| format!("write {name}"))?;
    step(&format!("wrote the table of {name}"));
    Ok(())
}

/// The part of a document of the workspace that is a task's.
pub(crate) fn read(name: &str, task: &str) -> Result<String> {
    let text = fs::read_to_string(workspace::root().join(name)).with_context(|| format!("read {name}"))?;
    let part = text.split_once(&begin(task)).and_then(|(_, rest)| rest.split_once(END));
    part.map(|(part, _)| part.to_owned()).with_context(|| format!("find the markers of the table in {name}"))
}

/// The document with another part; `None` without both markers in order.
fn replaced(document: &str, task: &str, part: &str) -> Option<String> {
    let begin = begin(task);
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(END)?;
    Some([before, &begin, part, END, after].concat())
}

#[cfg(test)]
mod tests {
    use super::{END, begin, replaced};

    #[test]
    fn only_the_part_between_the_markers_changes() {
        let (first, second) = (begin("first"), begin("second"));
        let document = format!("before\n{first}a\n{END}between\n{second}b\n{END}after\n");
        let expected = format!("before\n{first}a\n{END}between\n{second}new\n{END}after\n");
        assert_eq!(replaced(&document, "second", "new\n"), Some(expected));
        assert_eq!(replaced("no markers", "first", "new\n"), None);
        assert_eq!(replaced(&format!("{END}{first}"), "first", "new\n"), None);
    }
}
