//! The CustomResourceDefinitions: the plain schemas bent to what Kubernetes calls structural, with every size bounded.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use crate::environment::{Environment, EnvironmentSpec, EnvironmentStatus};
use crate::integration::{Integration, IntegrationSpec, IntegrationStatus};
use crate::schema::{annotated, each};

/// Characters of a text whose type says no less.
const MAX_LENGTH: u32 = 16_384;
/// Items of a list whose type says no less.
const MAX_ITEMS: u32 = 256;
/// Entries of a map whose type says no less.
const MAX_PROPERTIES: u32 = 256;

/// What an Environment names is another one: a rule in CEL, and what it says.
const NOT_ITSELF: [(&str, &str); 2] = [
    (
        "!has(self.spec.promotion) || self.spec.promotion.from != self.metadata.name",
        "an environment cannot be promoted from itself",
    ),
    (
        "!has(self.spec.dependsOn) || self.spec.dependsOn.all(on, on.name != self.metadata.name)",
        "an environment cannot wait for itself",
    ),
];

/// The CustomResourceDefinition of `Integration`.
#[must_use]
pub fn integration_crd() -> CustomResourceDefinition {
    let mut spec = structural::<IntegrationSpec>();
    one_owner(&mut spec);
    with_schema(Integration::crd(), "An app's manifest.", &[], spec, structural::<IntegrationStatus>())
}

/// The CustomResourceDefinition of `Environment`.
#[must_use]
pub fn environment_crd() -> CustomResourceDefinition {
    with_schema(
        Environment::crd(),
        "A target whose database Sower keeps equal to what its sources say.",
        &NOT_ITSELF,
        structural::<EnvironmentSpec>(),
        structural::<EnvironmentStatus>(),
    )
}

/// `integrations.sower.dev.yaml`.
#[must_use]
pub fn integration_crd_yaml() -> String {
    yaml(&integration_crd())
}

/// `environments.sower.dev.yaml`.
#[must_use]
pub fn environment_crd_yaml() -> String {
    yaml(&environment_crd())
}

/// The files of `crds/yaml` with their content.
#[must_use]
pub fn crd_files() -> Vec<(&'static str, String)> {
    vec![
        ("environments.sower.dev.yaml", environment_crd_yaml()),
        ("integrations.sower.dev.yaml", integration_crd_yaml()),
    ]
}

fn with_schema(
    mut crd: CustomResourceDefinition,
    description: &str,
    rules: &[(&str, &str)],
    spec: Value,
    status: Value,
) -> CustomResourceDefinition {
    let mut schema = json!({
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": { "spec": spec, "status": unseen(status) },
    });
    let rules: Vec<Value> =
        rules.iter().map(|(rule, message)| json!({ "rule": rule, "message": message })).collect();
    if !rules.is_empty() {
        schema["x-kubernetes-validations"] = rules.into();
    }
    let schema = serde_json::from_value(schema).expect("a structural schema is a schema of Kubernetes");
    if let Some(version) = crd.spec.versions.first_mut() {
        version.schema.get_or_insert_default().open_api_v3_schema = Some(schema);
    }
    crd
}

/// Until somebody looked at a resource, its status is about no generation of it: kstatus would take an empty one for done.
fn unseen(mut status: Value) -> Value {
    status["default"] = json!({ "observedGeneration": -1 });
    status
}

/// The schema of a type as Kubernetes takes it: typed or free, without alternatives, every size bounded.
fn structural<T: JsonSchema>() -> Value {
    let mut schema = annotated::<T>();
    each(&mut schema, &mut |node| {
        if let Some(word) = node.remove("x-sower") {
            say_in_words(node, word.as_str().unwrap_or_default());
        }
        node.remove("enumDescriptions");
        if node.get("additionalProperties") == Some(&Value::Bool(false)) {
            node.remove("additionalProperties");
        }
        if let Some(Value::Array(alternatives)) = node.remove("anyOf") {
            choose(node, &alternatives);
        }
        bound(node);
    });
    schema
}

