//! The JSON Schema for editors: every document that Sower takes, in its envelope or plain.

use serde_json::{Map, Value, json};

use crate::API_VERSION;
use crate::integration::Lifecycle;
use crate::named::{self, Named, name_of};
use crate::period::{self, Period};
use crate::schema::each;
use crate::text::LABEL_PATTERN;

/// One JSON Schema (draft-07, which every editor reads) for both kinds in their envelope and for the plain form.
#[must_use]
pub fn editor_schema() -> String {
    let mut definitions = Map::new();
    for types in [named::of_manifest(), named::of_environment()] {
        for named in &types {
            definitions.insert(named.name.into(), for_editors(&named.schema, &types));
        }
    }
    let plain = plain_form(&definitions["Integration"]);
    definitions.insert("PlainIntegration".into(), plain);
    definitions.insert("IntegrationResource".into(), envelope("Integration"));
    definitions.insert("EnvironmentResource".into(), envelope("Environment"));
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Sower: Integration and Environment",
        "type": "object",
        "if": { "required": ["kind"], "properties": { "kind": { "const": "Environment" } } },
        "then": { "$ref": "#/definitions/EnvironmentResource" },
        "else": {
            "if": { "required": ["kind"], "properties": { "kind": { "const": "Integration" } } },
            "then": { "$ref": "#/definitions/IntegrationResource" },
            "else": { "$ref": "#/definitions/PlainIntegration" },
        },
        "definitions": definitions,
    });
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is plain data");
    text.push('\n');
    text
}

fn envelope(kind: &str) -> Value {
    json!({
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": false,
        "properties": {
            "apiVersion": { "type": "string", "const": API_VERSION },
            "kind": { "type": "string", "const": kind },
            "metadata": {
                "type": "object",
                "description": "Name, labels and annotations, as Kubernetes has them.",
                "required": ["name"],
                "properties": {
                    "name": { "type": "string", "pattern": LABEL_PATTERN, "description": "Its name." },
                    "namespace": { "type": "string", "description": "The namespace it is applied to." },
                    "labels": { "type": "object", "additionalProperties": { "type": "string" } },
                    "annotations": { "type": "object", "additionalProperties": { "type": "string" } },
                },
            },
            "spec": { "$ref": format!("#/definitions/{kind}") },
            "status": { "description": "Written by Sower." },
        },
    })
}

/// The fields of the spec at the top, with `status` for `lifecycle` and, in the older form, `type` for `id`.
fn plain_form(spec: &Value) -> Value {
    let mut schema = spec.clone();
    let lifecycles: Vec<&str> = Lifecycle::ALL.iter().map(|lifecycle| lifecycle.as_str()).collect();
    schema["properties"]["status"] =
        json!({ "type": "string", "enum": lifecycles, "description": "Another name of `lifecycle`." });
    schema["properties"]["type"] = json!({
        "type": "string",
        "pattern": LABEL_PATTERN,
        "description": "The id, in the older form of name, description, credentialSchema and events.",
    });
    if let Some(node) = schema.as_object_mut() {
        node.remove("required");
    }
    schema["anyOf"] = json!([{ "required": ["id", "name", "version"] }, { "required": ["type", "name"] }]);
    schema
}

/// Without what only Sower and Kubernetes read, and without the bounds, which are of the cluster.
fn for_editors(schema: &Value, types: &[Named]) -> Value {
    let mut schema = schema.clone();
    refer(&mut schema, types, true);
    each(&mut schema, &mut |node| {
        node.retain(|key, _| {
            !key.starts_with("x-")
                && !matches!(key.as_str(), "maxLength" | "maxItems" | "maxProperties" | "format")
        });
        if node.get("pattern").is_some_and(|p| p == period::PATTERN) {
            node.insert("examples".into(), json!([Period::new("30s"), Period::new("5m"), Period::new("1h")]));
        }
    });
    schema
}

/// Puts a reference in place of every schema that is a named type's, so that the file stays small.
fn refer(schema: &mut Value, types: &[Named], whole: bool) {
    if !whole && let Some(name) = name_of(types, schema) {
        // Beside a `$ref` draft-07 reads nothing, hence `allOf`.
        let mut reference = json!({ "allOf": [{ "$ref": format!("#/definitions/{name}") }] });
        for key in ["description", "default"] {
            if let Some(value) = schema.get(key) {
                reference[key] = value.clone();
            }
        }
        *schema = reference;
        return;
    }
    let Value::Object(node) = schema else { return };
    for (key, value) in node.iter_mut() {
        match (key.as_str(), value) {
            ("properties", Value::Object(map)) => {
                map.values_mut().for_each(|inner| refer(inner, types, false))
            }
            ("anyOf", Value::Array(list)) => list.iter_mut().for_each(|inner| refer(inner, types, false)),
            ("items" | "additionalProperties", inner) => refer(inner, types, false),
            _ => {}
        }
    }
}
