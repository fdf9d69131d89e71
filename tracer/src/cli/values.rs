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
}
