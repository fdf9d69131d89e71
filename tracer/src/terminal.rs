//! What standard output and standard error are connected to.

use std::env;
use std::io::{IsTerminal, stderr, stdout};

use comfy_table::Table;

/// Columns of standard output; `None`: it is no terminal.
pub(crate) fn width() -> Option<u16> {
    stdout().is_terminal().then(|| Table::new().width().unwrap_or(80))
}

/// May standard output have bold text and colours? Not if `NO_COLOR` is set.
pub(crate) fn has_colours() -> bool {
    let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    takes_controls(&stdout()) && !refused
}

/// Can a line on standard error be written over?
pub(crate) fn rewrites_lines() -> bool {
    takes_controls(&stderr())
}

/// Is it a terminal that understands more than text?
fn takes_controls(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && env::var_os("TERM").is_none_or(|name| name != "dumb")
}
