//! The JSON form of reports and views: what nobody has counted is null, not 0.

use serde::Serialize;
use serde_json::Value;

use super::Account;

/// What samples don't tell, by key: only probes count.
const COUNTS: [&str; 9] = [
    "calls",
    "ended_larger",
    "resumes",
    "page_faults",
    "open_at_attach",
    "activations",
    "ends",
    "late_ends",
    "calls_made",
];

/// What is not known where memory is not followed ([`Account::memory_unknown`]), by key.
const MEMORY: [&str; 11] = [
    "rss_bytes",
    "self_rss_bytes",
    "cum_rss_bytes",
    "page_faults",
    "self_page_faults",
    "rss_start_bytes",
    "rss_end_bytes",
    "rss_peak_bytes",
    "outside_rss_bytes",
    "no_frame_rss_bytes",
    "swap_bytes",
];

/// The JSON form of what these accounts are of. What one of several recordings does not know can't be compared either.
pub(crate) fn to_json(value: &impl Serialize, accounts: &[&Account]) -> serde_json::Result<String> {
    let keys = COUNTS.into_iter().chain(MEMORY);
    let unknown: Vec<_> =
        keys.filter(|key| accounts.iter().any(|account| is_unknown(account, key))).collect();
    if unknown.is_empty() {
        return serde_json::to_string(value);
    }
    let mut value = serde_json::to_value(value)?;
    forget(&mut value, &unknown);
    serde_json::to_string(&value)
}

/// Has the recording of this account nothing to say of what has this key?
pub(crate) fn is_unknown(account: &Account, key: &str) -> bool {
    account.sampling.is_some() && COUNTS.contains(&key) || account.memory_unknown && MEMORY.contains(&key)
}

fn forget(value: &mut Value, unknown: &[&str]) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| forget(value, unknown)),
        Value::Object(fields) => {
            for (key, value) in fields {
                if unknown.contains(&key.as_str()) {
                    *value = Value::Null;
                } else {
                    forget(value, unknown);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{FunctionReport, ProcessReport, Report, Sampling, Status, Sums};

    fn json(account: Account) -> Value {
        let sums = Sums { calls: 3, self_wall_ns: 7, ..Sums::default() };
        let row = FunctionReport { sums, activations: 3, ..FunctionReport::default() };
        let processes = vec![ProcessReport::default()];
        let report = Report::new(Status { processes, account, ..Status::default() }, [row]);
        serde_json::from_str(&report.to_json().unwrap()).unwrap()
    }

    #[test]
    fn what_samples_do_not_tell_is_null() {
        let plain = json(Account::default());
        let row = &plain["functions"][0];
        assert_eq!(
            (&row["calls"], &row["self_wall_ns"], &row["self_rss_bytes"]),
            (&3.into(), &7.into(), &0.into())
        );
        for key in COUNTS.iter().filter(|key| **key != "ended_larger") {
            assert!(row.get(key).is_some(), "{key} is a key of the report");
        }
        let sampled = json(Account { sampling: Some(Sampling::default()), ..Account::default() });
        let row = &sampled["functions"][0];
        assert_eq!(
            (&row["calls"], &row["self_wall_ns"], &row["self_rss_bytes"]),
            (&Value::Null, &7.into(), &0.into())
        );
    }

    #[test]
    fn memory_that_nobody_has_followed_is_null() {
        let plain = json(Account::default());
        let unknown = json(Account { memory_unknown: true, ..Account::default() });
        assert_eq!(unknown["functions"][0]["calls"], 3);
        // Those are of single calls.
        for key in MEMORY.iter().filter(|key| !["rss_bytes", "self_page_faults"].contains(key)) {
            let places =
                |json: &Value| [&json["functions"][0], &json["processes"][0]].map(|of| of.get(key).cloned());
            assert!(places(&plain).contains(&Some(0.into())), "{key} is a key of the report");
            assert!(places(&unknown).iter().flatten().all(Value::is_null), "{key}: {unknown}");
        }
    }
}
