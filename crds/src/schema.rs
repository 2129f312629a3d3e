//! The plain JSON Schemas of the specs, for whoever checks documents.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::{EnvironmentSpec, IntegrationSpec};

/// JSON Schema of `Integration.spec`, the plain form's fields (without `type` and `status`, which the loader maps).
///
/// Plain and closed: everything is inlined (no `$ref`, no `$defs`); objects of named fields have
/// `additionalProperties: false`; maps have `additionalProperties: SCHEMA`; free-form values have neither, or no `type`;
/// closed lists of words are `{type: string, enum: [...]}`; one-or-many and the like are `anyOf` of such schemas; no
/// field takes null. `x-sower` says what a value means: id, item, version, duration, url, git-url, link, path, folder,
/// pattern, percent, range, commit, glob, dependency, expression (a text with `${ }`), template (any JSON whose texts are), schema (a
/// JSON Schema), schemas (a map of them), schedule (cron), time-zone, column (or a JSON
/// pointer), any (opaque).
#[must_use]
pub fn integration_schema() -> Value {
    plain::<IntegrationSpec>()
}

/// JSON Schema of `Environment.spec`, in the form of [`integration_schema`].
#[must_use]
pub fn environment_schema() -> Value {
    plain::<EnvironmentSpec>()
}

/// The schema of a type, inlined, without null, with closed lists of words as `enum`.
pub(crate) fn plain<T: JsonSchema>() -> Value {
    let mut schema = annotated::<T>();
    each(&mut schema, &mut |node| {
        node.retain(|key, _| !key.starts_with("x-kubernetes-") && key != "enumDescriptions");
    });
    schema
}

/// The schema of a type with the marks that only some readers want: `x-kubernetes-*` and `enumDescriptions`.
pub(crate) fn annotated<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    each(&mut schema, &mut |node| {
        drop_null(node);
        join_words(node);
        flatten_single(node);
        node.remove("title");
        if node.get("format").is_some_and(|f| f.as_str().is_some_and(|f| f.starts_with("uint"))) {
            node.remove("format");
        }
        if let Some(Value::String(text)) = node.get_mut("description") {
            *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        }
    });
    schema
}

/// Visits every schema of a tree, the inner ones first.
pub(crate) fn each(schema: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    let Value::Object(node) = schema else { return };
    for (key, value) in node.iter_mut() {
        match (key.as_str(), value) {
            ("properties", Value::Object(map)) => map.values_mut().for_each(|inner| each(inner, visit)),
            ("anyOf" | "oneOf" | "allOf", Value::Array(list)) => {
                list.iter_mut().for_each(|inner| each(inner, visit));
            }
            ("items" | "additionalProperties", inner) => each(inner, visit),
            _ => {}
        }
    }
    visit(node);
}

/// An absent field is left out, never null: null is no type of any field.
fn drop_null(node: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = node.get_mut("type") {
        types.retain(|t| t != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            node.insert("type".into(), one);
        }
    }
    if let Some(Value::Array(list)) = node.get_mut("anyOf") {
        list.retain(|inner| inner.get("type").is_none_or(|t| t != "null"));
    }
    if let Some(Value::Array(words)) = node.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
}

/// Turns `oneOf` of constants into `enum`, keeping what each means in `enumDescriptions`.
fn join_words(node: &mut Map<String, Value>) {
    let Some(Value::Array(list)) = node.get("oneOf") else { return };
    let mut words = Vec::new();
    let mut meanings = Vec::new();
    for inner in list {
        let meaning = inner.get("description").cloned().unwrap_or_else(|| "".into());
        match (inner.get("const"), inner.get("enum")) {
            (Some(word), _) => {
                words.push(word.clone());
                meanings.push(meaning);
            }
            (None, Some(Value::Array(several))) => {
                meanings.extend(several.iter().map(|_| meaning.clone()));
                words.extend(several.iter().cloned());
            }
            _ => return,
        }
    }
    node.remove("oneOf");
    node.insert("type".into(), "string".into());
    node.insert("enum".into(), words.into());
    node.insert("enumDescriptions".into(), meanings.into());
}

/// Takes the place of an `anyOf` that has one alternative left; the outer description is about the field and wins.
fn flatten_single(node: &mut Map<String, Value>) {
    let Some(Value::Array(list)) = node.get_mut("anyOf") else { return };
    if list.len() != 1 {
        return;
    }
    let Some(Value::Object(inner)) = list.pop() else { return };
    node.remove("anyOf");
    for (key, value) in inner {
        node.entry(key).or_insert(value);
    }
}
