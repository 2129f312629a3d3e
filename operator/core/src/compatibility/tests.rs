use proptest::prelude::*;
use serde_json::json;

use super::*;

fn action(input: Value, output: Value) -> Value {
    json!({"id": "pay", "version": "1.0.0", "actions": [{
        "id": "charge", "name": "Charge", "scopes": ["charges"], "inputSchema": input, "outputSchema": output,
    }]})
}

fn told(from: &Value, to: &Value) -> Vec<String> {
    let line = |judged: &Judged| {
        let Judged { change, compatibility, why } = judged;
        let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        format!("{} {}{why}", change.path(), compatibility.as_str())
    };
    judge(from, to).iter().map(line).collect()
}

/// What becomes of one schema, as input and as output.
fn both(from: Value, to: Value) -> [String; 2] {
    let one = |direction: Direction| match direction.verdict(&from, &to) {
        Ok(compatibility) => compatibility.as_str().to_owned(),
        Err(why) => why,
    };
    [one(Direction::Input), one(Direction::Output)]
}

#[test]
fn a_schema_is_judged_by_which_way_values_go() {
    let object = |properties: Value, required: &[&str]| json!({"type": "object", "properties": properties, "required": required});
    let text = json!({"type": "string"});
    let one = object(json!({"a": text}), &[]);
    for (from, to, expected) in [
        (
            one.clone(),
            object(json!({"a": {"type": "string", "title": "A"}}), &[]),
            ["documentation only", "documentation only"],
        ),
        (one.clone(), object(json!({"a": text, "b": text}), &[]), ["compatible", "compatible"]),
        (one.clone(), object(json!({}), &[]), ["input /a is removed", "output /a is removed"]),
        (one.clone(), object(json!({"a": text}), &["a"]), ["input /a is now required", "compatible"]),
        (object(json!({"a": text}), &["a"]), one.clone(), ["compatible", "output /a may now be missing"]),
        (
            object(json!({"a": {"type": "integer", "minimum": 1}}), &[]),
            object(json!({"a": {"type": "number"}}), &[]),
            ["compatible", "output /a is changed (minimum)"],
        ),
        (
            object(json!({"a": {"enum": ["x", "y"]}}), &[]),
            object(json!({"a": {"enum": ["x", "y", "z"]}}), &[]),
            ["compatible", "output /a is changed (enum)"],
        ),
        (
            object(json!({"a": {"oneOf": [{"const": "x", "title": "X"}]}}), &[]),
            object(json!({"a": {"enum": ["x", "y"]}}), &[]),
            ["compatible", "output /a is changed (oneOf)"],
        ),
        (
            object(json!({"a": {"type": "array", "items": text}}), &[]),
            object(json!({"a": {"type": "array", "items": {"type": ["string", "null"]}}}), &[]),
            ["compatible", "output /a/* is changed (type)"],
        ),
        (
            json!({"$ref": "#/$defs/n", "$defs": {"n": object(json!({"next": {"$ref": "#/$defs/n"}, "v": text}), &[])}}),
            json!({"$ref": "#/$defs/m", "$defs": {"m": object(json!({"next": {"$ref": "#/$defs/m"}, "v": text}), &[])}}),
            ["compatible", "compatible"],
        ),
        (
            json!({"not": {"$ref": "#/$defs/n"}, "$defs": {"n": {"const": 1}}}),
            json!({"not": {"$ref": "#/$defs/n"}, "$defs": {"n": {"const": 2}}}),
            ["input / is narrowed (not)", "output / is changed (not)"],
        ),
        (
            json!({"type": "object", "properties": {}}),
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}),
            ["input /a is now required", "compatible"],
        ),
        (json!({}), json!({"type": "object"}), ["input / is narrowed (type)", "compatible"]),
        (
            json!({"anyOf": [{"properties": {"a": {"type": "integer"}}}, {"type": "string"}]}),
            json!({"properties": {"a": {"type": "string"}}}),
            ["input /a is narrowed (properties)", "output / is changed (anyOf)"],
        ),
        (
            json!({"properties": {"a": {"$ref": "#/definitions/n"}}, "definitions": {"n": {"type": "integer"}}}),
            json!({"properties": {"a": {"$ref": "#/definitions/n"}}, "definitions": {"n": {"type": "string"}}}),
            ["input /a is narrowed (type)", "output /a is changed (type)"],
        ),
        (
            json!({"not": {"$ref": "#/$defs/title"}, "$defs": {"title": {"const": 1}}}),
            json!({"not": {"$ref": "#/$defs/title"}, "$defs": {"title": {"const": 2}}}),
            ["input / is narrowed (not)", "output / is changed (not)"],
        ),
        (
            json!({"type": "object", "additionalProperties": false, "properties": {"a": text}}),
            json!({"type": "object", "additionalProperties": false, "properties": {"a": text, "b": text}}),
            ["compatible", "compatible"],
        ),
    ] {
        assert_eq!(both(from.clone(), to.clone()), expected, "{from} -> {to}");
    }
}

