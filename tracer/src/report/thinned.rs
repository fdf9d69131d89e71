//! What an event log has in its sums only, and by which rule.

use serde::{Deserialize, Serialize};

use crate::units::{count, duration, size};

/// Which rows of a log are kept. A call is kept if any of its parts asks for it; nothing asked for: only sums are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thinning {
    /// Calls and changes that changed resident memory by at least so many bytes, up or down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_rss_bytes: Option<u64>,
    /// And the call of the same thread that ended before each call that is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_previous: bool,
    /// Calls that took at least so long, with all that they called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_duration_ns: Option<u64>,
}

/// The rule, and how many rows it left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thinned {
    /// What is kept.
    #[serde(flatten)]
    pub kept: Thinning,
    /// Calls left out.
    pub calls: u64,
    /// Changes of resident memory left out.
    pub rss_changes: u64,
}

impl Thinned {
    /// In words, for the account.
    pub fn text(&self) -> String {
        let Thinning { min_rss_bytes, with_previous, min_duration_ns } = self.kept;
        let mut kept = Vec::new();
        if let Some(bytes) = min_rss_bytes {
            kept.push(format!("what changed resident memory by {} or more", size(bytes)));
        }
        if let Some(ns) = min_duration_ns {
            kept.push(format!("calls of {} or more", duration(ns)));
        }
        let mut kept = if kept.is_empty() { "nothing".to_owned() } else { kept.join(" and ") };
        if with_previous {
            kept += ", with the call before each";
        }
        format!(
            "{} calls and {} changes of memory are in the sums only: the log keeps {kept}",
            count(self.calls),
            count(self.rss_changes)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_told_in_words() {
        let text = |kept| Thinned { kept, calls: 1234, rss_changes: 5 }.text();
        let begin = "1 234 calls and 5 changes of memory are in the sums only: the log keeps ";
        assert_eq!(text(Thinning::default()), format!("{begin}nothing"));
        let kept = Thinning { min_rss_bytes: Some(4096), with_previous: true, min_duration_ns: None };
        assert_eq!(
            text(kept),
            format!("{begin}what changed resident memory by 4 KiB or more, with the call before each")
        );
        let kept =
            Thinning { min_rss_bytes: Some(1), with_previous: false, min_duration_ns: Some(1_000_000) };
        assert_eq!(
            text(kept),
            format!("{begin}what changed resident memory by 1 B or more and calls of 1.00 ms or more")
        );
    }
}
