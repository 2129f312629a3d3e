//! Rollouts: how a new version of an integration reaches those who use it.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::defaults::is_default;
use crate::environment::SecretRef;
use crate::period::{self, Period};
use crate::text;
use crate::words::words;

words! {
    /// How a new version of an integration reaches its consumers.
    #[derive(Default)]
    StrategyType {
        /// Everybody gets it with the seeding that brings it.
        #[default]
        AllAtOnce = "AllAtOnce",
        /// A growing share of the consumers gets it, step by step.
        Staged = "Staged",
        /// Several versions are live side by side until a time comes; then everybody gets what the sources say.
        AB = "AB",
        /// Nobody gets it but those whom an override names, until somebody advances it.
        Manual = "Manual",
    }
}

words! {
    /// How an update changes a version.
    VersionChange {
        /// The third number, a pre-release or build metadata.
        Patch = "patch",
        /// The second number.
        Minor = "minor",
        /// The first number.
        Major = "major",
    }
}

words! {
    /// What is done where the time of a step is over and its analysis says neither good nor bad.
    #[derive(Default)]
    Inconclusive {
        /// It stays at its weight until the analysis says something, or the deadline comes.
        #[default]
        Wait = "Wait",
        /// It is paused until somebody resumes, advances or aborts it.
        Pause = "Pause",
        /// It is aborted.
        Abort = "Abort",
        /// It goes on as if all were well.
        Promote = "Promote",
    }
}

words! {
    /// Which of the live versions an override gives.
    #[derive(Default)]
    Live {
        /// The one that is being rolled out.
        #[default]
        Candidate = "candidate",
        /// The one that all had before.
        Stable = "stable",
    }
}

/// Which integrations roll out in which way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollout {
    /// The strategy where no rule says otherwise. Default AllAtOnce.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = {}))]
    pub default: Strategy,
    /// Strategies of some integrations or changes; the first that matches counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 16))]
    pub rules: Vec<RolloutRule>,
}

/// Declares a struct with the fields of a strategy, after some of its own; `kind` says how its type is written.
macro_rules! strategy {
    ($(#[$meta:meta])* $name:ident { $($own:tt)* } $(#[$kind:meta])* kind) => {
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        $(#[$meta])*
        #[x_kube(
            validation = ("!has(self.type) || self.type != 'Staged' || (has(self.steps) && self.steps.size() > 0)", "a Staged rollout has steps: such as {weight: 10, hold: 10m}"),
            validation = ("(has(self.type) && self.type == 'Staged') || !has(self.steps) || self.steps.size() == 0", "steps need type: Staged"),
            validation = ("(has(self.type) && self.type == 'AB') || ((!has(self.variants) || self.variants.size() == 0) && !has(self.until))", "variants and until need type: AB"),
            validation = ("(has(self.type) && self.type != 'AllAtOnce') || ((!has(self.overrides) || self.overrides.size() == 0) && !has(self.analysis))", "overrides and analysis need type: Staged, AB or Manual"),
            validation = ("!has(self.steps) || self.steps.map(step, step.weight).isSorted()", "the weight of a step is at least that of the step before"),
            validation = ("!has(self.variants) || self.variants.map(variant, has(variant.weight) ? variant.weight : 0.0).sum() <= 100.000001", "the weights of the variants are 100 percent at most"),
            validation = ("!has(self.variants) || self.variants.all(variant, !has(variant.version) || self.variants.exists_one(other, has(other.version) && other.version == variant.version))", "each variant is of another version"),
            validation = ("!has(self.type) || self.type != 'AB' || (has(self.variants) && self.variants.size() > 0 && has(self.until))", "an AB rollout has variants, and until when they are compared"),
        )]
        pub struct $name {
            $($own)*
            $(#[$kind])*
            pub kind: StrategyType,
            /// Of Staged: which share has the new version for how long. After the last step everybody gets it.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schemars(extend("maxItems" = 16))]
            pub steps: Vec<Step>,
            /// Of AB: the versions beside the stable one, and whose they are. Who is left has the stable version.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schemars(extend("maxItems" = 8))]
            pub variants: Vec<Variant>,
            /// Of AB: when the comparison ends: a duration after its start such as `72h`, or a time (RFC 3339).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "text::until")]
            pub until: Option<String>,
            /// Who gets a certain version whatever the share: the first that matches counts.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schemars(extend("maxItems" = 8))]
            pub overrides: Vec<Override>,
            /// What decides whether the new version is good. Absent: time alone.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub analysis: Option<Analysis>,
        }
    };
}

strategy! {
    /// How a new version reaches its consumers.
    Strategy {}
    /// How the new version reaches its consumers. Default AllAtOnce.
    #[serde(default, rename = "type", skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "AllAtOnce"))]
    kind
}

strategy! {
    /// A strategy of some integrations, or of some changes.
    #[x_kube(
        validation = ("!has(self.integrations) || self.integrations.size() > 0", "integrations must not be empty: leave it out for all of them"),
    )]
    RolloutRule {
        /// Patterns (`*`, `?`, `[a-z]`) over the ids that it is about. Absent: all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(schema_with = "text::globs", extend("minItems" = 1))]
        pub integrations: Option<Vec<String>>,
        /// The changes of the version that it is about. Absent: all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(extend("maxItems" = 3))]
        pub changes: Vec<VersionChange>,
    }
    /// How the new version reaches its consumers.
    #[serde(rename = "type")]
    kind
}