#[test]
fn the_parts_of_a_manifest_are_judged() {
    let (text, none) = (json!({"type": "object", "properties": {"a": {"type": "string"}}}), json!({}));
    let from = action(text.clone(), none.clone());
    let mut to = from.clone();
    to["actions"][0]["description"] = "Charges a card.".into();
    to["actions"][0]["scopes"] = json!(["charges", "refunds"]);
    to["credentialSchema"] = json!({"key": {"type": "password", "required": true}, "note": {"type": "text"}});
    to["actions"].as_array_mut().unwrap().push(json!({"id": "refund"}));
    assert_eq!(
        told(&from, &to),
        [
            "/credentialSchema/key breaking: credential key is now required",
            "/credentialSchema/note compatible",
            "/actions/refund compatible",
            "/actions/charge/description documentation only",
            "/actions/charge/scopes breaking: refunds is asked for",
        ]
    );
    assert_eq!(
        told(&to, &from).last().map(String::as_str),
        Some("/actions/refund breaking: action refund is removed")
    );
    assert_eq!(worst(&judge(&from, &to)), Some(Compatibility::Breaking));
    assert_eq!(worst(&judge(&from, &from)), None);
}

#[test]
fn a_breaking_change_needs_a_major_version() {
    let says =
        |from: &str, to: &str| says_so(&from.parse().unwrap(), &to.parse().unwrap(), Compatibility::Breaking);
    assert!(says("1.4.0", "2.0.0") && says("0.3.1", "0.4.0") && says("0.9.0", "1.0.0"));
    assert!(!says("1.4.0", "1.5.0") && !says("0.3.1", "0.3.2") && !says("1.0.0", "1.0.0"));
    assert!(says_so(&Version::new(1, 0, 0), &Version::new(1, 0, 1), Compatibility::Compatible));
}

/// Small schemas, whose keywords meet often.
fn schema() -> impl Strategy<Value = Value> {
    let number = (0..4i64).prop_map(Value::from);
    let leaf = prop_oneof![
        Just(json!({})),
        Just(json!(true)),
        Just(json!(false)),
        prop::sample::subsequence(
            vec!["string", "integer", "number", "null", "object", "array", "boolean"],
            1..4
        )
        .prop_map(|types| json!({"type": types})),
        (
            number.clone(),
            prop::sample::select(vec!["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"])
        )
            .prop_map(|(n, keyword)| json!({keyword: n})),
        (
            number.clone(),
            prop::sample::select(vec![
                "minLength",
                "maxLength",
                "minItems",
                "maxItems",
                "minProperties",
                "maxProperties"
            ])
        )
            .prop_map(|(n, keyword)| json!({keyword: n})),
        prop::sample::subsequence(
            vec![json!("a"), json!(1), json!(1.0), json!(2.5), json!(null), json!({})],
            1..4
        )
        .prop_map(|values| json!({"enum": values})),
        (1..4u64).prop_map(|n| json!({"multipleOf": n})),
        Just(json!({"uniqueItems": true})),
        Just(json!({"pattern": "^a"})),
    ];
    leaf.prop_recursive(3, 24, 3, |inner| {
        let named = prop::collection::btree_map(prop::sample::select(vec!["a", "b"]), inner.clone(), 0..3);
        let list = prop::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            (named, prop::sample::subsequence(vec!["a", "b"], 0..2), prop::option::of(inner.clone()))
                .prop_map(|(properties, required, rest)| {
                    let mut schema = json!({"properties": properties, "required": required});
                    if let Some(rest) = rest {
                        schema["additionalProperties"] = rest;
                    }
                    schema
                }),
            inner.clone().prop_map(|items| json!({"items": items})),
            inner.clone().prop_map(|part| json!({"not": part})),
            inner.clone().prop_map(|part| json!({"patternProperties": {"^a": part}})),
            list.clone().prop_map(|parts| json!({"prefixItems": parts})),
            (list.clone(), prop::sample::select(vec!["allOf", "anyOf", "oneOf"]))
                .prop_map(|(parts, keyword)| json!({keyword: parts})),
            (inner.clone(), inner).prop_map(|(a, b)| match (a, b) {
                (Value::Object(mut a), Value::Object(b)) => {
                    a.extend(b);
                    Value::Object(a)
                }
                (a, _) => a,
            }),
        ]
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-1..5i64).prop_map(Value::from),
        prop::sample::select(vec![json!(1.0), json!(2.5), json!(0.5)]),
        prop::sample::select(vec!["", "a", "ab", "b"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(vec!["a", "b", "ab"]), inner, 0..3)
                .prop_map(|map| json!(map)),
        ]
    })
}