/// Gives each field of a manifest, and of the items of its lists, to one owner as a whole: nobody shares a request.
/// Else every leaf below is listed in managedFields, which then are larger than half of the manifest.
fn one_owner(schema: &mut Value) {
    for field in schema["properties"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        if field["x-kubernetes-list-type"] == "map" {
            one_owner(&mut field["items"]);
        } else if field["type"] == "object" {
            field["x-kubernetes-map-type"] = "atomic".into();
        }
    }
}

/// In place of a pattern, whose message nobody reads with profit, a rule that says what is expected.
fn say_in_words(node: &mut Map<String, Value>, word: &str) {
    let Some(pattern) = node.get("pattern").and_then(Value::as_str) else { return };
    let fits = format!("self.matches(r'{pattern}')");
    let (rule, message) = match word {
        "duration" => (format!("self != '' && {fits}"), "must be a duration such as 30s, 5m or 1h30m"),
        "version" => (fits, "a version must be MAJOR.MINOR.PATCH, such as 1.4.0 or 2.0.0-rc.1"),
        "commit" => (fits, "commit must be a whole hash: 40 hex digits in lower case"),
        "percent" => (
            format!("type(self) == int || {fits}"),
            "pruneLimit must be a percentage from 0% to 100%, such as 20%, or a count",
        ),
        "column" => {
            (fits, "ignoreFields must be columns such as name, or JSON pointers such as /description")
        }
        "schedule" => (fits, "schedule must be five fields of cron, such as 0 18 * * FRI"),
        "time-zone" => (fits, "timeZone must be a name such as UTC or Europe/Berlin"),
        _ => return,
    };
    // A field's own rule says more.
    node.entry("x-kubernetes-validations").or_insert_with(|| json!([{ "rule": rule, "message": message }]));
    node.remove("pattern");
    node.remove("minLength");
}

/// A structural schema has one type. Of a count or a text it is Kubernetes' own `int-or-string`, else it is free, and
/// the rest is checked when the manifest is loaded.
fn choose(node: &mut Map<String, Value>, alternatives: &[Value]) {
    let types: Vec<&str> = alternatives.iter().filter_map(|a| a.get("type")?.as_str()).collect();
    if types == ["integer", "string"] {
        node.insert("x-kubernetes-int-or-string".into(), true.into());
        for alternative in alternatives.iter().filter_map(Value::as_object) {
            let rules = alternative.iter().filter(|(key, _)| *key != "type");
            node.extend(rules.map(|(key, value)| (key.clone(), value.clone())));
        }
    } else {
        node.insert("x-kubernetes-preserve-unknown-fields".into(), true.into());
    }
}

fn bound(node: &mut Map<String, Value>) {
    let free = "x-kubernetes-preserve-unknown-fields";
    match node.get("type").and_then(Value::as_str) {
        Some("string") if !node.contains_key("enum") => {
            node.entry("maxLength").or_insert(MAX_LENGTH.into());
        }
        Some("array") => {
            node.entry("maxItems").or_insert(MAX_ITEMS.into());
        }
        Some("object") if !node.contains_key("properties") => {
            node.entry("maxProperties").or_insert(MAX_PROPERTIES.into());
            if !node.contains_key("additionalProperties") {
                node.insert(free.into(), true.into());
                // One owner for the whole, else its every leaf is listed in managedFields.
                node.insert("x-kubernetes-map-type".into(), "atomic".into());
            }
        }
        None if !node.contains_key("x-kubernetes-int-or-string") => {
            node.insert(free.into(), true.into());
        }
        _ => {}
    }
}

fn yaml(crd: &CustomResourceDefinition) -> String {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let mut text =
        String::from("# Generated from the types in crds/src by `sower generate crds`; not to be edited.\n");
    let mut crd = serde_json::to_value(crd).expect("a definition is plain data");
    whole_numbers(&mut crd);
    let body = serde_saphyr::to_string_with_options(&crd, options).expect("a definition is plain data");
    text.push_str(&body);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Kubernetes' type holds bounds as floating point; whole ones are written as people write them.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(whole_numbers),
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        Value::Number(number) if number.is_f64() => {
            if let Some(whole) = number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 1e15) {
                *value = (whole as i64).into();
            }
        }
        _ => {}
    }
}
