//! `--since`: the beginning of a time, as it is typed.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The longest time, in seconds: 20 years.
const LONGEST: i64 = 20 * 366 * 86_400;

/// The beginning of a time: `12h`, `30d`, a date, or a time as RFC 3339 has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So many seconds before now.
    Ago(i64),
    /// Then.
    At(Timestamp),
}

impl Since {
    /// The time it means; none where that is still to come.
    #[must_use]
    pub fn of(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Ago(seconds) => now.checked_sub(SignedDuration::from_secs(seconds)).ok(),
            Self::At(at) => (at <= now).then_some(at),
        }
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ago(seconds) if seconds % 86_400 == 0 => write!(f, "{}d", seconds / 86_400),
            Self::Ago(seconds) if seconds % 3_600 == 0 => write!(f, "{}h", seconds / 3_600),
            Self::Ago(seconds) => write!(f, "{}m", seconds / 60),
            Self::At(at) => at.fmt(f),
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(seconds) = seconds(text) {
            return match seconds {
                1..=LONGEST => Ok(Self::Ago(seconds)),
                _ => Err("it is more than no time and at most 20 years".to_owned()),
            };
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::At(at));
        }
        let day = text.parse::<Date>().ok().filter(|_| text.len() == "2026-11-01".len());
        match day.and_then(|day| day.to_zoned(TimeZone::UTC).ok()) {
            Some(midnight) => Ok(Self::At(midnight.timestamp())),
            None => Err("write 12h, 30d, a date such as 2026-11-01, or a time such as 2026-11-01T08:00:00Z"
                .to_owned()),
        }
    }
}

/// `90m`, `12h`, `30d`, `4w`.
fn seconds(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(number.parse::<i64>().unwrap_or(i64::MAX).saturating_mul(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_begins_some_while_ago_or_then() {
        let now: Timestamp = "2026-11-21T14:00:00Z".parse().expect("a time");
        for (text, expected) in [
            ("90m", "2026-11-21T12:30:00Z"),
            ("12h", "2026-11-21T02:00:00Z"),
            ("30d", "2026-10-22T14:00:00Z"),
            ("4w", "2026-10-24T14:00:00Z"),
            ("2026-11-01", "2026-11-01T00:00:00Z"),
            ("2026-11-01T08:00:00+01:00", "2026-11-01T07:00:00Z"),
        ] {
            let since: Since = text.parse().expect(text);
            assert_eq!(since.of(now).map(|at| at.to_string()).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "d",
            "0d",
            "30",
            "-3d",
            "1.5d",
            "99999999999999999999w",
            "30x",
            "yesterday",
            "2026-13-01",
            "ä",
        ] {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
        assert_eq!("2027-01-01".parse::<Since>().expect("a date").of(now), None);
        for text in ["90m", "12h", "30d"] {
            assert_eq!(text.parse::<Since>().expect(text).to_string(), text);
        }
    }
}
