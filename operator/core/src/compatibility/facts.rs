//! What a schema says, as keywords that must all hold.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

/// Keywords that no value can break (JSON Schema 2020-12, Validation, section 9), and where schemas are kept.
const ANNOTATIONS: &[&str] = &[
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
];
/// Where schemas are kept by name.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];
/// `$ref` to `$ref` to `$ref`.
const MAX_REFERENCES: usize = 32;

/// Keywords of one schema object.
pub(super) type Keywords = Map<String, Value>;

/// Schema objects all of which hold.
pub(super) enum Facts<'a> {
    /// These.
    All(Vec<&'a Keywords>),
    /// Nothing fits.
    Never,
}

/// What must hold under `schema`, its `allOf` and `$ref` included; none where a reference cannot be followed.
///
/// `weaker` leaves out what stands beside a `$ref`: draft-07 ignores it, so a proof may not stand on it.
pub(super) fn facts<'a>(schema: &'a Value, root: &'a Value, weaker: bool) -> Option<Facts<'a>> {
    let (mut all, mut open, mut followed) = (Vec::new(), vec![schema], 0);
    while let Some(schema) = open.pop() {
        let keywords = match schema {
            Value::Bool(true) => continue,
            Value::Bool(false) => return Some(Facts::Never),
            Value::Object(keywords) => keywords,
            _ => return None,
        };
        if let Some(reference) = keywords.get("$ref") {
            followed += 1;
            let target = reference.as_str()?.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
            match target.filter(|_| followed <= MAX_REFERENCES) {
                Some(target) => open.push(target),
                None if weaker => {}
                None => return None,
            }
            if weaker {
                continue;
            }
        }
        open.extend(keywords.get("allOf").and_then(Value::as_array).into_iter().flatten());
        all.push(keywords);
    }
    Some(Facts::All(all))
}

pub(super) fn is_annotation(keyword: &str) -> bool {
    ANNOTATIONS.contains(&keyword) || keyword.starts_with("x-")
}

/// Nothing can break it.
pub(super) fn accepts_all(schema: &Value) -> bool {
    match schema {
        Value::Object(keywords) => keywords.keys().all(|keyword| is_annotation(keyword)),
        other => *other == Value::Bool(true),
    }
}

/// A schema without its annotations and those of its parts.
pub(super) fn plain(schema: &Value) -> Value {
    let Value::Object(keywords) = schema else {
        return match schema {
            Value::Array(parts) => parts.iter().map(plain).collect(),
            other => other.clone(),
        };
    };
    let kept = keywords
        .iter()
        .filter(|(keyword, _)| DEFINITIONS.contains(&keyword.as_str()) || !is_annotation(keyword));
    let kept = kept.map(|(keyword, value)| {
        let value = match (keyword.as_str(), value) {
            // Names of the user's own, not keywords.
            (
                "properties" | "patternProperties" | "dependentSchemas" | "dependencies" | "$defs"
                | "definitions",
                Value::Object(parts),
            ) => parts.iter().map(|(name, part)| (name.clone(), plain(part))).collect(),
            ("enum" | "const" | "required" | "dependentRequired", value) => value.clone(),
            (_, part) => plain(part),
        };
        (keyword.clone(), value)
    });
    Value::Object(kept.collect())
}

/// The schemas that a root keeps by name.
pub(super) fn definitions(root: &Value) -> [Option<Value>; 2] {
    DEFINITIONS.map(|keyword| root.get(keyword).map(|kept| plain(&serde_json::json!({ keyword: kept }))))
}

/// Whether a `$ref` stands anywhere in it.
pub(super) fn refers(schema: &Value) -> bool {
    match schema {
        Value::Object(keywords) => keywords.iter().any(|(keyword, value)| {
            matches!(keyword.as_str(), "$ref" | "$dynamicRef" | "$recursiveRef") || refers(value)
        }),
        Value::Array(parts) => parts.iter().any(refers),
        _ => false,
    }
}

/// What must hold of every value that comes.
pub(super) struct Given<'a> {
    /// The schema.
    pub(super) schema: &'a Value,
    /// All of which hold.
    pub(super) facts: Vec<&'a Keywords>,
    /// The only values there are, where they are listed.
    pub(super) values: Option<Vec<&'a Value>>,
    /// The only types there are, where they are listed.
    types: Option<Vec<&'a str>>,
}

