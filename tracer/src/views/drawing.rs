//! Trees drawn with lines: numbers in columns on the left, then names, set in below what they belong to.

use std::fmt::Write as _;

use crate::report::fit::{columns, cut_middle, cut_start};
use crate::report::table::TableOptions;
use crate::text::shown;

/// Columns a name gets however deep it stands.
const LEAST_ROOM: usize = 16;
/// A place shorter than this says nothing.
const LEAST_PLACE: usize = 8;
const BOLD: &str = "\x1b[1m";
const FAINT: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// A node. What comes from traced processes is made safe when it is drawn.
#[derive(Clone, Debug, Default)]
pub(super) struct Drawn {
    /// The numbers.
    pub(super) cells: Vec<String>,
    /// What it is.
    pub(super) name: String,
    /// Where that is; may be empty.
    pub(super) place: String,
    /// It is not a node of its own, but says something about the one that it is below.
    pub(super) remark: bool,
    /// Numbers of the nodes below it.
    pub(super) children: Vec<usize>,
}

/// Draws these nodes and those below them, a line for each.
pub(super) fn draw(header: &[&str], nodes: &[Drawn], tops: &[usize], options: &TableOptions) -> String {
    let widths: Vec<usize> = (0..header.len() - 1)
        .map(|at| {
            let cells = nodes.iter().filter_map(|node| node.cells.get(at)).map(String::as_str);
            cells.chain([header[at]]).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let numbers = |cells: &mut dyn Iterator<Item = &str>| -> String {
        widths.iter().zip(cells).fold(String::new(), |mut line, (&width, cell)| {
            let _ = write!(line, "{cell:>width$}  ");
            line
        })
    };
    let title = numbers(&mut header.iter().copied()) + header[header.len() - 1];
    let mut out = if options.colour { format!("{BOLD}{title}{PLAIN}\n") } else { title + "\n" };
    let taken: usize = widths.iter().map(|width| width + 2).sum();
    let room = options.width.map_or(usize::MAX, |width| usize::from(width).saturating_sub(taken));
    // What stands before a node, and before those below it.
    let mut rest: Vec<(usize, String, String)> =
        tops.iter().rev().map(|&top| (top, String::new(), String::new())).collect();
    while let Some((at, before, below)) = rest.pop() {
        let node = &nodes[at];
        out += &numbers(&mut node.cells.iter().map(String::as_str));
        out += &line(node, &before, room, options.colour);
        out.push('\n');
        for (back, &child) in node.children.iter().rev().enumerate() {
            let (branch, further) = if back == 0 { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            rest.push((child, format!("{below}{branch}"), format!("{below}{further}")));
        }
    }
    out
}

/// Lines, name and place in so many columns.
fn line(node: &Drawn, before: &str, room: usize, colour: bool) -> String {
    let depth = before.chars().count();
    let most = (room / 2).max(3);
    let before = if depth > most {
        // As deep as this only the innermost lines say something.
        let innermost: String = before.chars().skip(depth + 1 - most).collect();
        format!("…{innermost}")
    } else {
        before.to_owned()
    };
    let room = room.saturating_sub(depth.min(most)).max(LEAST_ROOM);
    let name = cut_middle(&shown(&node.name), room);
    let left = room.saturating_sub(columns(&name) + 2);
    let place = if left < LEAST_PLACE { String::new() } else { cut_start(&shown(&node.place), left) };
    let gap = if place.is_empty() { "" } else { "  " };
    let faint = |text: &str| {
        if colour && !text.is_empty() { format!("{FAINT}{text}{PLAIN}") } else { text.to_owned() }
    };
    let name = if node.remark { faint(&name) } else { name };
    format!("{before}{name}{gap}{}", faint(&place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::table::Sort;

    fn node(name: &str, children: &[usize]) -> Drawn {
        Drawn {
            cells: vec!["1 %".into(), "12 ms".into()],
            name: name.into(),
            place: format!("/srv/shop/{name}.py:1"),
            children: children.to_vec(),
            remark: false,
        }
    }

    fn drawn(nodes: &[Drawn], width: Option<u16>, colour: bool) -> String {
        draw(
            &["share", "wall", "function"],
            nodes,
            &[0],
            &TableOptions { sort: Sort::Own, limit: 0, width, colour },
        )
    }

    #[test]
    fn children_hang_on_lines() {
        let nodes = [node("a", &[1, 3]), node("b", &[2]), node("c", &[]), node("d", &[])];
        let expected = "\
share   wall  function
  1 %  12 ms  a  /srv/shop/a.py:1
  1 %  12 ms  ├─ b  /srv/shop/b.py:1
  1 %  12 ms  │  └─ c  /srv/shop/c.py:1
  1 %  12 ms  └─ d  /srv/shop/d.py:1
";
        assert_eq!(drawn(&nodes, None, false), expected);
        assert!(drawn(&nodes, None, true).contains("a  \x1b[2m/srv/shop/a.py:1\x1b[0m"));
    }

    #[test]
    fn no_line_is_longer_than_the_terminal_however_deep() {
        let nodes: Vec<_> =
            (0..200).map(|n| node(&"n".repeat(n), &[n + 1][..usize::from(n < 199)])).collect();
        for width in [80, 120] {
            let text = drawn(&nodes, Some(width), false);
            assert_eq!(text.lines().count(), 201);
            for line in text.lines() {
                assert!(line.chars().count() <= usize::from(width), "{line}");
            }
        }
    }

    #[test]
    fn what_a_process_is_called_can_not_break_out() {
        let text = drawn(&[node("x\x1b[31m\n", &[])], Some(80), true);
        assert!(text.contains("x\\x1b[31m\\x0a") && text.lines().count() == 2, "{text}");
    }
}
