//! Retention: how long an environment keeps what it no longer needs.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::period::{self, Period};

/// How long things are kept. Nothing is forgotten that is carried, that the last seeding or the one before it left, or that
/// waits for somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retention {
    /// Integrations that were taken out: their actions, triggers, connections and events go at once, their definition stays as
    /// `removed` for so long, and comes back as it was if it comes back. `0s`: it goes too. Default 720h.
    #[serde(default = "removed", skip_serializing_if = "is_removed")]
    #[schemars(extend("default" = "720h"))]
    pub removed: Period,
    /// Log rows, what seedings changed, the contents that only they had, and conflicts that are resolved. Absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (period::A_SECOND, "history must be a duration of at least 1s, such as 720h or 2160h"))]
    pub history: Option<Period>,
    /// How many contents of each integration, the latest first. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub versions: Option<u32>,
}

fn removed() -> Period {
    Period::new("720h")
}

fn is_removed(period: &Period) -> bool {
    *period == removed()
}

impl Default for Retention {
    fn default() -> Self {
        Self { removed: removed(), history: None, versions: None }
    }
}
