//! The columns of calls that were counted in windows.

use crate::report::FunctionReport;
use crate::report::grid::Layout;

/// The columns, last in the table.
pub(super) fn header(layout: Layout) -> &'static [&'static str] {
    if layout == Layout::Narrow { &["of calls\n95 %"] } else { &["of calls", "95 %"] }
}

/// The cells: shares of all calls of the process.
pub(super) fn cells(row: &FunctionReport, layout: Layout) -> Vec<String> {
    let pair = row.call_share.map_or(["-".to_owned(), "-".to_owned()], |share| {
        let percent = |share: f64| format!("{:.2}", share.clamp(0.0, 1.0) * 100.0);
        let (low, high) =
            (share.calls_share - share.calls_share_margin, share.calls_share + share.calls_share_margin);
        [format!("{} %", percent(share.calls_share)), format!("{}-{}", percent(low), percent(high))]
    });
    if layout == Layout::Narrow { vec![pair.join("\n")] } else { pair.to_vec() }
}
