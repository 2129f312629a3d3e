//! The resource `Environment`: what a target takes from where, and how.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::defaults::{is_default, is_on, on};
use crate::drift::Drift;
use crate::freeze::FreezeWindow;
use crate::notification::Notification;
use crate::period::{self, Period};
use crate::promotion::{DependsOn, Promotion};
use crate::prune_limit::PruneLimit;
use crate::retention::Retention;
use crate::rollout::Rollout;
use crate::source::Source;
use crate::status;
use crate::text;
use crate::words::words;

words! {
    /// How much of the catalog a seeding compares.
    #[derive(Default)]
    SeedingStrategy {
        /// Everything is read and compared; what is gone is pruned.
        #[default]
        Full = "full",
        /// Only what changed is read; the result equals full.
        Incremental = "incremental",
        /// Only the ids that `allowedIntegrations` names without a wildcard; others are not touched.
        Selective = "selective",
    }
}

words! {
    /// Who brings the tables to the version that this Sower needs.
    #[derive(Default)]
    Migrate {
        /// Sower, on first contact.
        #[default]
        Auto = "Auto",
        /// Someone else; Sower waits for it.
        Never = "Never",
    }
}

words! {
    /// What becomes of the rows when the Environment is deleted.
    #[derive(Default)]
    DeletionPolicy {
        /// They stay.
        #[default]
        Retain = "Retain",
        /// They go too.
        Delete = "Delete",
    }
}

words! {
    /// What is done about a conflict.
    #[derive(Default)]
    Resolution {
        /// What is there stays (of two sources: the first).
        #[default]
        Skip = "skip",
        /// The new is taken (of two sources: the last).
        Override = "override",
        /// Both become one: git with what hands changed here, field by field; the offers of two sources, the first winning
        /// where they clash; the highest known version that all who need it can have. What cannot be merged is kept, as by
        /// skip, and said.
        Merge = "merge",
    }
}

words! {
    /// Whether somebody has to approve a plan.
    #[derive(Default)]
    Approval {
        /// Nobody: it is applied when it is made.
        #[default]
        Automatic = "Automatic",
        /// It waits until its hash is approved.
        Manual = "Manual",
    }
}

words! {
    /// What becomes of an update that breaks what uses the integration, and whose version does not say so.
    #[derive(Default)]
    Semver {
        /// It is seeded, with a warning.
        #[default]
        Warn = "warn",
        /// The integration keeps its rows.
        Deny = "deny",
    }
}

