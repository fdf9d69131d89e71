//! Tables for terminals: a column of names with their places, then numbers.

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};

use super::fit::{columns, cut_middle, cut_start};
use super::table::TableOptions;
use crate::text::shown;

/// Blank columns between two of the table.
const GUTTER: u16 = 2;
/// Columns a name gets however narrow the terminal is.
const LEAST_ROOM: usize = 16;

/// How a row is set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Everything in one line.
    Line,
    /// The place below the name.
    Wide,
    /// The same, and what belongs to a number below it.
    Narrow,
}

/// A row. What comes from traced processes is made safe here.
#[derive(Clone, Debug, Default)]
pub(crate) struct GridRow {
    /// What it is of.
    pub(crate) name: String,
    /// Where that is; may be empty.
    pub(crate) place: String,
    /// The numbers.
    pub(crate) cells: Vec<String>,
}

/// The table, without an end of line. The header begins with what the names are.
pub(crate) fn grid(header: &[&str], rows: &[GridRow], options: &TableOptions) -> String {
    let room = options
        .width
        .map_or(usize::MAX, |width| usize::from(width).saturating_sub(taken(header, rows)).max(LEAST_ROOM));
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let _ = if options.colour { table.enforce_styling() } else { table.force_no_tty() };
    let title = |title: &&str| {
        let cell = Cell::new(title);
        if options.colour { cell.add_attribute(Attribute::Bold) } else { cell }
    };
    table.set_header(header.iter().map(title));
    for row in rows {
        let label = label(row, options.layout(), room);
        table.add_row(std::iter::once(label).chain(row.cells.iter().cloned()));
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding(if at == 0 { (0, 0) } else { (GUTTER, 0) });
        column.set_cell_alignment(if at == 0 { CellAlignment::Left } else { CellAlignment::Right });
    }
    table.trim_fmt()
}

/// Columns of the terminal that the numbers take.
fn taken(header: &[&str], rows: &[GridRow]) -> usize {
    let widest = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.cells.get(at - 1)).map(String::as_str);
        cells.chain([header[at]]).flat_map(str::lines).map(columns).max().unwrap_or(0)
    };
    (1..header.len()).map(|at| widest(at) + usize::from(GUTTER)).sum()
}

/// The first cell.
fn label(row: &GridRow, layout: Layout, room: usize) -> String {
    let (name, place) = (shown(&row.name), shown(&row.place));
    let (name, place) = match layout {
        Layout::Line => (name.into_owned(), place.into_owned()),
        Layout::Wide | Layout::Narrow => (cut_middle(&name, room), cut_start(&place, room - 2)),
    };
    match (place.is_empty(), layout) {
        (true, _) => name,
        (false, Layout::Line) => format!("{name}  {place}"),
        (false, _) => format!("{name}\n  {place}"),
    }
}
