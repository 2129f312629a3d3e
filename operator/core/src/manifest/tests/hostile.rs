//! Files that were made to hurt, or by mistake.

use proptest::prelude::*;

use super::*;

/// A case with some of its bytes replaced by others of the language.
fn mutated() -> impl Strategy<Value = String> {
    let cases = [
        include_str!("../../../testdata/cases/twilio.yaml"),
        include_str!("../../../testdata/cases/slack.yaml"),
        include_str!("../../../testdata/cases/mailchimp.yaml"),
        include_str!("../../../testdata/cases/google-sheets.yaml"),
        include_str!("../../../testdata/cases/shopify.yaml"),
    ];
    let piece = prop_oneof![
        Just("${"),
        Just("}"),
        Just("{"),
        Just("["),
        Just("]"),
        Just("\""),
        Just("'"),
        Just(": "),
        Just("- "),
        Just("null"),
        Just("&a "),
        Just("*a"),
        Just("<<: "),
        Just("\n"),
        Just("  "),
        Just("$ref: "),
        Just("#/schemas/"),
        Just("../"),
        Just("é"),
        Just("\u{1F600}"),
        Just("|"),
        Just("12"),
        Just("true"),
        Just("x-choices: "),
        Just("{x}"),
        Just("\\"),
    ];
    (0..cases.len(), prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, piece), 1..6))
        .prop_map(move |(case, edits)| {
            let mut text = cases[case].to_owned();
            for (at, remove, insert) in edits {
                let boundary = |text: &str, mut i: usize| {
                    while !text.is_char_boundary(i) {
                        i -= 1;
                    }
                    i
                };
                let from = boundary(&text, at.index(text.len()));
                let to = boundary(&text, (from + remove).min(text.len())).max(from);
                text.replace_range(from..to, insert);
            }
            text
        })
}

proptest! {
    #[test]
    fn a_mutated_manifest_is_told_and_never_panics(text in mutated()) {
        let found = load_all(&[("integration.yaml", text.as_str()), ("schemas/x.json", "{}")]);
        let lines = u32::try_from(text.lines().count()).unwrap();
        for found in found {
            prop_assert_eq!(found.is_valid(), !found.problems.iter().any(Problem::is_error), "{:?}", found.problems);
            for problem in &found.problems {
                prop_assert!((1..=lines + 1).contains(&problem.line) && problem.column > 0 && problem.length > 0);
                prop_assert!(!problem.message.is_empty() && !problem.message.ends_with('.') && !problem.message.contains('\n'));
            }
            if let Some(manifest) = &found.manifest {
                let value: serde_json::Value = serde_json::from_str(manifest).unwrap();
                prop_assert_eq!(canonical(&value), manifest.as_ref());
            }
        }
    }

    #[test]
    fn a_mutated_schema_is_told_and_never_panics(text in mutated()) {
        let schema = text.replace("request:", "properties:").replace("actions:", "allOf:").replace("body:", "$ref:");
        let manifest = "id: a\nname: A\nversion: 1.0.0\nevents:\n- { eventType: e, schemaPath: x.yaml }\n- { eventType: f, schema: { $ref: \"x.yaml#/allOf/0\" } }\n";
        load_all(&[("integration.yaml", manifest), ("x.yaml", schema.as_str())]);
    }
}

#[test]
fn schemas_that_refer_in_circles_are_bundled_once() {
    let manifest = "id: a\nname: A\nversion: 1.0.0\nevents:\n- { eventType: e, schemaPath: a.json }\n- { eventType: f, schema: { anyOf: [{ $ref: a.json }, { $ref: \"b.json#/properties/a\" }] } }\n- { eventType: g, schemaPath: c.json }\n";
    let found = load_all(&[
        ("x/integration.yaml", manifest),
        ("x/a.json", r#"{ "properties": { "b": { "$ref": "b.json" }, "self": { "$ref": "a.json" } } }"#),
        (
            "x/b.json",
            r##"{ "$id": "https://a.example/b.json", "properties": { "a": { "$ref": "./a.json#/properties/b" }, "self": { "$ref": "#" } } }"##,
        ),
        ("x/c.json", r#"{ "$ref": "d.json" }"#),
        ("x/d.json", r#"{ "$ref": "c.json" }"#),
    ]);
    let found = found.into_iter().find(|f| f.id.as_deref() == Some("a")).unwrap();
    assert!(found.is_valid(), "{:?}", found.problems);
    let value: serde_json::Value = serde_json::from_str(found.manifest.as_deref().unwrap()).unwrap();
    assert_eq!(
        value["events"][0].to_string(),
        r##"{"eventType":"e","schema":{"$defs":{"b.json":{"properties":{"a":{"$ref":"#/properties/b"},"self":{"$ref":"#/$defs/b.json"}}}},"properties":{"b":{"$ref":"#/$defs/b.json"},"self":{"$ref":"#"}}}}"##
    );
    assert_eq!(
        value["events"][1]["schema"]["anyOf"].to_string(),
        r##"[{"$ref":"#/$defs/a.json"},{"$ref":"#/$defs/b.json/properties/a"}]"##
    );
    let read: Vec<&str> = found.references.iter().map(|r| r.path.as_str()).collect();
    assert_eq!(read, ["x/a.json", "x/b.json", "x/c.json", "x/d.json"]);
}

#[test]
fn what_is_bundled_is_bounded() {
    let mut manifest = "id: a\nname: A\nversion: 1.0.0\nevents:\n".to_owned();
    for i in 0..500 {
        manifest.push_str(&format!("- {{ eventType: e{i}, schemaPath: big.json }}\n"));
    }
    let big = format!("{{ \"description\": \"{}\" }}", "x".repeat(1024 * 1024));
    let found = load_all(&[("integration.yaml", manifest.as_str()), ("big.json", big.as_str())]);
    let codes: Vec<&str> =
        found[0].problems.iter().filter(|p| p.is_error()).map(|p| p.code.as_str()).collect();
    assert!(codes.contains(&"too-large"), "{codes:?}");
    assert!(!found[0].is_valid());
}

#[test]
fn problems_of_a_schema_are_told_in_its_file() {
    let manifest = "id: a\nname: A\nversion: 1.0.0\nactions:\n- id: go\n  name: Go\n  request: { method: GET, url: \"https://a.example\" }\n  inputSchema: { $ref: schemas/in.json }\n";
    let schema = "{\n  \"properties\": {\n    \"é\": { \"type\": \"strin\",\n      \"x-choices\": { \"action\": \"go\", \"value\": \"${itm.id}\" } }\n  }\n}\n";
    let found = load_all(&[("a/integration.yaml", manifest), ("a/schemas/in.json", schema)]);
    let told: Vec<String> =
        found.iter().flat_map(|f| &f.problems).filter(|p| p.is_error()).map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("a/schemas/in.json:3:20: error[bad-schema]: JSON Schema has no type `strin`"),
        "{told:?}"
    );
    assert!(told[1].starts_with("a/schemas/in.json:4:50: error[unknown-name]"), "{told:?}");
}
