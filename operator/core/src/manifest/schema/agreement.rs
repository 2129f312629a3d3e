//! The check of schemas, held against the meta-schemas themselves.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::Schemas;
use crate::manifest::report::{Path, Sink};
use crate::manifest::tree::{Mark, Node};
use crate::problem::Code;

/// Whether our check finds no fault of form.
fn ours(schema: &Json) -> bool {
    let spec = Node::from_json(&json!({}), Mark::TOP, 8);
    let node = Node::from_json(schema, Mark::TOP, 64);
    let mut sink = Sink::new("x", "");
    Schemas::new(None, &spec, String::new(), 1 << 20).take(&node, &Path::ROOT, &mut sink);
    !sink.finish(None).iter().any(|p| p.code == Code::BadSchema)
}

/// Whether one of the two dialects that we take has it.
fn theirs(schema: &Json) -> bool {
    ["https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema#"].iter().any(
        |dialect| {
            let mut schema = schema.clone();
            schema.as_object_mut().is_none_or(|map| {
                map.insert("$schema".into(), (*dialect).into());
                true
            }) && jsonschema::meta::is_valid(&schema)
        },
    )
}

fn value() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Json::from),
        (-2_i32..3).prop_map(Json::from),
        Just(json!(0.5)),
        prop::sample::select(vec!["string", "object", "strin", "", "x"]).prop_map(Json::from),
        Just(json!([])),
        Just(json!({})),
        prop::collection::vec(prop::sample::select(vec!["string", "object", "x", "y"]), 1..3)
            .prop_map(|v| json!(v)),
        Just(json!([{}, true])),
        Just(json!({ "a": {} })),
        Just(json!({ "a": ["b"] })),
        Just(json!({ "a": 1 })),
        Just(json!([1, {}])),
    ]
}

fn schema() -> impl Strategy<Value = Json> {
    let keyword = prop::sample::select(vec![
        "type",
        "properties",
        "required",
        "items",
        "enum",
        "minLength",
        "maxItems",
        "minimum",
        "multipleOf",
        "allOf",
        "anyOf",
        "not",
        "if",
        "additionalProperties",
        "propertyNames",
        "title",
        "format",
        "uniqueItems",
        "readOnly",
        "const",
        "default",
        "examples",
        "definitions",
        "contains",
        "description",
        "unknown",
    ]);
    prop::collection::btree_map(keyword, value(), 0..3)
        .prop_map(|map| Json::Object(map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()))
}

proptest! {
    #[test]
    fn the_check_agrees_with_the_meta_schemas(outer in schema(), inner in schema(), wrap in 0..4) {
        let schema = match wrap {
            0 => outer,
            1 => json!({ "properties": { "p": outer }, "not": inner }),
            2 => json!({ "items": outer, "anyOf": [inner, true] }),
            _ => json!({ "additionalProperties": outer, "definitions": { "d": inner } }),
        };
        prop_assert_eq!(ours(&schema), theirs(&schema), "{}", schema);
    }
}
