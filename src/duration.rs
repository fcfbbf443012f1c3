//! Durations in Go's notation (`1h30m`, `1.5h`, `100ms`), which Hydra's admin API and our manifests use.

use std::time::Duration;

/// Nanoseconds in a unit.
const UNITS: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a duration as Go does: fractions of a nanosecond are cut off. None if the text is not a duration, or is longer
/// than Go's maximum (about 292 years).
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total: u64 = 0;
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let (amount, tail) = rest.split_at(number);
        let unit = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (name, tail) = tail.split_at(unit);
        let (_, nanoseconds) = UNITS.iter().find(|(unit, _)| *unit == name)?;
        total = total.checked_add(scaled(amount, *nanoseconds)?)?;
        rest = tail;
    }
    (total <= i64::MAX.unsigned_abs()).then(|| Duration::from_nanos(total))
}

/// A decimal number times a unit, cut off to whole nanoseconds.
fn scaled(amount: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Further digits are below a nanosecond even for hours.
    let digits = fraction.get(..fraction.len().min(15))?;
    let numerator: u128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let part = numerator * u128::from(unit) / 10u128.pow(u32::try_from(digits.len()).ok()?);
    whole.checked_mul(unit)?.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("60s", Some(60_000_000_000)),
            ("1m0s", Some(60_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            ("0.3333333333333h", Some(1_199_999_999_999)),
            ("1000ms", Some(1_000_000_000)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("", None),
            ("s", None),
            ("1d", None),
            ("1", None),
            (".s", None),
            ("1.2.3s", None),
            ("99999999999999999999999999999h", None),
            ("9999999h", None),
        ] {
            assert_eq!(parse(text).map(|d| d.as_nanos()), expected, "{text}");
        }
    }
}
