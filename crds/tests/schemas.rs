//! What holds of every schema that is generated.

use serde_json::Value;
use sower_crds::{environment_crd, environment_schema, integration_crd, integration_schema};

/// Visits every schema with its path.
fn walk(at: &str, schema: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    visit(at, schema);
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        properties.iter().for_each(|(name, inner)| walk(&format!("{at}.{name}"), inner, visit));
    }
    if let Some(inner) = schema.get("items") {
        walk(&format!("{at}[]"), inner, visit);
    }
    if let Some(inner) = schema.get("additionalProperties").filter(|inner| inner.is_object()) {
        walk(&format!("{at}{{}}"), inner, visit);
    }
    for (number, inner) in schema.get("anyOf").and_then(Value::as_array).into_iter().flatten().enumerate() {
        walk(&format!("{at}|{number}"), inner, visit);
    }
}

fn definitions() -> Vec<(&'static str, Value)> {
    [("Integration", integration_crd()), ("Environment", environment_crd())]
        .map(|(name, crd)| {
            let schema = &crd.spec.versions[0].schema.as_ref().expect("a schema").open_api_v3_schema;
            (name, serde_json::to_value(schema).expect("plain data"))
        })
        .to_vec()
}

fn free(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == true
}

#[test]
fn every_size_is_bounded() {
    for (name, schema) in definitions() {
        walk(name, &schema, &mut |at, node| match node["type"].as_str() {
            Some("string") => {
                assert!(node.get("maxLength").is_some() || node.get("enum").is_some(), "{at}: maxLength");
            }
            Some("array") => assert!(node.get("maxItems").is_some(), "{at}: maxItems"),
            Some("object") => {
                assert!(
                    node.get("properties").is_some() || node.get("maxProperties").is_some(),
                    "{at}: maxProperties"
                );
            }
            Some("integer" | "number" | "boolean") => {}
            Some(other) => panic!("{at}: {other}"),
            None if node["x-kubernetes-int-or-string"] == true => {
                assert!(node.get("maxLength").is_some() && node.get("maximum").is_some(), "{at}: bounds");
            }
            None => assert!(free(node), "{at}: no type"),
        });
    }
}

#[test]
fn free_objects_have_one_owner() {
    for (name, schema) in definitions() {
        walk(name, &schema, &mut |at, node| {
            if free(node) && node["type"] == "object" {
                assert_eq!(node["x-kubernetes-map-type"], "atomic", "{at}");
            }
        });
    }
}

#[test]
fn definitions_are_structural() {
    for (name, schema) in definitions() {
        walk(name, &schema, &mut |at, node| {
            for key in ["anyOf", "oneOf", "allOf", "$ref", "const", "x-sower", "title"] {
                assert!(node.get(key).is_none(), "{at}: {key}");
            }
            assert_ne!(node.get("additionalProperties"), Some(&Value::Bool(false)), "{at}: closed");
        });
    }
}

#[test]
fn lists_with_ids_are_unique_by_them() {
    let expected = [
        ("Integration.spec.actions", "id"),
        ("Integration.spec.triggers", "id"),
        ("Integration.spec.connections", "id"),
        ("Integration.spec.webhooks", "id"),
        ("Integration.spec.events", "eventType"),
        ("Integration.status.conditions", "type"),
        ("Environment.spec.sources", "name"),
        ("Environment.status.sources", "name"),
        ("Environment.status.conditions", "type"),
    ];
    let mut found = Vec::new();
    for (name, schema) in definitions() {
        walk(name, &schema, &mut |at, node| {
            if let Some(keys) = node.get("x-kubernetes-list-map-keys") {
                assert_eq!(node["x-kubernetes-list-type"], "map", "{at}");
                found.push((at.to_owned(), keys[0].as_str().unwrap_or_default().to_owned()));
            }
        });
    }
    for (at, key) in expected {
        assert!(found.contains(&(at.to_owned(), key.to_owned())), "{at} by {key}");
    }
}

#[test]
fn every_field_says_what_it_is() {
    for (name, schema) in definitions() {
        walk(name, &schema, &mut |at, node| {
            for (field, inner) in node["properties"].as_object().into_iter().flatten() {
                assert!(inner["description"].as_str().is_some_and(|d| d.len() > 5), "{at}.{field}");
            }
        });
    }
}

#[test]
fn plain_schemas_are_closed_and_inlined() {
    for (name, schema) in [("Integration", integration_schema()), ("Environment", environment_schema())] {
        walk(name, &schema, &mut |at, node| {
            for key in ["oneOf", "allOf", "$ref", "$defs", "const", "title"] {
                assert!(node.get(key).is_none(), "{at}: {key}");
            }
            if node.get("properties").is_some() {
                assert_eq!(node["additionalProperties"], false, "{at}");
            }
            assert!(!node["type"].is_array(), "{at}: {}", node["type"]);
            assert!(
                node.get("type").is_some() || node.get("anyOf").is_some() || node.get("x-sower").is_some(),
                "{at}"
            );
        });
    }
}

#[test]
fn columns_are_in_order_with_the_status_last() {
    let columns = |crd: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition| {
        let columns = crd.spec.versions.into_iter().next().and_then(|v| v.additional_printer_columns);
        columns.unwrap_or_default().into_iter().map(|column| column.name).collect::<Vec<_>>()
    };
    assert_eq!(
        columns(environment_crd()),
        ["Ready", "Revision", "Integrations", "Conflicts", "Rollouts", "Age", "Status"]
    );
    assert_eq!(columns(integration_crd()), ["Ready", "Version", "Environments", "Age", "Status"]);
}