/// A target: its sources, what it lets in, and the database that holds it.
#[allow(clippy::duplicated_attributes, reason = "each printer column says its type")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "sower.dev",
    version = "v1alpha1",
    kind = "Environment",
    plural = "environments",
    singular = "environment",
    shortname = "env",
    category = "sower",
    namespaced,
    status = "EnvironmentStatus",
    derive = "PartialEq",
    derive = "Default",
    schema = "disabled",
    doc = "A target whose database Sower keeps equal to what its sources say.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Revision", type_ = "string", json_path = ".status.revision"),
    printcolumn(name = "Integrations", type_ = "integer", json_path = ".status.counts.integrations"),
    printcolumn(name = "Conflicts", type_ = "integer", json_path = ".status.counts.conflicts"),
    printcolumn(name = "Rollouts", type_ = "integer", json_path = ".status.counts.rollouts"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("!has(self.allowedIntegrations) || self.allowedIntegrations.size() > 0", "allowedIntegrations must not be empty: leave it out to allow every integration"),
)]
pub struct EnvironmentSpec {
    /// Where manifests come from; the first wins a duplicate that is skipped. Absent: in a cluster the Integration
    /// resources of the namespace, with files one source `default` with path `integrations`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(extend("maxItems" = 16))]
    pub sources: Vec<Source>,
    /// Patterns (`*`, `?`, `[a-z]`) over the ids to let in. Absent: all; an empty list is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::globs")]
    pub allowed_integrations: Option<Vec<String>>,
    /// Patterns over the ids to keep out; they win over `allowedIntegrations`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "text::globs")]
    pub blocked_integrations: Vec<String>,
    /// Switches by name. `experimentalFeatures` lets experimental integrations in, `betaFeatures` beta ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub feature_flags: BTreeMap<String, bool>,
    /// How much of the catalog a seeding compares. Default full.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "full"))]
    pub seeding_strategy: SeedingStrategy,
    /// The database. Absent: the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
    /// How often the sources are asked for something new. Default 5m.
    #[serde(default = "interval", skip_serializing_if = "is_interval")]
    #[schemars(extend("default" = "5m"))]
    #[x_kube(validation = (period::A_SECOND, "interval must be a duration of at least 1s, such as 30s, 5m or 1h"))]
    pub interval: Period,
    /// How soon a failed seeding is tried again. Default 1m.
    #[serde(default = "retry_interval", skip_serializing_if = "is_retry_interval")]
    #[schemars(extend("default" = "1m"))]
    #[x_kube(validation = (period::A_SECOND, "retryInterval must be a duration of at least 1s, such as 30s, 5m or 1h"))]
    pub retry_interval: Period,
    /// How long a seeding may take, the fetch included. Default 5m.
    #[serde(default = "timeout", skip_serializing_if = "is_timeout")]
    #[schemars(extend("default" = "5m"))]
    #[x_kube(validation = (period::A_SECOND, "timeout must be a duration of at least 1s, such as 30s, 5m or 1h"))]
    pub timeout: Period,
    /// Stops seeding. Default false.
    #[serde(default, skip_serializing_if = "is_default")]
    pub suspend: bool,
    /// Refuses the whole revision where one manifest is invalid. Default false.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strict: bool,
    /// Deletes the rows of integrations that are gone from the sources. Default true.
    #[serde(default = "on", skip_serializing_if = "is_on")]
    #[schemars(extend("default" = true))]
    pub prune: bool,
    /// A plan that deletes more is held whole: a percentage of a source's integrations, rounded up, or a count. Default 20%.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "20%"))]
    pub prune_limit: PruneLimit,
    /// How long what is not needed any more is kept.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = {}))]
    pub retention: Retention,
    /// What becomes of the rows when the Environment is deleted. Default Retain.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "Retain"))]
    pub deletion_policy: DeletionPolicy,
    /// Whether each plan waits until somebody approves it. Default Automatic.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "Automatic"))]
    pub approval: Approval,
    /// What integrations are held to.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = {}))]
    pub policy: Policy,
    /// When integrations may not change, or when alone they may. A plan that changes a frozen one is held whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 16))]
    pub freeze_windows: Vec<FreezeWindow>,
    /// What is done about rows that somebody else's hand changed.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = {}))]
    pub drift: Drift,
    /// What is done about conflicts, by their type.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = {}))]
    pub conflicts: Conflicts,
    /// Where each commit that is read gets a status, so that whoever pushed sees what became of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(extend("maxItems" = 4))]
    pub notifications: Vec<Notification>,
    /// How new versions of integrations reach those who use them. Absent: all at once.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = {}))]
    pub rollout: Rollout,
    /// Environments that have to be in order before this one is seeded. It is seeded as soon as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(extend("maxItems" = 8))]
    pub depends_on: Vec<DependsOn>,
    /// What another environment has to show of a content before it enters this one. Absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<Promotion>,
}

fn interval() -> Period {
    Period::new("5m")
}

fn is_interval(period: &Period) -> bool {
    *period == interval()
}

fn retry_interval() -> Period {
    Period::new("1m")
}

fn is_retry_interval(period: &Period) -> bool {
    *period == retry_interval()
}

fn timeout() -> Period {
    Period::new("5m")
}

fn is_timeout(period: &Period) -> bool {
    *period == timeout()
}

impl Default for EnvironmentSpec {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            allowed_integrations: None,
            blocked_integrations: Vec::new(),
            feature_flags: BTreeMap::new(),
            seeding_strategy: SeedingStrategy::default(),
            database: None,
            interval: interval(),
            retry_interval: retry_interval(),
            timeout: timeout(),
            suspend: false,
            strict: false,
            prune: true,
            prune_limit: PruneLimit::default(),
            retention: Retention::default(),
            deletion_policy: DeletionPolicy::default(),
            approval: Approval::default(),
            policy: Policy::default(),
            freeze_windows: Vec::new(),
            drift: Drift::default(),
            conflicts: Conflicts::default(),
            notifications: Vec::new(),
            rollout: Rollout::default(),
            depends_on: Vec::new(),
            promotion: None,
        }
    }
}

/// A database that holds the environment's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Database {
    /// The Secret with its address: `url` or `uri`, and `ca.crt`, `tls.crt`, `tls.key` where TLS needs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// Who brings its tables to the version that this Sower needs. Default Auto.
    #[serde(default, skip_serializing_if = "is_default")]
    pub migrate: Migrate,
}

/// A Secret of the Environment's namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretRef {
    /// Its name.
    #[schemars(schema_with = "text::name")]
    pub name: String,
}

/// What integrations are held to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// A change that breaks what uses an integration wants another major version (below 1.0.0 another minor one): warn
    /// says so, deny leaves the rows of that integration as they are. Default warn.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "warn"))]
    pub semver: Semver,
}

