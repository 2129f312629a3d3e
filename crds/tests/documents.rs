//! Documents as people write them: what the types hold of them, and what the schemas say of them.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sower_crds::{
    EnvironmentSpec, IntegrationSpec, editor_schema, environment_reference, environment_schema,
    integration_schema, manifest_reference,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn files(folder: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(root().join(folder))
        .unwrap_or_else(|e| panic!("{folder}: {e}"))
        .map(|entry| entry.expect("a readable folder").path())
        .map(|path| if path.is_dir() { path.join("integration.yaml") } else { path })
        .filter(|path| path.is_file() && path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    found.sort();
    found
}

/// The specs of every integration at hand, each with the whole document it stands in.
fn integrations() -> Vec<(PathBuf, Value, Value)> {
    let mut all = files("operator/core/testdata/cases");
    assert!(all.len() >= 18, "the cases are not all there");
    all.extend(files("integrations"));
    all.push(root().join("crds/testdata/acme.yaml"));
    all.push(root().join("crds/testdata/defaults.yaml"));
    all.into_iter()
        .map(|path| {
            let document = read(&path);
            let spec = document.get("spec").unwrap_or(&document).clone();
            (path, document, spec)
        })
        .collect()
}

fn environments() -> Vec<(PathBuf, Value, Value)> {
    let mut all = files("environments");
    all.push(root().join("crds/testdata/environment.yaml"));
    all.into_iter()
        .map(|path| {
            let document = read(&path);
            let spec = document["spec"].clone();
            (path, document, spec)
        })
        .collect()
}

fn problems(schema: &Value, value: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).expect("a sound schema");
    validator.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

/// What was written comes back, less the fields that hold their default; and a second time it is the same.
fn round_trip<T: Serialize + DeserializeOwned>(path: &Path, spec: &Value) -> Value {
    let typed: T = serde_json::from_value(spec.clone()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let canonical = serde_json::to_value(&typed).expect("plain data");
    let mut lost = Vec::new();
    subset("", &canonical, spec, &mut lost);
    assert_eq!(lost, [""; 0], "{}: not as written", path.display());
    let again: T = serde_json::from_value(canonical.clone()).expect("it was written from the type");
    assert_eq!(serde_json::to_value(&again).expect("plain data"), canonical, "{}", path.display());
    canonical
}

fn subset(at: &str, part: &Value, whole: &Value, lost: &mut Vec<String>) {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            for (key, value) in part {
                match whole.get(key) {
                    Some(other) => subset(&format!("{at}/{key}"), value, other, lost),
                    None => lost.push(format!("{at}/{key} was added")),
                }
            }
        }
        (Value::Array(part), Value::Array(whole)) if part.len() == whole.len() => {
            for (index, (one, other)) in part.iter().zip(whole).enumerate() {
                subset(&format!("{at}/{index}"), one, other, lost);
            }
        }
        _ if part == whole => {}
        _ => lost.push(format!("{at}: {part} is not {whole}")),
    }
}

/// What is missing from the canonical form may only be a default: with the defaults' own types that is nothing.
fn leaves(value: &Value) -> usize {
    match value {
        Value::Object(map) => map.values().map(leaves).sum(),
        Value::Array(list) => list.iter().map(leaves).sum(),
        _ => 1,
    }
}

#[test]
fn every_integration_fits_the_schema_and_comes_back() {
    let schema = integration_schema();
    for (path, _, spec) in integrations() {
        assert_eq!(problems(&schema, &spec), [""; 0], "{}", path.display());
        round_trip::<IntegrationSpec>(&path, &spec);
    }
}

#[test]
fn the_cases_lose_nothing_but_defaults() {
    // Written out in the cases although they are defaults: `method: GET` stays, these go.
    let defaults = [
        ("scope", "connection"),
        ("type", "text"),
        ("bodyFormat", "json"),
        ("encoding", "hex"),
        ("grant", "authorizationCode"),
    ];
    for (path, _, spec) in integrations() {
        if path.ends_with("defaults.yaml") {
            continue;
        }
        let canonical = round_trip::<IntegrationSpec>(&path, &spec);
        let mut dropped = Vec::new();
        missing(&spec, &canonical, &mut dropped);
        dropped.retain(|(key, value)| {
            !defaults.iter().any(|(k, v)| key == k && value == v)
                && !matches!((key.as_str(), value), ("required" | "deliver" | "pkce", Value::Bool(false)))
                && leaves(value) > 0
        });
        dropped.retain(|(key, value)| {
            !matches!(
                (key.as_str(), value.as_str()),
                ("stability", Some("stable"))
                    | ("lifecycle", Some("published"))
                    | ("effect", Some("write"))
                    | ("arrayFormat", Some("repeat"))
                    | ("order", Some("ascending"))
                    | ("responseFormat", Some("auto"))
            )
        });
        assert_eq!(dropped, [], "{}", path.display());
    }
}

