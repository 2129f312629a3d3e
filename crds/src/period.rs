//! Durations as documents write them: `30s`, `5m`, `1h`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The pattern of a duration in the schema.
pub const PATTERN: &str = "^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$";

/// In CEL: a duration as [`PATTERN`] has it, of at least a second.
pub(crate) const A_SECOND: &str = "self != '' && self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') && duration(self) >= duration('1s')";

/// The same, of at least ten seconds.
pub(crate) const TEN_SECONDS: &str = "self != '' && self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') && duration(self) >= duration('10s')";

/// A duration as it was written: hours, minutes and seconds in that order, such as `30s`, `5m` or `1h30m`.
///
/// The text is kept, so that what was written is what is stored; [`Period::duration`] reads it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Period(pub String);

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPeriod(pub String);

impl fmt::Display for BadPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a duration such as 30s, 5m or 1h", self.0)
    }
}

impl std::error::Error for BadPeriod {}

impl Period {
    /// A period of this text, which is not looked at.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How long it is.
    ///
    /// # Errors
    /// Where the text is no duration.
    pub fn duration(&self) -> Result<Duration, BadPeriod> {
        parse(&self.0)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads `30s`, `5m`, `1h` or a sum of them in falling order; each number has at most six digits.
///
/// # Errors
/// Where the text is anything else.
pub fn parse(text: &str) -> Result<Duration, BadPeriod> {
    let bad = || BadPeriod(text.to_owned());
    let mut seconds = 0u64;
    let mut rest = text;
    for (unit, factor) in [('h', 3600), ('m', 60), ('s', 1)] {
        let Some(end) = rest.find(unit) else { continue };
        let digits = &rest[..end];
        if digits.is_empty() || digits.len() > 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        seconds += digits.parse::<u64>().map_err(|_| bad())? * factor;
        rest = &rest[end + 1..];
    }
    if text.is_empty() || !rest.is_empty() { Err(bad()) } else { Ok(Duration::from_secs(seconds)) }
}

impl JsonSchema for Period {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 2, "maxLength": 21, "pattern": PATTERN, "x-sower": "duration" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_has_the_pattern() {
        assert!(A_SECOND.contains(PATTERN) && TEN_SECONDS.contains(PATTERN));
    }

    #[test]
    fn reads_durations() {
        let table = [
            ("30s", Some(30)),
            ("5m", Some(300)),
            ("1h", Some(3600)),
            ("1h30m", Some(5400)),
            ("0s", Some(0)),
            ("999999h", Some(3_599_996_400)),
            ("", None),
            ("5", None),
            ("m", None),
            ("1d", None),
            ("1m1h", None),
            ("-1s", None),
            ("1.5h", None),
            ("1000000s", None),
            ("5m ", None),
        ];
        for (text, seconds) in table {
            assert_eq!(parse(text).ok().map(|d| d.as_secs()), seconds, "{text}");
        }
    }
}
