//! The prune limit: how much one plan may delete.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// How many integrations of a source one plan may delete: a percentage of them, rounded up, or a count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PruneLimit {
    /// A count.
    Count(u32),
    /// A percentage as written, such as `20%`.
    Percent(String),
}

impl Default for PruneLimit {
    fn default() -> Self {
        Self::Percent("20%".to_owned())
    }
}

impl PruneLimit {
    /// How many of `total` integrations it allows to delete; `None` where the text is no percentage from 0% to 100%.
    #[must_use]
    pub fn of(&self, total: usize) -> Option<usize> {
        match self {
            Self::Count(count) => usize::try_from(*count).ok(),
            Self::Percent(text) => {
                let percent: usize = text.strip_suffix('%').filter(|p| is_number(p))?.parse().ok()?;
                (percent <= 100).then(|| (total * percent).div_ceil(100))
            }
        }
    }
}

fn is_number(text: &str) -> bool {
    let padded = text.len() > 1 && text.starts_with('0');
    !text.is_empty() && text.len() <= 3 && !padded && text.bytes().all(|b| b.is_ascii_digit())
}

impl fmt::Display for PruneLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(text) => f.write_str(text),
        }
    }
}

impl JsonSchema for PruneLimit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PruneLimit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": 1_000_000 },
            { "type": "string", "maxLength": 4, "pattern": "^([0-9]|[1-9][0-9]|100)%$", "x-sower": "percent" },
        ] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_a_share_rounded_up_or_a_count() {
        let table = [
            (PruneLimit::default(), 42, Some(9)),
            (PruneLimit::default(), 1, Some(1)),
            (PruneLimit::default(), 0, Some(0)),
            (PruneLimit::Percent("0%".into()), 42, Some(0)),
            (PruneLimit::Percent("100%".into()), 42, Some(42)),
            (PruneLimit::Percent("101%".into()), 42, None),
            (PruneLimit::Percent("020%".into()), 42, None),
            (PruneLimit::Percent("20".into()), 42, None),
            (PruneLimit::Percent("+5%".into()), 42, None),
            (PruneLimit::Count(3), 42, Some(3)),
        ];
        for (limit, total, allowed) in table {
            assert_eq!(limit.of(total), allowed, "{limit} of {total}");
        }
    }
}
