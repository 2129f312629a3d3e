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

/// A duration: `84ms`, `1.1s`, `6m 41s`.
#[must_use]
pub fn took(milliseconds: u64) -> String {
    match milliseconds {
        0..=999 => format!("{milliseconds}ms"),
        1000..=59_999 => format!("{}.{}s", milliseconds / 1000, milliseconds % 1000 / 100),
        _ => format!("{}m {}s", milliseconds / 60_000, milliseconds % 60_000 / 1000),
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
        assert_eq!(took(401_000), "6m 41s");
    }
}
