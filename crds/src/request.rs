//! Requests, and what they are made of.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::defaults::is_default;
use crate::text;
use crate::words::words;

words! {
    /// An HTTP method.
    #[derive(Default)]
    Method {
        /// Reads.
        #[default]
        Get = "GET",
        /// Creates or does.
        Post = "POST",
        /// Replaces.
        Put = "PUT",
        /// Changes in part.
        Patch = "PATCH",
        /// Deletes.
        Delete = "DELETE",
        /// Reads the headers only.
        Head = "HEAD",
        /// Asks what is allowed.
        Options = "OPTIONS",
    }
}

words! {
    /// How a body is written.
    #[derive(Default)]
    BodyFormat {
        /// `application/json`.
        #[default]
        Json = "json",
        /// `application/x-www-form-urlencoded`.
        Form = "form",
        /// `multipart/form-data`.
        Multipart = "multipart",
        /// A GraphQL query with its variables, as JSON.
        Graphql = "graphql",
        /// The text as it stands.
        Text = "text",
        /// The bytes of a file.
        Binary = "binary",
    }
}

words! {
    /// How a list is written in a query or a form.
    #[derive(Default)]
    ArrayFormat {
        /// `a=1&a=2`.
        #[default]
        Repeat = "repeat",
        /// `a[]=1&a[]=2`.
        Brackets = "brackets",
        /// `a[0]=1&a[1]=2`.
        Indices = "indices",
        /// `a=1,2`.
        Comma = "comma",
    }
}

words! {
    /// How an answer is read.
    #[derive(Default)]
    ResponseFormat {
        /// By its content type.
        #[default]
        Auto = "auto",
        /// As JSON.
        Json = "json",
        /// As text.
        Text = "text",
        /// As a file.
        Binary = "binary",
        /// One JSON document a line.
        Lines = "lines",
    }
}

/// One value, or a list of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// Several, in order.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// All of them, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// Parameters by name, or one expression that gives them all, such as `${rest}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Parameters {
    /// An expression that gives a map.
    Expression(String),
    /// Values by name; their texts may hold expressions.
    Map(BTreeMap<String, Value>),
}

impl JsonSchema for Parameters {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Parameters".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "x-sower": "expression" },
            { "type": "object", "x-sower": "template" },
        ] })
    }
}

/// A number, or an expression that gives one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    /// The number itself.
    Number(Number),
    /// An expression.
    Expression(String),
}

impl JsonSchema for Amount {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "number" }, { "type": "string", "x-sower": "expression" }] })
    }
}

/// One HTTP request. Inputs that it names nowhere join its query, its body or its variables.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// HTTP method.
    pub method: Method,
    /// Appended to the base URL. `{x}` is `${input.x}`, percent-encoded; `{+x}` keeps slashes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub path: Option<String>,
    /// The whole address, in place of base and path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::url")]
    pub url: Option<String>,
    /// The name of one of `baseUrls`, in place of `baseUrl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub base: Option<String>,
    /// Query parameters by name, or one expression that gives a map. Objects nest as `a[b]`; null drops the parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Parameters>,
    /// Headers by name, over those of the integration and the connection. Null drops the header.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text::expressions")]
    pub headers: BTreeMap<String, String>,
    /// How the body is written. Default json.
    #[serde(default, skip_serializing_if = "is_default")]
    pub body_format: BodyFormat,
    /// The body: any JSON, or one expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::template")]
    pub body: Option<Value>,
    /// The query and variables of `bodyFormat: graphql`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graphql: Option<Graphql>,
    /// How lists are written in queries and forms. Default: the integration's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array_format: Option<ArrayFormat>,
    /// How the answer is read. Default auto: by its content type.
    #[serde(default, skip_serializing_if = "is_default")]
    pub response_format: ResponseFormat,
}

/// A GraphQL document and its variables.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Graphql {
    /// The document, with one operation.
    #[schemars(schema_with = "text::markdown")]
    pub query: String,
    /// Variables by name, or one expression that gives a map. Inputs named nowhere join them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<Parameters>,
}