impl<'a> Given<'a> {
    pub(super) fn new(schema: &'a Value, facts: Vec<&'a Keywords>) -> Self {
        let listed = facts.iter().find_map(|keywords| values(keywords));
        let typed = facts.iter().filter_map(|keywords| keywords.get("type")).map(names);
        let types = typed.min_by_key(Vec::len);
        Self { schema, facts, values: listed, types }
    }

    /// What all facts say under a keyword.
    pub(super) fn said(&self, keyword: &str) -> Vec<&'a Value> {
        self.facts.iter().filter_map(|keywords| keywords.get(keyword)).collect()
    }

    /// Whether the properties that it names are all that it speaks of.
    pub(super) fn names_all(&self) -> bool {
        const MORE: [&str; 10] = [
            "additionalProperties",
            "patternProperties",
            "anyOf",
            "oneOf",
            "if",
            "then",
            "else",
            "dependentSchemas",
            "dependencies",
            "$dynamicRef",
        ];
        // What stands beside a `$ref` is left out of the facts.
        let referring =
            |keywords: &&Keywords| keywords.contains_key("$ref") && keywords.contains_key("properties");
        let whole = self.schema.as_object().is_none_or(|keywords| !referring(&keywords));
        whole && self.facts.iter().all(|keywords| !MORE.iter().any(|more| keywords.contains_key(*more)))
    }

    /// Whether no value comes that the keyword speaks of.
    pub(super) fn never_has(&self, keyword: &str) -> bool {
        let Some(kind) = subject(keyword) else { return false };
        let other = |t: &str| t != kind && (kind, t) != ("number", "integer");
        self.types.as_ref().is_some_and(|types| types.iter().all(|t| other(t)))
            || self.values.as_ref().is_some_and(|values| values.iter().all(|value| other(type_of(value))))
    }

    /// Whether all that comes has one of these types.
    pub(super) fn is_only(&self, wanted: &[&str]) -> bool {
        let fits = |t: &str| wanted.contains(&t) || (t == "integer" && wanted.contains(&"number"));
        let whole = |value: &Value| value.as_f64().is_some_and(|n| n.fract() == 0.0);
        let fits_value = |value: &&Value| fits(type_of(value)) || (whole(value) && fits("integer"));
        self.types.as_ref().is_some_and(|types| types.iter().all(|t| fits(t)))
            || self.values.as_ref().is_some_and(|values| values.iter().all(fits_value))
    }
}

/// The only values that the keywords let in: `enum`, `const`, or a choice among such.
pub(super) fn values(keywords: &Keywords) -> Option<Vec<&Value>> {
    if let Some(value) = keywords.get("const") {
        return Some(vec![value]);
    }
    if let Some(values) = keywords.get("enum") {
        return Some(values.as_array()?.iter().collect());
    }
    ["oneOf", "anyOf"].iter().filter_map(|keyword| keywords.get(*keyword)).find_map(constants)
}

/// The values of a choice that is made of nothing but values, all different.
pub(super) fn constants(choice: &Value) -> Option<Vec<&Value>> {
    let mut found: Vec<&Value> = Vec::new();
    for part in choice.as_array()? {
        let part = part.as_object()?;
        let value = part
            .get("const")
            .filter(|_| part.keys().all(|keyword| keyword == "const" || is_annotation(keyword)))?;
        if found.iter().any(|other| same(other, value)) {
            return None;
        }
        found.push(value);
    }
    (!found.is_empty()).then_some(found)
}

/// A text, or the texts of a list.
pub(super) fn names(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().into_iter().collect(),
    }
}

/// Equal as JSON Schema has it: `1` is `1.0`.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => order(a, b) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

/// Which number is larger; none where a double cannot tell.
pub(super) fn order(a: &Number, b: &Number) -> Option<Ordering> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => {
            let (a, b) = (a.as_f64()?, b.as_f64()?);
            (a.abs() < EXACT && b.abs() < EXACT).then(|| a.partial_cmp(&b)).flatten()
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The type that a keyword speaks of; of all others it says nothing.
fn subject(keyword: &str) -> Option<&'static str> {
    Some(match keyword {
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => "number",
        "minLength" | "maxLength" | "pattern" | "format" => "string",
        "items" | "additionalItems" | "prefixItems" | "minItems" | "maxItems" | "uniqueItems"
        | "contains" | "minContains" | "maxContains" | "unevaluatedItems" => "array",
        "properties"
        | "additionalProperties"
        | "patternProperties"
        | "required"
        | "minProperties"
        | "maxProperties"
        | "propertyNames"
        | "dependentRequired"
        | "dependentSchemas"
        | "dependencies"
        | "unevaluatedProperties" => "object",
        _ => return None,
    })
}
