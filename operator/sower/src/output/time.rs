//! Times for people: `26 min ago`, `84ms`.

use jiff::Timestamp;

/// How long ago, in one unit.
#[must_use]
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second()).max(0);
    let (count, unit) = match seconds {
        0..=59 => return format!("{seconds}s ago"),
        60..=3599 => return format!("{} min ago", seconds / 60),
        3600..=86_399 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

/// A duration: `84ms`, `1.1s`, `6m 41s`, `2h 5m`, `3d 4h`.
#[must_use]
pub fn took(milliseconds: u64) -> String {
    match milliseconds {
        0..=999 => format!("{milliseconds}ms"),
        1000..=59_999 => format!("{}.{}s", milliseconds / 1000, milliseconds % 1000 / 100),
        60_000..=3_599_999 => both(milliseconds / 1000, 60, ["m", "s"]),
        3_600_000..=86_399_999 => both(milliseconds / 60_000, 60, ["h", "m"]),
        _ => both(milliseconds / 3_600_000, 24, ["d", "h"]),
    }
}

/// A number of small units as large and small ones; no small one is not said.
fn both(small: u64, each: u64, [large, unit]: [&str; 2]) -> String {
    match small % each {
        0 => format!("{}{large}", small / each),
        rest => format!("{}{large} {rest}{unit}", small / each),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_one_unit() {
        let now = Timestamp::from_second(1_000_000).expect("in range");
        let at = |s: i64| Timestamp::from_second(1_000_000 - s).expect("in range");
        let table = [
            (5, "5s ago"),
            (26 * 60, "26 min ago"),
            (3700, "1 hour ago"),
            (7300, "2 hours ago"),
            (6 * 86_400, "6 days ago"),
        ];
        for (seconds, text) in table {
            assert_eq!(ago(at(seconds), now), text);
        }
        assert_eq!(took(84), "84ms");
        assert_eq!(took(1130), "1.1s");
        for (milliseconds, text) in [
            (401_000, "6m 41s"),
            (120_000, "2m"),
            (7_500_000, "2h 5m"),
            (273_600_000, "3d 4h"),
            (2_000, "2.0s"),
        ] {
            assert_eq!(took(milliseconds), text);
        }
    }
}