/// One schema, and another that is it with something more or less, or none of its kind.
fn pair() -> impl Strategy<Value = (Value, Value)> {
    let narrower = (schema(), schema()).prop_map(|(a, b)| (a.clone(), json!({"allOf": [a, b]})));
    let choice = (schema(), schema()).prop_map(|(a, b)| (json!({"anyOf": [a.clone(), b]}), a));
    let inside = (schema(), schema(), schema()).prop_map(|(a, b, c)| {
        let with = |part: Value| json!({"type": "object", "properties": {"a": part, "b": b.clone()}});
        (with(json!({"anyOf": [a.clone(), c]})), with(a))
    });
    let referring = (schema(), schema()).prop_map(|(a, b)| {
        let node = |part: Value| json!({"properties": {"a": {"$ref": "#/$defs/n"}, "b": part}});
        let rooted = |part| json!({"$ref": "#/$defs/n", "$defs": {"n": node(part)}});
        (rooted(json!({"anyOf": [a.clone(), b]})), rooted(a))
    });
    let conditional = (schema(), schema(), schema()).prop_map(|(a, b, c)| {
        let with = |then: Value| json!({"if": a, "then": then, "else": c});
        (with(json!({"anyOf": [b, true]})), with(b.clone()))
    });
    prop_oneof![(schema(), schema()), narrower, choice, inside, referring, conditional]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1000), max_global_rejects: 100_000, ..ProptestConfig::default() })]

    /// What is called compatible accepts all that the old one accepted, of what was offered.
    #[test]
    fn what_is_proved_of_an_input_holds((outer, inner) in pair(), values in prop::collection::vec(value(), 40)) {
        // Exactly one holds: what closes a branch lets another in.
        prop_assume!(!inner.to_string().contains("oneOf"));
        if accepts(&outer, &inner, Unnamed::Never).is_ok() {
            holds(&outer, &closed(&inner), &values)?;
        }
    }

    /// What is called compatible gives nothing that the old one did not, but for what nobody knew of.
    #[test]
    fn what_is_proved_of_an_output_holds((outer, inner) in pair(), values in prop::collection::vec(value(), 40)) {
        prop_assume!(!outer.to_string().contains("oneOf"));
        if accepts(&outer, &inner, Unnamed::Welcome).is_ok() {
            holds(&opened(&outer), &inner, &values)?;
        }
    }

    /// A proof is found for everything that is nothing but narrower.
    #[test]
    fn a_schema_accepts_itself(schema in schema()) {
        prop_assert_eq!(accepts(&schema, &schema, Unnamed::Never), Ok(()));
        prop_assert_eq!(accepts(&schema, &schema, Unnamed::Welcome), Ok(()));
    }
}

/// Whatever fits the inner schema fits the outer one.
fn holds(outer: &Value, inner: &Value, values: &[Value]) -> Result<(), TestCaseError> {
    let validator = |schema: &Value| jsonschema::draft202012::new(schema).unwrap();
    let (outer_validator, inner_validator) = (validator(outer), validator(inner));
    for value in values {
        let fits = !inner_validator.is_valid(value) || outer_validator.is_valid(value);
        prop_assert!(fits, "{value} fits {inner} and not {outer}");
    }
    Ok(())
}

/// The schema of a value, which holds nothing that it does not name; so do the values in it.
fn closed(schema: &Value) -> Value {
    let mut closed = match inside(schema) {
        Value::Bool(true) => json!({}),
        other => other,
    };
    if let Some(keywords) = closed.as_object_mut() {
        keywords.insert("unevaluatedProperties".into(), false.into());
    }
    closed
}

/// A part of the schema of a value, with the values in it closed.
fn inside(schema: &Value) -> Value {
    let Value::Object(keywords) = schema else { return schema.clone() };
    let parts = keywords.iter().map(|(keyword, value)| {
        let value = match (keyword.as_str(), value) {
            ("properties" | "patternProperties", Value::Object(parts)) => {
                parts.iter().map(|(name, part)| (name.clone(), closed(part))).collect()
            }
            ("items" | "additionalProperties", part) => closed(part),
            ("prefixItems", Value::Array(parts)) => parts.iter().map(closed).collect(),
            ("allOf" | "anyOf", Value::Array(parts)) => parts.iter().map(inside).collect(),
            ("then" | "else", part) => inside(part),
            ("$defs", Value::Object(parts)) => {
                parts.iter().map(|(name, part)| (name.clone(), inside(part))).collect()
            }
            (_, value) => value.clone(),
        };
        (keyword.clone(), value)
    });
    Value::Object(parts.collect())
}

/// The schema, and anything that it does not name.
fn opened(schema: &Value) -> Value {
    match schema {
        Value::Array(parts) => parts.iter().map(opened).collect(),
        Value::Object(keywords) => {
            let parts = keywords.iter().filter(|(keyword, _)| *keyword != "additionalProperties");
            let parts = parts.map(|(keyword, value)| {
                let value = match (keyword.as_str(), value) {
                    ("properties" | "patternProperties" | "$defs", Value::Object(parts)) => {
                        parts.iter().map(|(name, part)| (name.clone(), opened(part))).collect()
                    }
                    // Less here is more there.
                    ("enum" | "const" | "required" | "type" | "not" | "if", value) => value.clone(),
                    (_, part) => opened(part),
                };
                (keyword.clone(), value)
            });
            Value::Object(parts.collect())
        }
        other => other.clone(),
    }
}