impl RolloutRule {
    /// The strategy that it gives.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        let Self { integrations: _, changes: _, kind, steps, variants, until, overrides, analysis } =
            self.clone();
        Strategy { kind, steps, variants, until, overrides, analysis }
    }
}

/// A step of a staged rollout.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// Percent of the consumers that have the new version, in hundredths at most.
    #[schemars(schema_with = "text::percent")]
    pub weight: f64,
    /// How long it lasts at least. Absent: the analysis alone says when it is over, or with none it is over at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (period::A_SECOND, "hold must be a duration of at least 1s, such as 10m or 1h"))]
    pub hold: Option<Period>,
    /// When its time is over, it waits until somebody resumes or advances it. Default false.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pause: bool,
    /// What decides in this step. Absent: the analysis of the strategy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
}

/// A version that is compared with others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("has(self.version) != has(self.range)", "a variant has a version or a range"),
    validation = ("has(self.match) || (has(self.weight) && self.weight > 0.0)", "nobody gets the variant: it needs a weight, or whom match names"),
)]
pub struct Variant {
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::version")]
    pub version: Option<String>,
    /// A range as npm has them: the highest version in it that the environment has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub range: Option<String>,
    /// Percent of the consumers that have it, in hundredths at most. Default 0.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(schema_with = "text::percent")]
    pub weight: f64,
    /// Who has it whatever the weight says.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<Match>,
}

/// In CEL: consumers are named, by key or by label.
const SOMEBODY: &str =
    "(has(self.keys) && self.keys.size() > 0) || (has(self.labels) && self.labels.size() > 0)";

/// Which consumers something is about: those of the keys, and those that have all the labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = (SOMEBODY, "match names nobody: it needs keys or labels"))]
pub struct Match {
    /// Keys of consumers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "text::keys")]
    pub keys: Vec<String>,
    /// Labels that a consumer has, all of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text::labels")]
    pub labels: BTreeMap<String, String>,
}

/// Consumers that get a certain version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = (SOMEBODY, "the override names nobody: it needs keys or labels"))]
pub struct Override {
    /// Keys of consumers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "text::keys")]
    pub keys: Vec<String>,
    /// Labels that a consumer has, all of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text::labels")]
    pub labels: BTreeMap<String, String>,
    /// What they get. Default candidate.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "candidate"))]
    pub version: Live,
}

