//! The columns of a sampled recording.

use super::rss;
use crate::report::grid::Layout;
use crate::report::{Account, FunctionReport, SampledFunction};
use crate::units::{count, duration};

/// The columns after the first.
pub(super) fn header(layout: Layout) -> &'static [&'static str] {
    const NARROW: &[&str] = &[
        "samples",
        "cpu share\n95 %",
        "self\ncum",
        "self cpu\ncum cpu",
        "native\nsystem",
        "self rss\ncum rss",
    ];
    const WIDE: &[&str] = &[
        "samples",
        "cpu share",
        "95 %",
        "self",
        "cum",
        "self cpu",
        "cum cpu",
        "native",
        "system",
        "self rss",
        "cum rss",
    ];
    if layout == Layout::Narrow { NARROW } else { WIDE }
}

/// The cells after the first. What lies in the interpreter itself is the CPU time without native and system.
pub(super) fn cells(
    row: &FunctionReport,
    of: &SampledFunction,
    account: &Account,
    layout: Layout,
) -> Vec<String> {
    let share = format!("{:.1} %", of.cpu_share * 100.0);
    let interval = format!("{:.1}-{:.1}", of.cpu_share_low * 100.0, of.cpu_share_high * 100.0);
    let pairs = [
        [share, interval],
        [row.self_wall_ns, row.cum_wall_ns].map(duration),
        [row.self_cpu_ns, row.cum_cpu_ns].map(duration),
        [of.self_native_ns, of.self_system_ns].map(duration),
        rss(row, account),
    ];
    let samples = std::iter::once(count(of.samples));
    if layout == Layout::Narrow {
        samples.chain(pairs.map(|pair| pair.join("\n"))).collect()
    } else {
        samples.chain(pairs.into_iter().flatten()).collect()
    }
}