/// What is done about conflicts, by their type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Conflicts {
    /// The new version is lower, or equal with other content. Default skip.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "skip"))]
    pub version: Resolution,
    /// A dependency is missing, outside its range, or in a cycle. Default skip.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "skip"))]
    pub dependency: Resolution,
    /// Two sources offer one id. Default skip.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "skip"))]
    pub duplicate: Resolution,
}

/// What the last reconcile of an Environment found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    /// Ready, always; Reconciling and Stalled only while they are true; SourceReady, ConflictFree, Drifted and
    /// Healthy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "status::conditions")]
    pub conditions: Vec<Condition>,
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The revision that is applied, short, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::revision")]
    pub revision: Option<String>,
    /// The revision that was read last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::revision")]
    pub last_attempted_revision: Option<String>,
    /// The revision that is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::revision")]
    pub last_applied_revision: Option<String>,
    /// The revisions by source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(extend("maxItems" = 16))]
    pub sources: Vec<SourceStatus>,
    /// The value of the annotation `sower.dev/requestedAt` that was obeyed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub last_handled_reconcile_at: Option<String>,
    /// The rollback that was asked for last by the annotation `sower.dev/rollback`, and what came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackStatus>,
    /// The command that was given last by the annotation `sower.dev/rollout`, and what came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout_command: Option<RolloutCommandStatus>,
    /// At most 20 of the rollouts that are under way, or that ended last and left the stable version in place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 20))]
    pub rollouts: Vec<RolloutStatus>,
    /// At most 20 of the contents that wait for another environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 20))]
    pub waiting: Vec<WaitingStatus>,
    /// The plan that was made last, while it is not applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanStatus>,
    /// The last seeding that wrote rows while this status was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seeding: Option<LastSeeding>,
    /// What came of the annotation `sower.dev/approve`, while it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalStatus>,
    /// What the environment holds, and what it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// At most 20 of the conflicts that are open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 20))]
    pub conflicts: Vec<ConflictStatus>,
    /// What commits were told, by notification and source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub notifications: Vec<NotificationStatus>,
    /// The one command that unblocks it; absent when nobody is asked for anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::paragraph")]
    pub next: Option<String>,
    /// At most 20 of what was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 20))]
    pub failures: Vec<Failure>,
}

/// The revisions of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// Name of the source.
    #[schemars(schema_with = "text::label")]
    pub name: String,
    /// The revision that is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::revision")]
    pub applied: Option<String>,
    /// The revision that was read last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::revision")]
    pub attempted: Option<String>,
}

/// A rollback that was asked for, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollbackStatus {
    /// The value of the annotation `sower.dev/rollback` that was obeyed last.
    #[schemars(schema_with = "text::line")]
    pub last_handled: String,
    /// Number of the seeding that did it; absent where nothing was to be written, or nothing could be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeding: Option<i64>,
    /// What came of it.
    #[schemars(schema_with = "text::paragraph")]
    pub message: String,
    /// It could not be done. Default false.
    #[serde(default, skip_serializing_if = "is_default")]
    pub failed: bool,
}

/// A command to rollouts, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutCommandStatus {
    /// The value of the annotation `sower.dev/rollout` that was obeyed last.
    #[schemars(schema_with = "text::line")]
    pub last_handled: String,
    /// What came of it.
    #[schemars(schema_with = "text::paragraph")]
    pub message: String,
    /// It could not be done. Default false.
    #[serde(default, skip_serializing_if = "is_default")]
    pub failed: bool,
}

/// A rollout in short; the whole is in the database.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The integration.
    #[schemars(schema_with = "text::line")]
    pub integration: String,
    /// Pending, Progressing, Paused, Completing, Completed, Aborted, RolledBack or Superseded.
    #[schemars(schema_with = "text::line")]
    pub state: String,
    /// The step, from 1; 0 before the first.
    pub step: i32,
    /// How many steps there are, the one to everybody included.
    pub steps: i32,
    /// Percent of the consumers that have the new version.
    pub weight: f64,
    /// The version that all had before.
    #[schemars(schema_with = "text::line")]
    pub from: String,
    /// The version that is rolled out.
    #[schemars(schema_with = "text::line")]
    pub to: String,
    /// Why it is in this state, in a clause.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "text::paragraph")]
    pub reason: String,
}

/// A content that waits for another environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitingStatus {
    /// The integration.
    #[schemars(schema_with = "text::line")]
    pub integration: String,
    /// Its version.
    #[schemars(schema_with = "text::line")]
    pub version: String,
    /// What it waits for, in a clause.
    #[schemars(schema_with = "text::paragraph")]
    pub reason: String,
}

