//! What happened: the one record of a seeding, the same in the log row, the event, the JSON output and the metrics.

use serde::{Deserialize, Serialize};

use crate::plan::Conflict;
use crate::promotion::Waiting;

/// How a seeding ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Rows were written.
    Completed,
    /// Nothing was to be written.
    Unchanged,
    /// A guard held it; nothing was written.
    Refused,
    /// It failed; nothing was written.
    Failed,
}

impl Outcome {
    /// As JSON and metrics hold it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// `, 1 rollout begun`, or nothing.
#[must_use]
pub fn begun(rollouts: usize) -> String {
    match rollouts {
        0 => String::new(),
        1 => ", 1 rollout begun".to_owned(),
        several => format!(", {several} rollouts begun"),
    }
}

/// `, 1 rollout ended`, or nothing.
#[must_use]
pub fn given_up(rollouts: usize) -> String {
    match rollouts {
        0 => String::new(),
        1 => ", 1 rollout ended".to_owned(),
        several => format!(", {several} rollouts ended"),
    }
}

/// One integration, or a whole seeding, that did not come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The integration, where it is known.
    pub integration: Option<String>,
    /// A problem code, `foreign-row`, or a reason of Ready.
    pub code: String,
    /// `path:line:column`, or the path.
    pub location: Option<String>,
    /// What is wrong.
    pub message: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

/// The record of one seeding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The environment's name.
    pub environment: String,
    /// `production-57`; absent where nothing was written.
    pub seeding: Option<String>,
    /// Long form of what was read.
    pub revision: Option<String>,
    /// How it ended.
    pub status: Outcome,
    /// Integrations that were selected, those in conflict included.
    pub integrations_processed: usize,
    /// Integrations created.
    pub created: usize,
    /// Integrations updated or moved.
    pub updated: usize,
    /// Integrations of which a rollout began.
    #[serde(default, skip_serializing_if = "is_none")]
    pub staged: usize,
    /// Integrations whose rollout ended, and of which all keep what they have.
    #[serde(default, skip_serializing_if = "is_none")]
    pub given_up: usize,
    /// Integrations deleted.
    pub deleted: usize,
    /// Integrations that were as they should be.
    pub unchanged: usize,
    /// Action rows that were not there before.
    pub actions_created: usize,
    /// Trigger rows that were not there before.
    pub triggers_created: usize,
    /// Connection rows that were not there before.
    pub connections_created: usize,
    /// Integrations that are carried although `allowedIntegrations` of a selective environment no longer names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphaned: Vec<String>,
    /// Integrations that are carried although they are gone from their sources: their annotation `sower.dev/prune` keeps them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prune_disabled: Vec<String>,
    /// Integrations that are not as the sources have them, because they were rolled back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<String>,
    /// Contents that wait for another environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiting>,
    /// Conflicts that were found.
    pub conflicts: Vec<Conflict>,
    /// What did not come in.
    pub errors: Vec<Failure>,
    /// Integrations that the selection left out.
    #[serde(skip)]
    pub excluded: usize,
    /// Manifests that are refused.
    #[serde(skip)]
    pub invalid: usize,
    /// Milliseconds.
    pub duration: u64,
}
