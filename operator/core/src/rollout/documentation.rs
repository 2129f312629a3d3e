//! Whether an update changes anything but what a manifest says to people.

use serde_json::{Map, Value};

use crate::compare::{LISTS, MAPS};

/// Fields of a manifest that say something to people alone.
const MANIFEST: &[&str] = &[
    "version",
    "name",
    "description",
    "longDescription",
    "author",
    "icon",
    "homepage",
    "repository",
    "documentation",
    "license",
    "category",
    "tags",
    "examples",
    "testSuite",
];
/// The same, of its actions, triggers, connections and events.
const ITEM: &[&str] = &["name", "description"];
/// The same, of its credentials.
const CREDENTIAL: &[&str] = &["label", "description"];
/// The same, of a JSON Schema.
const SCHEMA: &[&str] = &["title", "description", "examples", "$comment"];
/// Keywords of a JSON Schema whose keys are the author's own.
const NAMED: &[&str] = &["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
/// Keywords of a JSON Schema that hold values, not schemas.
const VALUES: &[&str] = &["const", "enum", "default"];

/// Whether two manifests differ in nothing but what they say to people.
#[must_use]
pub fn only_documentation(from: &Value, to: &Value) -> bool {
    bare(from) == bare(to)
}

/// A manifest without what it says to people.
fn bare(manifest: &Value) -> Value {
    let Value::Object(fields) = manifest else { return manifest.clone() };
    let field = |(name, value): (&String, &Value)| {
        let value = match name.as_str() {
            "credentialSchema" => each(value, &|credential| without(credential, CREDENTIAL)),
            name if MAPS.iter().any(|(map, _)| *map == name) => each(value, &schema),
            name if LISTS.iter().any(|(list, ..)| *list == name) => each(value, &item),
            _ => value.clone(),
        };
        (name.clone(), value)
    };
    fields.iter().filter(|(name, _)| !MANIFEST.contains(&name.as_str())).map(field).collect()
}

/// An action, a trigger and the like.
fn item(value: &Value) -> Value {
    let Value::Object(fields) = without(value, ITEM) else { return value.clone() };
    let field = |(name, value): (String, Value)| {
        let value = if name == "schema" || name.ends_with("Schema") { schema(&value) } else { value };
        (name, value)
    };
    fields.into_iter().map(field).collect()
}

fn schema(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(schema).collect(),
        Value::Object(_) => {
            let Value::Object(fields) = without(value, SCHEMA) else { return value.clone() };
            let field = |(name, value): (String, Value)| {
                let value = match name.as_str() {
                    name if NAMED.contains(&name) => each(&value, &schema),
                    name if VALUES.contains(&name) => value,
                    _ => schema(&value),
                };
                (name, value)
            };
            fields.into_iter().map(field).collect()
        }
        scalar => scalar.clone(),
    }
}

/// Every item of a list, or every entry of a map.
fn each(value: &Value, of: &dyn Fn(&Value) -> Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(of).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), of(value))).collect(),
        scalar => scalar.clone(),
    }
}

fn without(value: &Value, said: &[&str]) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    let left: Map<String, Value> = fields
        .iter()
        .filter(|(name, _)| !said.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Value::Object(left)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_said_to_people_is_told_from_what_is_done() {
        let manifest = |description: &str, body: &str, title: &str, property: &str| {
            json!({
                "id": "stripe", "version": "1.0.0", "description": description,
                "credentialSchema": { "token": { "type": "string", "description": description } },
                "schemas": { "payout": { "type": "object", "description": description } },
                "actions": [{
                    "id": "a", "description": description,
                    "request": { "body": { "description": body } },
                    "inputSchema": { "title": title, "properties": { property: { "description": description }, "x": {
                        "enum": [{ "title": "a" }] } } },
                }],
            })
        };
        let was = manifest("a", "b", "c", "title");
        assert!(only_documentation(&was, &manifest("other", "b", "other", "title")));
        assert!(
            !only_documentation(&was, &manifest("a", "other", "c", "title")),
            "a request's body is no text"
        );
        assert!(!only_documentation(&was, &manifest("a", "b", "c", "description")), "a property is no text");
        let mut values = was.clone();
        values["actions"][0]["inputSchema"]["properties"]["x"]["enum"][0]["title"] = json!("b");
        assert!(!only_documentation(&was, &values), "a value is no text");
    }
}