/// What decides whether a new version is good: what its executions say, held against limits and against the stable version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("duration(self.deadline) > duration(self.interval)", "the deadline must be longer than the interval"),
    validation = ("has(self.expression) || !has(self.prometheus) || self.prometheus.all(query, has(query.min) || has(query.max))", "a query that no expression reads needs a limit: min or max"),
)]
pub struct Analysis {
    /// How often it looks. Default 1m.
    #[serde(default = "interval", skip_serializing_if = "is_interval")]
    #[schemars(extend("default" = "1m"))]
    #[x_kube(validation = (period::A_SECOND, "analysis.interval must be a duration of at least 1s, such as 30s or 1m"))]
    pub interval: Period,
    /// With fewer executions of the new version in a step, nothing is decided. Default 100.
    #[serde(default = "minimum_sample", skip_serializing_if = "is_minimum_sample")]
    #[schemars(range(min = 1, max = 1_000_000_000), extend("default" = 100))]
    pub minimum_sample: u32,
    /// How sure it has to be that a limit of successRate or errorRateDifference is missed, and not by chance: from 0.5 to
    /// below 1. Default 0.99.
    #[serde(default = "confidence", skip_serializing_if = "is_confidence")]
    #[schemars(schema_with = "text::confidence")]
    pub confidence: f64,
    /// The share of executions that succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<AtLeast>,
    /// By how much the share of executions that fail may be higher than that of the stable version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate_difference: Option<AtMost>,
    /// How much longer executions may take than those of the stable version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyLimit>,
    /// Questions to Prometheus servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(extend("maxItems" = 8))]
    pub prometheus: Vec<PrometheusQuery>,
    /// A condition in CEL over `candidate`, `stable` (`executions`, `errors`, `successRate`, `errorRate`, `latency`),
    /// `errorRateDifference`, `latencyRatio` and `prometheus` (by name): true is good, false is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::cel")]
    pub expression: Option<String>,
    /// What is done where the time of a step is over and the analysis says neither good nor bad. Default Wait.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "Wait"))]
    pub inconclusive: Inconclusive,
    /// How long the analysis may say nothing good once the time of a step is over, while nobody paused it. Then the rollout is
    /// aborted. Default 24h.
    #[serde(default = "deadline", skip_serializing_if = "is_deadline")]
    #[schemars(extend("default" = "24h"))]
    #[x_kube(validation = (period::A_SECOND, "deadline must be a duration of at least 1s, such as 2h or 24h"))]
    pub deadline: Period,
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            interval: interval(),
            minimum_sample: minimum_sample(),
            confidence: confidence(),
            success_rate: None,
            error_rate_difference: None,
            latency: None,
            prometheus: Vec::new(),
            expression: None,
            inconclusive: Inconclusive::default(),
            deadline: deadline(),
        }
    }
}

fn interval() -> Period {
    Period::new("1m")
}

fn is_interval(period: &Period) -> bool {
    *period == interval()
}

fn minimum_sample() -> u32 {
    100
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_minimum_sample(sample: &u32) -> bool {
    *sample == minimum_sample()
}

fn confidence() -> f64 {
    0.99
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
#[allow(clippy::float_cmp, reason = "the default is written as it is")]
fn is_confidence(value: &f64) -> bool {
    *value == confidence()
}

fn deadline() -> Period {
    Period::new("24h")
}

fn is_deadline(period: &Period) -> bool {
    *period == deadline()
}

/// A lower limit of a share.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AtLeast {
    /// From 0 to 1.
    #[schemars(schema_with = "text::share")]
    pub min: f64,
}

/// An upper limit of a share.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AtMost {
    /// From 0 to 1.
    #[schemars(schema_with = "text::share")]
    pub max: f64,
}

/// An upper limit of how much longer something takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LatencyLimit {
    /// Which quantile is compared: 0.95 is the time within which 95 of 100 executions end. Default 0.95.
    #[serde(default = "quantile", skip_serializing_if = "is_quantile")]
    #[schemars(schema_with = "text::quantile")]
    pub quantile: f64,
    /// How many times that of the stable version it may be.
    #[schemars(schema_with = "text::ratio")]
    pub max_ratio: f64,
}

impl Default for LatencyLimit {
    fn default() -> Self {
        Self { quantile: quantile(), max_ratio: 1.0 }
    }
}

fn quantile() -> f64 {
    0.95
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
#[allow(clippy::float_cmp, reason = "the default is written as it is")]
fn is_quantile(value: &f64) -> bool {
    *value == quantile()
}

/// A question to a Prometheus server, and the limits of its answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = ("!has(self.min) || !has(self.max) || self.min <= self.max", "min must be at most max"))]
pub struct PrometheusQuery {
    /// What it is called.
    #[schemars(schema_with = "text::label")]
    pub name: String,
    /// The address of the server, such as `http://prometheus.monitoring:9090`.
    #[schemars(schema_with = "text::link")]
    pub address: String,
    /// A query in PromQL whose answer is one number. `{{environment}}`, `{{integration}}`, `{{candidate}}` and `{{stable}}`
    /// stand for what is compared.
    #[schemars(schema_with = "text::paragraph", extend("minLength" = 1))]
    pub query: String,
    /// The Secret with what the server wants to see: `bearerToken`, or `username` and `password`; `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// A lower answer is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// A higher answer is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}