fn missing(whole: &Value, part: &Value, dropped: &mut Vec<(String, Value)>) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (key, value) in whole {
                match part.get(key) {
                    Some(other) => missing(value, other, dropped),
                    None => dropped.push((key.clone(), value.clone())),
                }
            }
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.iter().zip(part).for_each(|(one, other)| missing(one, other, dropped));
        }
        _ => {}
    }
}

#[test]
fn defaults_are_left_out() {
    let folder = root().join("crds/testdata");
    let spec = read(&folder.join("defaults.yaml"));
    let canonical = round_trip::<IntegrationSpec>(&folder, &spec);
    assert_eq!(canonical, read(&folder.join("defaults.canonical.json")));
}

#[test]
fn an_empty_rate_limit_of_an_action_is_not_an_absent_one() {
    let spec = json!({ "name": "A", "version": "1.0.0", "actions": [{ "id": "a", "name": "A", "request": { "method": "GET" }, "rateLimit": [] }] });
    let canonical = round_trip::<IntegrationSpec>(Path::new("inline"), &spec);
    assert_eq!(canonical, spec);
}

#[test]
fn every_environment_fits_the_schema_and_comes_back() {
    let schema = environment_schema();
    for (path, _, spec) in environments() {
        assert_eq!(problems(&schema, &spec), [""; 0], "{}", path.display());
        round_trip::<EnvironmentSpec>(&path, &spec);
    }
    let written = read(&root().join("crds/testdata/environment.yaml"))["spec"].clone();
    assert_eq!(round_trip::<EnvironmentSpec>(Path::new("environment.yaml"), &written), written);
}

#[test]
fn the_examples_of_the_reference_fit() {
    let schema: Value = serde_json::from_str(&editor_schema()).expect("JSON");
    let mut examples = 0;
    for page in [manifest_reference(), environment_reference()] {
        for block in page.split("```yaml\n").skip(1) {
            let text = block.split("```").next().unwrap_or_default();
            let document: Value = serde_saphyr::from_str(text).expect("YAML");
            assert_eq!(problems(&schema, &document), [""; 0], "{text}");
            examples += 1;
        }
    }
    assert_eq!(examples, 2);
}

#[test]
fn an_environment_of_defaults_is_empty() {
    assert_eq!(serde_json::to_value(EnvironmentSpec::default()).expect("plain data"), json!({}));
    let read: EnvironmentSpec = serde_json::from_value(json!({})).expect("all has defaults");
    assert_eq!(read, EnvironmentSpec::default());
    let written = json!({
        "seedingStrategy": "full", "interval": "5m", "retryInterval": "1m", "timeout": "5m", "prune": true,
        "pruneLimit": "20%", "deletionPolicy": "Retain", "conflicts": { "version": "skip" }, "suspend": false,
    });
    let read: EnvironmentSpec =
        serde_json::from_value(written).expect("the defaults, as the API server writes them");
    assert_eq!(read, EnvironmentSpec::default());
}

#[test]
fn editors_take_every_document() {
    let schema: Value = serde_json::from_str(&editor_schema()).expect("JSON");
    for (path, document, _) in integrations().into_iter().chain(environments()) {
        if path.ends_with("defaults.yaml") {
            continue;
        }
        assert_eq!(problems(&schema, &document), [""; 0], "{}", path.display());
    }
    let old = json!({ "type": "acme", "name": "Acme", "events": [{ "eventType": "made" }] });
    assert_eq!(problems(&schema, &old), [""; 0]);
    let refused = [
        json!({ "id": "acme", "name": "Acme" }),
        json!({ "id": "acme", "name": "Acme", "version": "v1" }),
        json!({ "id": "acme", "name": "Acme", "version": "1.0.0", "action": [] }),
        json!({ "apiVersion": "sower.dev/v1alpha1", "kind": "Environment", "metadata": { "name": "a" }, "spec": { "prun": true } }),
    ];
    for document in refused {
        assert_ne!(problems(&schema, &document), [""; 0], "{document}");
    }
}

#[test]
fn unknown_fields_and_words_are_refused() {
    let schema = integration_schema();
    let base = json!({ "name": "A", "version": "1.0.0" });
    let table = [
        ("acton", json!([])),
        ("stability", json!("mature")),
        ("test", json!({ "request": { "method": "FETCH" } })),
        ("test", json!({ "request": { "path": "/" } })),
        ("test", json!({ "request": { "method": "GET", "query": 5 } })),
        ("oauth", json!({ "tokenURL": "https://a" })),
        ("webhooks", json!([{ "id": "a", "subscribe": { "request": [{ "methods": "GET" }] } }])),
        ("webhooks", json!([{ "id": "a", "signature": { "value": [1] } }])),
        ("actions", json!([{ "id": "a", "name": "A", "request": { "method": "GET" }, "cost": [] }])),
        ("headers", json!({ "X-Version": 2 })),
        ("description", json!(null)),
    ];
    for (field, value) in table {
        let mut spec = base.clone();
        spec[field] = value;
        assert_ne!(problems(&schema, &spec), [""; 0], "{spec}");
        if field != "description" {
            assert!(serde_json::from_value::<IntegrationSpec>(spec.clone()).is_err(), "{spec}");
        }
    }
}
