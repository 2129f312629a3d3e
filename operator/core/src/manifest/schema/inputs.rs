//! The properties that an inputSchema names.

use std::collections::BTreeSet;

use serde_json::Value as Json;

/// What a schema says of the properties of its object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Inputs {
    /// The properties it names.
    pub(crate) names: BTreeSet<String>,
    /// Whether it says that there may be others.
    pub(crate) open: bool,
}

/// How many schemas may be gone through: a hostile one could refer to itself a million times.
const MOST: usize = 10_000;

/// Gathers what a bundled schema names: in `properties` and `required`, also through `$ref` and the schemas it is put
/// together from.
pub(crate) fn inputs(schema: &Json) -> Inputs {
    let mut gathered = Inputs::default();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut waiting = vec![schema];
    let mut left = MOST;
    while let Some(node) = waiting.pop() {
        left -= 1;
        if left == 0 || *node == Json::Bool(true) {
            gathered.open = true;
            return gathered;
        }
        let Some(map) = node.as_object() else { continue };
        gathered.names.extend(
            map.get("properties").and_then(Json::as_object).into_iter().flatten().map(|(k, _)| k.clone()),
        );
        let required = map.get("required").and_then(Json::as_array).into_iter().flatten();
        gathered.names.extend(required.filter_map(Json::as_str).map(str::to_owned));
        let more = |key: &str| map.get(key).is_some_and(|v| *v != Json::Bool(false));
        gathered.open |=
            more("additionalProperties") || more("unevaluatedProperties") || more("patternProperties");
        for key in ["allOf", "anyOf", "oneOf"] {
            waiting.extend(
                map.get(key).and_then(Json::as_array).into_iter().flatten().filter(|s| s.is_object()),
            );
        }
        for key in ["if", "then", "else"] {
            waiting.extend(map.get(key).filter(|s| s.is_object()));
        }
        let dependent = map.get("dependentSchemas").and_then(Json::as_object);
        waiting.extend(dependent.into_iter().flatten().map(|(_, s)| s).filter(|s| s.is_object()));
        if let Some(reference) = map.get("$ref").and_then(Json::as_str)
            && seen.insert(reference)
        {
            match reference.strip_prefix('#').filter(|p| !p.contains('%')).and_then(|p| schema.pointer(p)) {
                Some(target) => waiting.push(target),
                None => gathered.open = true,
            }
        }
    }
    gathered
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_gathered_from_all_parts() {
        let schema = json!({
            "properties": { "a": {} },
            "anyOf": [{ "required": ["b"] }, { "properties": { "c": {} } }],
            "allOf": [{ "$ref": "#/$defs/d" }, { "$ref": "#" }],
            "$defs": { "d": { "properties": { "d": {} } }, "e": { "properties": { "e": {} } } },
        });
        let Inputs { names, open } = inputs(&schema);
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert!(!open);
        assert!(inputs(&json!({ "additionalProperties": true })).open);
        assert!(!inputs(&json!({ "additionalProperties": false })).open);
        assert!(inputs(&json!({ "patternProperties": { "^x": {} } })).open);
    }
}
