//! Values as people write them.

use std::time::Duration;

/// A number of bytes: 4096, 64K, 2GB, 3 MiB; K, M and G are powers of 1024.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// A count: 4096, 500k, 2M; k, M and G are powers of 1000.
pub(super) fn count(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// A share in percent, as a share of 1: 5%, 0.5 %, 50.
pub(super) fn percent(text: &str) -> Option<f64> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    number
        .parse::<f64>()
        .ok()
        .filter(|percent| percent.is_finite() && *percent >= 0.0)
        .map(|percent| percent / 100.0)
}

/// A duration as people write it: 10s, 1m30s, 500ms, 2.5.
pub(super) fn duration(text: &str) -> Option<Duration> {
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => {
            text.parse::<jiff::SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit_or_none() {
        let sizes = ["4096", "64K", "3 MiB", "2gb", "0"].map(bytes);
        assert_eq!(sizes, [4096, 64 << 10, 3 << 20, 2 << 30, 0].map(Some));
        assert_eq!(["", "K", "1.5M", "64X", "-4K", "99999999999999999999"].map(bytes), [None; 6]);
    }

    #[test]
    fn counts_are_in_thousands_and_shares_in_percent() {
        assert_eq!(["4096", "500k", "2M", "0"].map(count), [4096, 500_000, 2_000_000, 0].map(Some));
        assert_eq!(["", "k", "1.5M", "64X", "-4", "99999999999999999999"].map(count), [None; 6]);
        assert_eq!(["50%", "0.5 %", "5", "0"].map(percent), [0.5, 0.005, 0.05, 0.0].map(Some));
        assert_eq!(["", "%", "-5%", "inf", "NaN", "half"].map(percent), [None; 6]);
    }
}
