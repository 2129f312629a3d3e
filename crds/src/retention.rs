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
    /// What consumers said of their executions: in buckets that grow longer as they age.
    #[serde(default, skip_serializing_if = "UsageRetention::is_default")]
    #[schemars(extend("default" = {}))]
    pub usage: UsageRetention,
}

/// How long usage is kept in buckets of each length. Minutes of an integration stay, beside that, while a rollout of it lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UsageRetention {
    /// Minutes, before they become hours. Default 24h.
    #[serde(default = "minutes", skip_serializing_if = "is_minutes")]
    #[schemars(extend("default" = "24h"))]
    #[x_kube(validation = (period::A_SECOND, "minutes must be a duration of at least 1s, such as 24h or 72h"))]
    pub minutes: Period,
    /// Hours, before they become days. Default 720h.
    #[serde(default = "hours", skip_serializing_if = "is_hours")]
    #[schemars(extend("default" = "720h"))]
    #[x_kube(validation = (period::A_SECOND, "hours must be a duration of at least 1s, such as 720h or 2160h"))]
    pub hours: Period,
    /// Days, before they are forgotten. Default 9600h, which is 400 days.
    #[serde(default = "days", skip_serializing_if = "is_days")]
    #[schemars(extend("default" = "9600h"))]
    #[x_kube(validation = (period::A_SECOND, "days must be a duration of at least 1s, such as 9600h or 2160h"))]
    pub days: Period,
}

fn minutes() -> Period {
    Period::new("24h")
}

fn is_minutes(period: &Period) -> bool {
    *period == minutes()
}

fn hours() -> Period {
    Period::new("720h")
}

fn is_hours(period: &Period) -> bool {
    *period == hours()
}

fn days() -> Period {
    Period::new("9600h")
}

fn is_days(period: &Period) -> bool {
    *period == days()
}

impl UsageRetention {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for UsageRetention {
    fn default() -> Self {
        Self { minutes: minutes(), hours: hours(), days: days() }
    }
}

fn removed() -> Period {
    Period::new("720h")
}

fn is_removed(period: &Period) -> bool {
    *period == removed()
}

impl Default for Retention {
    fn default() -> Self {
        Self { removed: removed(), history: None, versions: None, usage: UsageRetention::default() }
    }
}
