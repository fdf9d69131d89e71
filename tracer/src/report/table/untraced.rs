//! The columns for samples that were taken while no probe was in place.

use crate::report::UntracedShare;
use crate::report::grid::Layout;

/// What they are called.
pub(super) fn header(layout: Layout) -> &'static [&'static str] {
    if layout == Layout::Narrow { &["untraced\ncpu share"] } else { &["untraced cpu share", "95 %"] }
}

/// Their cells; empty ones where there is no share.
pub(super) fn cells(share: Option<&UntracedShare>, layout: Layout) -> Vec<String> {
    let cells = share.map_or_else(Default::default, |share| {
        let percent = |of: f64| format!("{:.1}", of * 100.0);
        let interval = [share.untraced_cpu_share_low, share.untraced_cpu_share_high].map(percent).join("-");
        [percent(share.untraced_cpu_share) + " %", interval]
    });
    if layout == Layout::Narrow { vec![cells.join("\n")] } else { cells.into() }
}
