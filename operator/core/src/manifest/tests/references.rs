//! What a manifest refers to, and what becomes of it when that changes.

use super::*;

const MANIFEST: &str =
    "id: acme\nname: Acme\nversion: 1.0.0\nevents:\n- { eventType: done, schemaPath: schemas/done.json }\n";

fn with(schema: Option<&str>) -> Memory {
    let mut files = vec![("acme/integration.yaml", MANIFEST)];
    files.extend(schema.map(|s| ("acme/schemas/done.json", s)));
    Memory::of(&files)
}

fn fresh(tree: &Memory) -> Vec<Found> {
    load("test", tree, Limits::FILES, &|_| None)
}

/// Loads with everything remembered that `before` found.
fn with_memory(tree: &Memory, before: &[Found]) -> Vec<Found> {
    load("test", tree, Limits::FILES, &|entry| {
        Some(before.iter().filter(|f| f.place.path == entry.path).cloned().collect())
    })
}

#[test]
fn a_changed_schema_makes_its_manifest_new() {
    let one = with(Some(r#"{ "type": "object" }"#));
    let two = with(Some(r#"{ "type": "array" }"#));
    let none = with(None);
    let first = fresh(&one);
    assert_eq!(first[0].references.len(), 1);
    assert_eq!(with_memory(&one, &first), first);
    let second = with_memory(&two, &first);
    assert_eq!(second, fresh(&two));
    assert_ne!(second[0].summary, first[0].summary);
    let third = with_memory(&none, &first);
    assert_eq!(third, fresh(&none));
    assert!(third[0].problems.iter().any(|p| p.code.as_str() == "unresolved-ref"));
    // A file that was missing and now is there makes it new, too.
    assert_eq!(third[0].references[0].blob, "");
    assert_eq!(with_memory(&one, &third), first);
}

#[test]
fn a_moved_folder_changes_no_checksum() {
    let at = |folder: &str| {
        let manifest = format!("{folder}integration.yaml");
        let schema = format!("{folder}schemas/done.json");
        let other = format!("{folder}schemas/other.json");
        let found = load_all(&[
            (manifest.as_str(), MANIFEST),
            (schema.as_str(), r#"{ "properties": { "o": { "$ref": "other.json#/properties/x" } } }"#),
            (other.as_str(), r#"{ "properties": { "x": true } }"#),
        ]);
        found[0].summary.as_ref().unwrap().checksum.clone()
    };
    assert_eq!(at("a/"), at("b/c/"));
    assert_eq!(at("a/"), at(""));
}

#[test]
fn the_order_of_keys_changes_no_checksum() {
    let found = |text: &str| load_all(&[("integration.yaml", text)])[0].summary.clone().unwrap().checksum;
    let one = "id: a\nname: A\nversion: 1.0.0\nschemas: { X: { type: object, properties: { a: { type: string }, b: {} } } }\n";
    let two = "schemas:\n  X:\n    properties: { b: {}, a: { type: \"string\" } }\n    type: object\nversion: \"1.0.0\"\nname: 'A'\nid: a\nactions: []\n";
    assert_eq!(found(one), found(two));
}

#[test]
fn a_resource_of_the_cluster_has_no_files_and_no_lines() {
    let spec = serde_json::json!({ "name": "A", "version": "1.0.0", "events": [
        { "eventType": "e", "schemaPath": "schemas/x.json" },
        { "eventType": "f", "schema": { "$ref": "#/schemas/X" } },
    ], "schemas": { "X": { "type": "object" } } });
    let found = load_value("cluster", super::resource("Integration/ns/acme", "acme", &spec), Limits::CLUSTER);
    assert_eq!(found.id.as_deref(), Some("acme"));
    let errors: Vec<_> = found
        .problems
        .iter()
        .filter(|p| p.is_error())
        .map(|p| (p.code.as_str(), p.location(), p.pointer.as_str()))
        .collect();
    assert_eq!(
        errors,
        [("unresolved-ref", "Integration/ns/acme:1:1".to_owned(), "/spec/events/0/schemaPath")]
    );
    let mut deep = serde_json::json!({});
    for _ in 0..100 {
        deep = serde_json::json!({ "items": deep });
    }
    let spec = serde_json::json!({ "name": "A", "version": "1.0.0", "description": "a\u{0}b", "schemas": { "X": deep } });
    let found = load_value("cluster", super::resource("Integration/ns/acme", "acme", &spec), Limits::CLUSTER);
    let errors: Vec<_> = found.problems.iter().filter(|p| p.is_error()).map(|p| p.code.as_str()).collect();
    assert_eq!(errors, ["encoding", "too-deep"]);
}

#[test]
fn resources_that_share_an_id_are_refused() {
    let spec = serde_json::json!({ "id": "acme", "name": "A", "version": "1.0.0" });
    let entry = |path, name| super::resource(path, name, &spec);
    let found = load_resources(
        "cluster",
        [entry("Integration/b/x", "x"), entry("Integration/a/y", "y")],
        Limits::CLUSTER,
    );
    assert!(found.iter().all(|f| !f.is_valid()));
    assert!(
        found[0]
            .problems
            .iter()
            .any(|p| p.message == "`acme` is the id of another manifest too: Integration/b/x")
    );
}
