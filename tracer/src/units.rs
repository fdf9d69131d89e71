//! Durations, sizes and counts for people: one way to print them, three or four significant digits.

/// A duration: `431 ns`, `12.3 us`, `4.56 ms`, `7.89 s`.
pub fn duration(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..999_500 => scaled(ns as f64 / 1e3, "us"),
        999_500..999_500_000 => scaled(ns as f64 / 1e6, "ms"),
        _ => scaled(ns as f64 / 1e9, "s"),
    }
}

/// A change in bytes, signed: `+4 KiB`, `-1.25 MiB`, `0`.
pub fn signed_bytes(bytes: i64) -> String {
    match bytes {
        0 => "0".to_owned(),
        1.. => format!("+{}", size(bytes.unsigned_abs())),
        _ => format!("-{}", size(bytes.unsigned_abs())),
    }
}

/// A size: `512 B`, `4 KiB`, `1.25 MiB`, `3.5 GiB`.
pub fn size(bytes: u64) -> String {
    const KIB: f64 = 1024.0;
    let value = bytes as f64;
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_047_553 => trimmed(value / KIB, "KiB"),
        1_047_553..1_072_693_249 => trimmed(value / KIB / KIB, "MiB"),
        _ => trimmed(value / KIB / KIB / KIB, "GiB"),
    }
}

/// A count with thousands apart: `1 234 567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// A number of things, by the word for one of them: `1 step`, `12 steps`.
pub fn counted(n: u64, one: &str) -> String {
    format!("{} {one}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A share of a whole in percent: `3.2 %`; `-` of nothing.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    let share = part as f64 * 100.0 / whole as f64;
    if share < 10.0 { format!("{share:.1} %") } else { format!("{share:.0} %") }
}

fn scaled(value: f64, unit: &str) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2} {unit}"),
        v if v < 99.95 => format!("{v:.1} {unit}"),
        v => format!("{v:.0} {unit}"),
    }
}

/// As [`scaled`], whole numbers without decimals: sizes are mostly whole pages.
fn trimmed(value: f64, unit: &str) -> String {
    if value.fract() == 0.0 { format!("{value:.0} {unit}") } else { scaled(value, unit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits_and_change_unit_at_a_thousand() {
        let shown: Vec<_> = [
            0,
            999,
            1_000,
            12_345,
            999_499,
            999_500,
            4_560_000,
            999_499_999,
            999_500_000,
            7_890_000_000,
            3_600_000_000_000,
        ]
        .map(duration)
        .into();
        assert_eq!(
            shown,
            [
                "0 ns", "999 ns", "1.00 us", "12.3 us", "999 us", "1.00 ms", "4.56 ms", "999 ms", "1.00 s",
                "7.89 s", "3600 s"
            ]
        );
    }

    #[test]
    fn sizes_are_signed_and_whole_where_they_are_whole() {
        let shown: Vec<_> = [0, 512, 4096, -4096, 1 << 20, -1_310_720, 52_428_800, 5 << 30, i64::MIN]
            .map(signed_bytes)
            .into();
        assert_eq!(
            shown,
            [
                "0",
                "+512 B",
                "+4 KiB",
                "-4 KiB",
                "+1 MiB",
                "-1.25 MiB",
                "+50 MiB",
                "+5 GiB",
                "-8589934592 GiB"
            ]
        );
        assert_eq!(size(1_047_552), "1023 KiB");
        assert_eq!(size(1_047_600), "1.00 MiB");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1 000", "1 234 567"]);
        assert_eq!([counted(1, "step"), counted(1_200, "step")], ["1 step", "1 200 steps"]);
        assert_eq!([percent(1, 3), percent(1, 30), percent(1, 0)], ["33 %", "3.3 %", "-"]);
    }
}
