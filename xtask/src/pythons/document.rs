//! A generated part of a document, between two markers.

use std::fs;

use anyhow::{Context as _, Result};

use crate::{command::step, workspace};

const BEGIN: &str = "<!-- The table is written by `cargo xtask pythons`. -->\n";
const END: &str = "<!-- End of the table. -->\n";

/// Writes the part of a document of the workspace.
pub(super) fn write(name: &str, part: &str) -> Result<()> {
    let path = workspace::root().join(name);
    let old = fs::read_to_string(&path).with_context(|| format!("read {name}"))?;
    let new = replaced(&old, part).with_context(|| format!("find the markers of the table in {name}"))?;
    fs::write(&path, new).with_context(|| format!("write {name}"))?;
    step(&format!("wrote the table of {name}"));
    Ok(())
}

/// The document with another part; `None` without both markers in order.
fn replaced(document: &str, part: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some([before, BEGIN, part, END, after].concat())
}

#[cfg(test)]
mod tests {
    use super::{BEGIN, END, replaced};

    #[test]
    fn only_the_part_between_the_markers_changes() {
        let document = format!("before\n{BEGIN}old\n{END}after\n");
        assert_eq!(replaced(&document, "new\n"), Some(format!("before\n{BEGIN}new\n{END}after\n")));
        assert_eq!(replaced("no markers", "new\n"), None);
        assert_eq!(replaced(&format!("{END}{BEGIN}"), "new\n"), None);
    }
}
