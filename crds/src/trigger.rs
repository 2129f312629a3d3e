//! Triggers and events: what starts a scenario.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::{ErrorRule, Pagination};
use crate::defaults::is_default;
use crate::period::Period;
use crate::request::Request;
use crate::text;
use crate::words::words;

words! {
    /// How a trigger learns that something happened.
    TriggerType {
        /// The service calls.
        Webhook = "webhook",
        /// The service is asked, again and again.
        Polling = "polling",
    }
}

/// Something that happens at the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("self.type != 'polling' || has(self.polling)", "a trigger of type polling needs polling"),
    validation = ("self.type != 'webhook' || has(self.webhook)", "a trigger of type webhook needs webhook"),
)]
pub struct Trigger {
    /// Its id, unique in the integration.
    #[schemars(schema_with = "text::item")]
    pub id: String,
    /// Display name.
    #[schemars(schema_with = "text::title")]
    pub name: String,
    /// What happens, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::paragraph")]
    pub description: Option<String>,
    /// For discovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub category: Option<String>,
    /// The service calls, or is asked.
    #[serde(rename = "type")]
    pub kind: TriggerType,
    /// The event type that it listens for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub event: Option<String>,
    /// The id of the webhook it listens at. A polling trigger that names one also polls at each delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::item")]
    pub webhook: Option<String>,
    /// What is asked of `type: polling`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polling: Option<Polling>,
    /// The scopes it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "text::names")]
    pub scopes: Vec<String>,
    /// The ids of the connections it works with. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "text::items")]
    pub connections: Vec<String>,
    /// JSON Schema of its input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::schema")]
    pub input_schema: Option<Value>,
    /// JSON Schema of its output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::schema")]
    pub output_schema: Option<Value>,
    /// Which items it lets through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub when: Option<String>,
    /// A request for each item, whose answer `output` may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup: Option<Lookup>,
    /// What it gives. Default `${item}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub output: Option<String>,
}

/// A request for each item.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lookup {
    /// The request.
    pub request: Request,
}

words! {
    /// The order in which a service lists items.
    #[derive(Default)]
    Order {
        /// The oldest first.
        #[default]
        Ascending = "ascending",
        /// The newest first.
        Descending = "descending",
    }
}

/// How a service is asked for what is new. The first poll sets the cursor and emits nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Polling {
    /// The request.
    pub request: Request,
    /// How the next page is had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pagination: Option<Pagination>,
    /// Which answers are errors; looked at before those of the integration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub errors: Vec<ErrorRule>,
    /// The items of the answer. Default `${response.body}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub items: Option<String>,
    /// What makes an item the same as an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub key: Option<String>,
    /// What the next poll starts from: over `item` the largest, over `response` that of the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub cursor: Option<String>,
    /// The cursor of the first poll: an expression, or a request and an expression over its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<Initial>,
    /// How often. Default 5m, at least 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Period>,
    /// The order in which the service lists items. Default ascending.
    #[serde(default, skip_serializing_if = "is_default")]
    pub order: Order,
}

/// The cursor of the first poll.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Initial {
    /// An expression.
    Expression(#[schemars(schema_with = "text::expression")] String),
    /// A request, and an expression over its answer.
    Request(Box<InitialRequest>),
}

/// A request that gives the first cursor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InitialRequest {
    /// The request.
    pub request: Request,
    /// The cursor, over its answer.
    #[schemars(schema_with = "text::expression")]
    pub value: String,
}

/// A type of event that the service sends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("!has(self.schema) || !has(self.schemaPath)", "an event takes schema or schemaPath, not both"),
)]
pub struct Event {
    /// Its type, unique in the integration.
    #[schemars(schema_with = "text::title")]
    pub event_type: String,
    /// What happened, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::paragraph")]
    pub description: Option<String>,
    /// A file with the JSON Schema of its payload, from the manifest's folder; stored as `schema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::path")]
    pub schema_path: Option<String>,
    /// JSON Schema of its payload, in place of `schemaPath`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::schema")]
    pub schema: Option<Value>,
    /// The version of the payload's form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub version: Option<String>,
}
