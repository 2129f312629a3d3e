//! What is done about rows that somebody else's hand changed.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::defaults::is_default;
use crate::period::{self, Period};
use crate::text;
use crate::words::words;

words! {
    /// What is done about drift.
    #[derive(Default)]
    DriftMode {
        /// Rows that are missing or changed are written again as they were seeded: by a seeding, which waits as any other.
        Correct = "Correct",
        /// It is told, and left as it is.
        #[default]
        Warn = "Warn",
        /// Nobody looks.
        Ignore = "Ignore",
    }
}

/// The shortest interval, in seconds.
pub const SHORTEST: u64 = 10;

/// How the rows of an environment are held against what was seeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Drift {
    /// What is done about drift. Default Warn.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "Warn"))]
    pub mode: DriftMode,
    /// What may differ without being drift: columns (`name`, `version`, `author`, `manifest`, `status`, `integration_id`,
    /// `identifier`, `category`, `definition`), and JSON pointers into what `manifest` and `definition` hold, such as
    /// `/description`; `*` stands for every item of a list or field of a map. A row that is corrected is written whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "text::columns")]
    pub ignore_fields: Vec<String>,
    /// How often the rows are looked through, besides at once where PostgreSQL tells of a foreign hand. Default 15m, at
    /// least 10s.
    #[serde(default = "interval", skip_serializing_if = "is_interval")]
    #[schemars(extend("default" = "15m"))]
    #[x_kube(validation = (period::TEN_SECONDS, "drift.interval must be a duration of at least 10s, such as 5m or 1h"))]
    pub interval: Period,
}

impl Default for Drift {
    fn default() -> Self {
        Self { mode: DriftMode::default(), ignore_fields: Vec::new(), interval: interval() }
    }
}

fn interval() -> Period {
    Period::new("15m")
}

fn is_interval(period: &Period) -> bool {
    *period == interval()
}
