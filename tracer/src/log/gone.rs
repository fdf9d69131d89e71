//! What was removed of a log to keep within `--max-size`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::schema::{CallRows, EventRows, RssRows, ThinnedRows};
use super::table::Rows as _;
use crate::units::{count, duration, size};

/// The oldest segments, which had to go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// What the log was to keep within, in bytes.
    pub max_bytes: u64,
    /// Even without any rows it is larger: by its names of functions and threads.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub names_exceed: bool,
    /// By table.
    #[serde(flatten)]
    pub tables: BTreeMap<String, GoneRows>,
}

/// What is gone of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneRows {
    /// The first so many segments.
    pub segments: u32,
    /// Rows that they held.
    pub rows: u64,
    /// Time of the first of them, monotonic nanoseconds; absent: they have no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ns: Option<u64>,
    /// Time of the last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ns: Option<u64>,
}

impl Gone {
    /// How many segments of a table are gone: the first ones.
    pub fn segments(&self, table: &str) -> u32 {
        self.tables.get(table).map_or(0, |gone| gone.segments)
    }

    /// Time of the last row that is gone, monotonic nanoseconds; up to there not all is known.
    pub fn to_ns(&self) -> Option<u64> {
        self.tables.values().filter_map(|gone| gone.to_ns).max()
    }

    /// In words, for the account. `start_ns`: beginning of the window.
    pub fn text(&self, start_ns: u64) -> String {
        let names = [
            (CallRows::FOLDER, "calls"),
            (EventRows::FOLDER, "events"),
            (RssRows::FOLDER, "changes of memory"),
            (ThinnedRows::FOLDER, "rows of sums"),
        ];
        let gone = names.iter().filter_map(|(table, what)| {
            let gone = self.tables.get(*table)?;
            Some(format!("{} {what}", count(gone.rows)))
        });
        let gone: Vec<_> = gone.collect();
        let mut text = format!("the log was to keep within {}", size(self.max_bytes));
        if !gone.is_empty() {
            let _ = write!(text, ": its oldest rows are gone, {}", gone.join(", "));
        }
        if let Some(to_ns) = self.to_ns() {
            let _ = write!(text, ", up to {} of the window", duration(to_ns.saturating_sub(start_ns)));
        }
        if self.names_exceed {
            text += "; the names of functions and threads alone take more than that";
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_told_by_table() {
        let mut gone = Gone { max_bytes: 2 << 30, ..Gone::default() };
        let rows = |rows, to_ns| GoneRows { segments: 2, rows, from_ns: Some(0), to_ns };
        gone.tables.insert("rss".into(), rows(3, Some(2_500)));
        gone.tables.insert("calls".into(), rows(1_000_000, Some(3_000)));
        gone.tables.insert("thinned".into(), rows(20, None));
        assert_eq!((gone.to_ns(), gone.segments("calls"), gone.segments("events")), (Some(3_000), 2, 0));
        assert_eq!(
            gone.text(1_000),
            "the log was to keep within 2 GiB: its oldest rows are gone, 1 000 000 calls, 3 changes of memory, \
             20 rows of sums, up to 2.00 us of the window"
        );
        let exceeded = Gone { max_bytes: 1 << 20, names_exceed: true, ..Gone::default() };
        assert_eq!(
            exceeded.text(0),
            "the log was to keep within 1 MiB; the names of functions and threads alone take more than that"
        );
        let json = serde_json::to_string(&gone).unwrap();
        assert_eq!(serde_json::from_str::<Gone>(&json).unwrap(), gone);
    }
}
