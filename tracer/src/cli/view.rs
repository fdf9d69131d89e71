//! What to show of a recording, and how: the arguments that `report` and `record` share.

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _};

use super::values;
use crate::analysis::measure::Measure;
use crate::report::table::{Sort, TableOptions};
use crate::views::{By, View, ViewOptions};

/// Least share of a call tree's nodes.
const MIN_SHARE: f64 = 0.01;

/// What to show, and how.
#[derive(Args, Debug)]
#[command(next_help_heading = "View")]
pub(super) struct ViewArguments {
    /// As JSON on standard output
    #[arg(long)]
    json: bool,
    /// What to show
    #[arg(long, value_enum, default_value = "table")]
    view: View,
    /// Rows of the table; of call trees only thread, which makes threads their first level
    #[arg(long, value_enum, default_value = "function")]
    by: By,
    /// Order of the table, or of the slowest calls
    #[arg(long, value_enum)]
    sort: Option<Sort>,
    /// What call trees are weighed by
    #[arg(long, value_enum)]
    of: Option<Measure>,
    /// Leave out what is less than this share of a call tree [default: 1%]
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    min_share: Option<f64>,
    /// Show library frames one by one, and direct recursion; without this a run of them is one line
    #[arg(long)]
    all_frames: bool,
    /// All processes as one, instead of one after the other
    #[arg(long)]
    merge: bool,
    /// Rows for each process, and processes; single calls; parts of the window; 0: all [default: 25, 10, 20]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl ViewArguments {
    /// What was asked for. Wrong combinations end the program with a word.
    pub(super) fn options(&self) -> ViewOptions {
        if let Some(wrong) = self.wrong() {
            super::Arguments::command().error(ErrorKind::ArgumentConflict, wrong).exit();
        }
        let sort = self.sort.unwrap_or(self.view.default_sort());
        let limit = self.limit.unwrap_or(self.view.default_limit());
        ViewOptions {
            view: self.view,
            by: self.by,
            of: self.of.unwrap_or_default(),
            min_share: self.min_share.unwrap_or(MIN_SHARE),
            all_frames: self.all_frames,
            merge: self.merge,
            json: self.json,
            table: TableOptions::for_stdout(sort, limit),
        }
    }

    fn wrong(&self) -> Option<&'static str> {
        let trees = matches!(self.view, View::Tree | View::Callers);
        let nodes = trees || self.view == View::Leaks;
        let calls = matches!(self.view, View::Slowest | View::Growth);
        if self.sort.is_some_and(|sort| !self.view.takes_sort(sort)) {
            Some(
                "--sort takes any column for the table, amounts of time, memory and faults for --view slowest, and nothing for other views",
            )
        } else if self.by != By::Function && self.view != View::Table && !(nodes && self.by == By::Thread) {
            Some("--by is for the table; call trees (tree, callers, leaks) take --by thread")
        } else if self.of.is_some() && !trees {
            Some("--of is for --view tree and --view callers")
        } else if self.min_share.is_some() && !nodes {
            Some("--min-share is for call trees (--view tree, callers or leaks)")
        } else if self.all_frames && !nodes && !calls {
            Some("--all-frames is for call trees and stacks (--view tree, callers, leaks, slowest or growth)")
        } else if self.merge && (calls || self.view == View::Memory) {
            Some("--merge has no meaning for single calls, nor for memory over time")
        } else {
            None
        }
    }
}

/// A share as people write it: 1%, 0.5.
fn percent(text: &str) -> Result<f64, String> {
    let share = values::percent(text).filter(|share| *share <= 1.0);
    share.ok_or_else(|| "not a share: write 1%, 0.5% or 0".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_as_people_write_them() {
        assert_eq!(percent("1%"), Ok(0.01));
        assert_eq!(percent("0.5 %"), Ok(0.005));
        assert_eq!(percent("0"), Ok(0.0));
        for bad in ["", "%", "-1%", "101", "NaN", "some"] {
            assert!(percent(bad).is_err(), "{bad}");
        }
    }

    fn parsed(arguments: &[&str]) -> Option<&'static str> {
        #[derive(clap::Parser)]
        struct Alone {
            #[command(flatten)]
            view: ViewArguments,
        }
        <Alone as clap::Parser>::parse_from([&["report"], arguments].concat()).view.wrong()
    }

    #[test]
    fn what_a_view_has_no_use_for_is_refused() {
        for good in [
            "--by file --sort off-cpu",
            "--view tree --by thread --of rss --min-share 0 --all-frames",
            "--view leaks --by thread --min-share 5%",
            "--view slowest --sort self --all-frames",
            "--view latency --merge",
        ] {
            assert_eq!(parsed(&good.split(' ').collect::<Vec<_>>()), None, "{good}");
        }
        for bad in [
            "--view tree --sort self",
            "--view slowest --sort name",
            "--view memory --merge",
            "--view tasks --of wall",
            "--view callers --by file",
            "--min-share 2%",
            "--all-frames",
        ] {
            assert!(parsed(&bad.split(' ').collect::<Vec<_>>()).is_some(), "{bad}");
        }
    }
}
