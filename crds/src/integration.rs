//! The resource `Integration`: one app's manifest.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::{Action, ErrorRule, RateLimit};
use crate::case::Case;
use crate::connection::{Connection, ConnectionTest, CredentialField, OAuth2};
use crate::defaults::is_default;
use crate::request::ArrayFormat;
use crate::status;
use crate::text;
use crate::trigger::{Event, Trigger};
use crate::webhook::Webhook;
use crate::words::words;

words! {
    /// How far a manifest has matured.
    #[derive(Default)]
    Stability {
        /// For all.
        #[default]
        Stable = "stable",
        /// Behind the feature flag `betaFeatures`.
        Beta = "beta",
        /// Behind the feature flag `experimentalFeatures`.
        Experimental = "experimental",
    }
}

words! {
    /// Where a manifest stands in its life; the column `status`.
    #[derive(Default)]
    Lifecycle {
        /// Carried nowhere.
        Draft = "draft",
        /// Carried.
        #[default]
        Published = "published",
        /// Carried with a warning; `replacedBy` may name a successor.
        Deprecated = "deprecated",
    }
}

/// One app: what it can do, said in data, never in code.
#[allow(clippy::duplicated_attributes, reason = "each printer column says its type")]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "sower.dev",
    version = "v1alpha1",
    kind = "Integration",
    plural = "integrations",
    singular = "integration",
    shortname = "intg",
    category = "sower",
    namespaced,
    status = "IntegrationStatus",
    derive = "PartialEq",
    derive = "Default",
    schema = "disabled",
    doc = "One app's manifest in the cluster, for an Environment whose source selects it.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Environments", type_ = "integer", json_path = ".status.environmentCount"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("has(self.id) == has(oldSelf.id) && (!has(self.id) || self.id == oldSelf.id)", "id is immutable: delete the Integration and apply it anew under the other id"),
)]
pub struct IntegrationSpec {
    /// The catalog's key. Default: `metadata.name`. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::label")]
    pub id: Option<String>,
    /// Display name.
    #[schemars(schema_with = "text::title")]
    pub name: String,
    /// Semantic version 2.0. Content does not change under one version.
    #[schemars(schema_with = "text::version")]
    pub version: String,
    /// What the app is, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::paragraph")]
    pub description: Option<String>,
    /// What the app is, in Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::markdown")]
    pub long_description: Option<String>,
    /// Who wrote the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub author: Option<String>,
    /// URL of an icon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::link")]
    pub icon: Option<String>,
    /// URL of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::link")]
    pub homepage: Option<String>,
    /// URL of the manifest's repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::link")]
    pub repository: Option<String>,
    /// URL of the documentation of the app's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::link")]
    pub documentation: Option<String>,
    /// License of the manifest, as SPDX writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub license: Option<String>,
    /// For discovery.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "text::names")]
    pub category: Vec<String>,
    /// For discovery.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "text::names")]
    pub tags: Vec<String>,
    /// How far it has matured; gated by feature flags. Default stable.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stability: Stability,
    /// Where it stands in its life. Default published.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lifecycle: Lifecycle,
    /// The id of the integration to use instead of a deprecated one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::label")]
    pub replaced_by: Option<String>,
    /// The names of the environments that may carry it. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "text::environments")]
    pub environment: Vec<String>,
    /// The oldest Sower that may carry it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::version")]
    pub min_platform_version: Option<String>,
    /// What it may do: `network:HOST`, `data:read`, `data:write`, ... Where any `network:` is given, all of its hosts must be covered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "text::names")]
    pub permissions: Vec<String>,
    /// The integrations it needs beside it: `id` or `id@range`, with npm ranges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "text::dependencies")]
    pub dependencies: Vec<String>,
    /// What the paths of requests are appended to. Only https, unless the host is loopback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::url")]
    pub base_url: Option<String>,
    /// Other base URLs, which `request.base` names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text::urls")]
    pub base_urls: BTreeMap<String, String>,
    /// Headers of every request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text::expressions")]
    pub headers: BTreeMap<String, String>,
    /// How lists are written in queries and forms. Default repeat.
    #[serde(default, skip_serializing_if = "is_default")]
    pub array_format: ArrayFormat,
    /// Which answers are errors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub errors: Vec<ErrorRule>,
    /// The limits that the service sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 16))]
    pub rate_limit: Vec<RateLimit>,
    /// What a user has to give, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credential_schema: BTreeMap<String, CredentialField>,
    /// The ways to connect. The first is the default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    #[schemars(extend("maxItems" = 32))]
    pub connections: Vec<Connection>,
    /// Settings that `oauth2` connections without their own share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OAuth2>,
    /// The request that tells whether a connection works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<ConnectionTest>,
    /// What the service does when asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    #[schemars(extend("maxItems" = 500))]
    pub actions: Vec<Action>,
    /// What happens at the service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    #[schemars(extend("maxItems" = 500))]
    pub triggers: Vec<Trigger>,
    /// The types of events that the service sends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["eventType".into()]))]
    #[schemars(extend("maxItems" = 1000))]
    pub events: Vec<Event>,
    /// Where the service calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    #[schemars(extend("maxItems" = 64))]
    pub webhooks: Vec<Webhook>,
    /// JSON Schemas by name, for `#/schemas/NAME` where there are no files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text::schemas")]
    pub schemas: BTreeMap<String, Value>,
    /// Contract tests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 1000))]
    pub test_suite: Vec<Case>,
    /// Examples of payloads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 1000))]
    pub examples: Vec<Case>,
}

/// What Sower found about an Integration of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationStatus {
    /// Ready, and what stands in its way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "status::conditions")]
    pub conditions: Vec<Condition>,
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The version that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub version: Option<String>,
    /// How many environments carry it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_count: Option<i32>,
    /// The environments that carry it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(extend("maxItems" = 64))]
    pub environments: Vec<CarriedBy>,
}

/// An environment that carries an integration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CarriedBy {
    /// Name of the environment.
    #[schemars(schema_with = "text::name")]
    pub name: String,
    /// The version there.
    #[schemars(schema_with = "text::line")]
    pub version: String,
}
