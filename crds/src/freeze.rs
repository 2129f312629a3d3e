//! Freeze windows: when an environment's integrations may not change.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::defaults::is_default;
use crate::period::{self, Period};
use crate::text;
use crate::words::words;

words! {
    /// What a freeze window does while it is open.
    #[derive(Default)]
    WindowKind {
        /// Nothing of it changes while the window is open.
        #[default]
        Deny = "Deny",
        /// It changes only while the window, or another that allows it, is open.
        Allow = "Allow",
    }
}

/// A stretch of time that comes again and again. Where several windows are about an integration, those that deny win.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("!has(self.integrations) || self.integrations.size() > 0", "integrations must not be empty: leave it out for all of them"),
)]
pub struct FreezeWindow {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::label")]
    pub name: Option<String>,
    /// When it begins, as cron has it: minute, hour, day of the month, month, day of the week, such as `0 18 * * FRI`.
    /// A beginning that the clock leaps over comes right after the leap; one that the clock shows twice comes once.
    #[schemars(schema_with = "text::schedule")]
    pub schedule: String,
    /// How long it lasts, in time that passes: where the clock is changed meanwhile, it shows an hour more or less.
    #[x_kube(validation = (period::A_SECOND, "duration must be a duration of at least 1s, such as 30m, 12h or 60h"))]
    pub duration: Period,
    /// The time zone of `schedule`, as the IANA database names it, such as `Europe/Berlin`. Default UTC.
    #[serde(default = "utc", skip_serializing_if = "is_utc")]
    #[schemars(schema_with = "text::time_zone", extend("default" = "UTC"))]
    pub time_zone: String,
    /// Whether it stops changes, or lets them through. Default Deny.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "Deny"))]
    pub kind: WindowKind,
    /// Patterns (`*`, `?`, `[a-z]`) over the ids that it is about. Absent: all; an empty list is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::globs")]
    pub integrations: Option<Vec<String>>,
}

fn utc() -> String {
    "UTC".to_owned()
}

fn is_utc(zone: &String) -> bool {
    zone == "UTC"
}