/// A plan in short; the whole is in the database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStatus {
    /// The first 12 digits of its hash.
    #[schemars(schema_with = "text::line")]
    pub hash: String,
    /// Integrations that come.
    pub create: i32,
    /// Integrations that change.
    pub update: i32,
    /// Integrations that go.
    pub delete: i32,
    /// Conflicts found.
    pub conflicts: i32,
}

/// What a seeding wrote; the whole is in its log row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastSeeding {
    /// Its name: `production-57`.
    #[schemars(schema_with = "text::line")]
    pub seeding: String,
    /// Integrations that came.
    pub created: i32,
    /// Integrations that changed.
    pub updated: i32,
    /// Integrations of which a rollout began.
    #[serde(default, skip_serializing_if = "is_default")]
    pub staged: i32,
    /// Integrations whose rollout ended, and of which all keep what they have.
    #[serde(default, skip_serializing_if = "is_default")]
    pub given_up: i32,
    /// Integrations that went.
    pub deleted: i32,
    /// Integrations that stayed as they were.
    pub unchanged: i32,
    /// Action rows that were not there before.
    pub actions_created: i32,
    /// Trigger rows that were not there before.
    pub triggers_created: i32,
    /// Connection rows that were not there before.
    pub connections_created: i32,
}

/// A conflict that is open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConflictStatus {
    /// The integration.
    #[schemars(schema_with = "text::line")]
    pub integration: String,
    /// version, dependency or duplicate.
    #[serde(rename = "type")]
    #[schemars(schema_with = "text::line")]
    pub kind: String,
    /// The version here, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub current_version: Option<String>,
    /// The version that was offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub new_version: Option<String>,
    /// What is done about it.
    #[schemars(schema_with = "text::line")]
    pub resolution: String,
    /// Why it is not merged, where it was to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::paragraph")]
    pub unmerged: Option<String>,
}

/// What a commit was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationStatus {
    /// Name of the notification.
    #[schemars(schema_with = "text::label")]
    pub name: String,
    /// Name of the source.
    #[schemars(schema_with = "text::label")]
    pub source: String,
    /// The commit.
    #[schemars(schema_with = "text::line")]
    pub commit: String,
    /// pending, success, failure or error.
    #[schemars(schema_with = "text::line")]
    pub state: String,
    /// In a sentence.
    #[schemars(schema_with = "text::line")]
    pub message: String,
    /// Why it could not be told; it is tried again with the next reconcile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub error: Option<String>,
}

words! {
    /// What came of an approval.
    #[derive(Default)]
    ApprovalResult {
        /// There is no such plan, or not yet.
        #[default]
        Unknown = "Unknown",
        /// The plan waits for something else.
        Waiting = "Waiting",
        /// The plan was applied.
        Applied = "Applied",
        /// The plan is stale: nothing was written.
        Refused = "Refused",
    }
}

/// What came of an approval.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// The hash, as the annotation has it.
    #[schemars(schema_with = "text::line")]
    pub plan: String,
    /// What came of it.
    pub result: ApprovalResult,
    /// Who approved.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "text::line")]
    pub by: String,
    /// In a sentence.
    #[schemars(schema_with = "text::paragraph")]
    pub message: String,
}

/// What an environment holds, and what it does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Integrations carried.
    pub integrations: i32,
    /// Conflicts open.
    pub conflicts: i32,
    /// Integrations that are carried although the allowedIntegrations of a selective environment no longer names them.
    #[serde(default)]
    pub orphaned: i32,
    /// Integrations that are carried although they are gone from their sources: their annotation `sower.dev/prune` keeps them.
    #[serde(default)]
    pub prune_disabled: i32,
    /// Integrations that are not as the sources have them, because they were rolled back; `sower get quarantine`.
    #[serde(default)]
    pub quarantined: i32,
    /// Rollouts under way.
    #[serde(default)]
    pub rollouts: i32,
    /// Contents that wait for another environment.
    #[serde(default)]
    pub waiting: i32,
    /// Integrations that the filters keep out.
    pub excluded: i32,
    /// Manifests refused.
    pub invalid: i32,
}

/// Something that was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The integration, where its id could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub integration: Option<String>,
    /// What is wrong, in one word; `sower rule CODE` says more.
    #[schemars(schema_with = "text::line")]
    pub code: String,
    /// `file:line:column`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::link")]
    pub location: Option<String>,
    /// What is wrong, in a sentence.
    #[schemars(schema_with = "text::paragraph")]
    pub message: String,
    /// The version that the integration keeps; absent where it has no rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub keeps: Option<String>,
}
