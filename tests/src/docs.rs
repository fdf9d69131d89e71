//! What the documents state, so that tests can hold them to it.

use std::fs;

use crate::workspace;

/// A piece of code in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What is written on the fence: `sql`, `python`, `console`.
    pub language: String,
    /// The code, with its line ends.
    pub code: String,
}

/// The text of `docs/NAME`.
pub fn text(name: &str) -> String {
    let path = workspace().join("docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

/// The fenced blocks of a Markdown text, in their order.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => {
                open = Some(Block { language: language.trim().to_owned(), code: String::new() });
            }
            (None, Some(block)) => {
                block.code.push_str(line);
                block.code.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}

/// The rows of all Markdown tables of a text, heads and rules left out, as their cells.
pub fn rows(text: &str) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for line in text.lines() {
        let Some(inner) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) else { continue };
        if inner.chars().all(|c| "-:|".contains(c)) {
            rows.pop();
        } else {
            rows.push(inner.split('|').map(|cell| cell.trim().to_owned()).collect());
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_what_is_between_fences() {
        let text = "Text\n\n```sql\nselect 1;\n\nselect 2;\n```\n\n```\nplain\n```\n";
        let block = |language: &str, code: &str| Block { language: language.into(), code: code.into() };
        assert_eq!(blocks(text), [block("sql", "select 1;\n\nselect 2;\n"), block("", "plain\n")]);
    }

    #[test]
    fn rows_are_those_below_the_heads() {
        let text = "| a | b |\n|---|---|\n| 1 | two words |\n| 3 | 4 |\n\n| c |\n|:--|\n| 5 |\n";
        assert_eq!(rows(text), [vec!["1", "two words"], vec!["3", "4"], vec!["5"]]);
    }
}
