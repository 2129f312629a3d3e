//! Cases: the examples and contract tests of a manifest.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::request::Method;
use crate::text;

/// An example or a contract test: what goes in, what the service answers, what comes out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("has(self.action) != has(self.trigger)", "a case takes exactly one of action and trigger"),
)]
pub struct Case {
    /// What it shows.
    #[schemars(schema_with = "text::title")]
    pub name: String,
    /// The id of an action; this or `trigger`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::item")]
    pub action: Option<String>,
    /// The id of a trigger; this or `action`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::item")]
    pub trigger: Option<String>,
    /// The input of the action or the trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::any")]
    pub input: Option<Value>,
    /// What the trigger receives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::any")]
    pub event: Option<Value>,
    /// What the service answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<CaseResponse>,
    /// What must come of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<CaseExpectation>,
}

/// The answer of a service in a case.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaseResponse {
    /// HTTP status. Default 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 599))]
    pub status: Option<u16>,
    /// Headers by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text::lines")]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::any")]
    pub body: Option<Value>,
}

/// What must come of a case.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaseExpectation {
    /// The request that must be sent; what is not named may be anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<ExpectedRequest>,
    /// The output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::any")]
    pub output: Option<Value>,
}

/// A request that must be sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectedRequest {
    /// HTTP method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// The path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::link")]
    pub path: Option<String>,
    /// The whole address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::link")]
    pub url: Option<String>,
    /// Query parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text::object")]
    pub query: BTreeMap<String, Value>,
    /// Headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text::lines")]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::any")]
    pub body: Option<Value>,
    /// The variables, and where it matters the query, of a GraphQL request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::object")]
    pub graphql: Option<Value>,
}
