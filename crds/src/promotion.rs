//! Promotion: what another environment has to show before something enters this one.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::defaults::is_default;
use crate::period::Period;
use crate::text;

/// An environment that has to be in a certain state before this one is seeded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DependsOn {
    /// Its name: an Environment of the same namespace, or of the same files.
    #[schemars(schema_with = "text::label")]
    pub name: String,
    /// A condition in CEL over its status, as `status`, such as `status.counts.conflicts == 0`. Absent: it is Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::cel")]
    pub expression: Option<String>,
}

/// A new content of an integration enters this environment only after it has been healthy in another.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Promotion {
    /// The other environment: an Environment of the same namespace, or of the same files.
    #[schemars(schema_with = "text::label")]
    pub from: String,
    /// How long it has to have been there, for everybody. Absent: no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<Period>,
    /// What its executions there have to show.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = {}))]
    pub minimum: PromotionMinimum,
    /// A range as npm has them: versions outside of it stay out. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub versions: Option<String>,
}

/// What the executions of an integration have to show.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PromotionMinimum {
    /// How many there have to have been since it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub executions: Option<u32>,
    /// The share of them that has to have succeeded, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::share")]
    pub success_rate: Option<f64>,
}
