//! Times for people: `26 min ago`, `84ms`, `18 min`, `14:02`.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

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

/// How long something goes on: `40s`, `18 min`, `1h 5 min`, `2d 4h`.
#[must_use]
pub fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let with = |whole: String, rest: i64, unit: &str| match rest {
        0 => whole,
        rest => format!("{whole} {rest}{unit}"),
    };
    match seconds {
        0..=59 => format!("{seconds}s"),
        60..=3599 => format!("{minutes} min"),
        3600..=86_399 => with(format!("{hours}h"), minutes % 60, " min"),
        _ => with(format!("{days}d"), hours % 24, "h"),
    }
}

/// The time of day in UTC, with the day where that is not the day of `now`.
#[must_use]
pub fn clock(at: Timestamp, now: Timestamp) -> String {
    let format = if same_day(at, now) { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    at.to_zoned(TimeZone::UTC).strftime(format).to_string()
}

/// Whether two times are of one day in UTC.
#[must_use]
pub fn same_day(one: Timestamp, other: Timestamp) -> bool {
    one.to_zoned(TimeZone::UTC).date() == other.to_zoned(TimeZone::UTC).date()
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

    #[test]
    fn what_goes_on_is_told_in_two_units() {
        for (seconds, text) in [
            (-3, "0s"),
            (40, "40s"),
            (18 * 60 + 59, "18 min"),
            (3600, "1h"),
            (3900, "1h 5 min"),
            (86_400, "1d"),
            (187_200, "2d 4h"),
        ] {
            assert_eq!(span(SignedDuration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn the_day_is_told_where_it_is_another() {
        let now: Timestamp = "2026-11-21T14:30:00Z".parse().expect("a time");
        for (at, text) in [("2026-11-21T14:02:59Z", "14:02"), ("2026-11-20T23:59:00Z", "2026-11-20 23:59")] {
            assert_eq!(clock(at.parse().expect("a time"), now), text);
        }
    }
}
