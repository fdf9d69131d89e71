//! Strings of traced processes, made safe to show on a terminal.

use std::{borrow::Cow, fmt::Write as _};

/// The string with control characters, and those that reorder or hide text, written as escapes.
///
/// A process chooses its own name, command line and function names; shown as they are, they could move the cursor,
/// change colours or disguise what follows.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if !is_unsafe(c) {
            out.push(c);
        } else if (c as u32) < 0x100 {
            let _ = write!(out, "\\x{:02x}", c as u32);
        } else {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        }
    }
    Cow::Owned(out)
}

/// A process id, and the one by which the process sees itself, if it is another: `4242 (7 in its PID namespace)`.
pub fn pid_words(pid: u32, inner_pids: &[u32]) -> String {
    match inner_pids.last() {
        Some(inner) => format!("{pid} ({inner} in its PID namespace)"),
        None => pid.to_string(),
    }
}

/// An error with its causes on one line; a cause that a message names already is not said twice.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !line.contains(&cause) {
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(&cause);
        }
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// C0 and C1 controls and DEL; line and paragraph separators; marks, embeddings, overrides and isolates of
/// bidirectional text; the byte order mark.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_borrowed() {
        for text in ["python3 -m http.server", "größe", "名前", "a\\b"] {
            assert!(matches!(shown(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn controls_are_escaped() {
        assert_eq!(shown("a\x1b[31mb\n"), "a\\x1b[31mb\\x0a");
        assert_eq!(shown("\x7f\u{9b}31m"), "\\x7f\\x9b31m");
        assert_eq!(shown("x\u{202e}y\u{2066}z"), "x\\u{202e}y\\u{2066}z");
        assert_eq!(shown("\u{2028}\u{200f}"), "\\u{2028}\\u{200f}");
    }

    #[test]
    fn a_pid_is_shown_as_both_sides_see_it() {
        assert_eq!(pid_words(4242, &[]), "4242");
        assert_eq!(pid_words(4242, &[31, 7]), "4242 (7 in its PID namespace)");
    }

    #[test]
    fn an_error_is_one_line_without_repetition() {
        let inner = std::io::Error::other("no\nsuch file");
        let error = anyhow::Error::new(inner).context("can't read x: no\nsuch file").context("report");
        assert_eq!(one_line(&error), "report: can't read x: no such file");
    }
}
