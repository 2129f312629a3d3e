//! The rows that a manifest becomes, worked out from the manifest's text alone: no code of the product has a part in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use crate::tables::Tables;

/// Fields that are left out of what is stored where they say nothing but the default.
const DEFAULTS: &[(&str, &str)] = &[
    ("effect", r#""write""#),
    ("stability", r#""stable""#),
    ("lifecycle", r#""published""#),
    ("bodyFormat", r#""json""#),
    ("responseFormat", r#""auto""#),
    ("arrayFormat", r#""repeat""#),
    ("grant", r#""authorizationCode""#),
    ("order", r#""ascending""#),
    ("scope", r#""connection""#),
    ("encoding", r#""hex""#),
    ("type", r#""text""#),
    ("required", "false"),
    ("pkce", "false"),
    ("deliver", "false"),
    ("signed", "true"),
    ("max", "1000"),
];

/// Fields that hold a JSON Schema, in which no default is left out.
const SCHEMAS: &[&str] = &["inputSchema", "outputSchema", "schema"];

/// Fields that hold free data.
const FREE: &[&str] = &["body", "input", "examples", "testSuite", "variables", "response", "expect"];

/// The public columns of the rows of a manifest, by table and id. JSON columns are values.
pub fn rows(manifest: &Path) -> Result<BTreeMap<(String, String), Value>> {
    let text = fs::read_to_string(manifest).with_context(|| manifest.display().to_string())?;
    let document: Value = serde_saphyr::from_str(&text)?;
    let mut spec = document.get("spec").unwrap_or(&document).clone();
    if spec.get("id").is_none() {
        spec["id"] = document["metadata"]["name"].clone();
    }
    let folder = manifest.parent().context("a file in a folder")?;
    let spec = shorn(&spec, folder)?;
    let id = spec["id"].as_str().context("an id")?.to_owned();
    let mut rows = BTreeMap::new();
    let definition = json!({
        "id": id,
        "name": spec["name"],
        "version": spec["version"],
        "author": spec["author"],
        "status": spec.get("lifecycle").unwrap_or(&json!("published")),
        "manifest": spec,
    });
    rows.insert(("integration_definitions".to_owned(), id.clone()), definition);
    for (list, table) in [
        ("actions", "action_registry"),
        ("triggers", "trigger_registry"),
        ("connections", "connection_registry"),
        ("events", "event_registry"),
    ] {
        for item in spec[list].as_array().into_iter().flatten() {
            let event = item.get("eventType");
            let identifier = event.or_else(|| item.get("id")).and_then(Value::as_str).context("an id")?;
            let row = json!({
                "id": format!("{id}/{identifier}"),
                "integration_id": id,
                "identifier": identifier,
                "name": event.unwrap_or(&item["name"]),
                "category": item["category"],
                "definition": item,
            });
            rows.insert((table.to_owned(), format!("{id}/{identifier}")), row);
        }
    }
    Ok(rows)
}

/// The same columns as they stand in the database, for one environment.
pub fn stored(tables: &Tables, environment: &str) -> Result<BTreeMap<(String, String), Value>> {
    let mut rows = BTreeMap::new();
    for (table, columns) in [
        ("integration_definitions", ["id", "name", "version", "author", "status", "manifest"]),
        ("action_registry", REGISTRY),
        ("trigger_registry", REGISTRY),
        ("connection_registry", REGISTRY),
        ("event_registry", REGISTRY),
    ] {
        for row in tables.of_environment(table, environment) {
            let mut public = Map::new();
            for column in columns {
                let value =
                    row.columns.get(column).with_context(|| format!("{table} has no column {column}"))?;
                let json = matches!(column, "manifest" | "definition");
                public.insert(column.to_owned(), if json { unbundled(value)? } else { value.clone() });
            }
            rows.insert((table.to_owned(), row.text("id").to_owned()), Value::Object(public));
        }
    }
    Ok(rows)
}

const REGISTRY: [&str; 6] = ["id", "integration_id", "identifier", "name", "category", "definition"];

/// Fails with the first place where two sets of rows differ.
pub fn ensure_same(
    expected: &BTreeMap<(String, String), Value>,
    stored: &BTreeMap<(String, String), Value>,
) -> Result<()> {
    let missing: Vec<_> = expected.keys().filter(|key| !stored.contains_key(*key)).collect();
    let extra: Vec<_> = stored.keys().filter(|key| !expected.contains_key(*key)).collect();
    ensure!(missing.is_empty() && extra.is_empty(), "missing rows {missing:?}, rows too many {extra:?}");
    for ((table, id), row) in expected {
        let found = &stored[&(table.clone(), id.clone())];
        if let Some((pointer, wanted, seen)) = difference(row, found, String::new()) {
            anyhow::bail!("{table} {id}{pointer}: the manifest says {wanted}, the row {seen}");
        }
    }
    Ok(())
}

fn difference(wanted: &Value, seen: &Value, at: String) -> Option<(String, Value, Value)> {
    match (wanted, seen) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            keys.into_iter().find_map(|key| {
                let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
                difference(a, b, format!("{at}/{key}"))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(i, (a, b))| difference(a, b, format!("{at}/{i}")))
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => None,
        _ if wanted == seen => None,
        _ => Some((at, wanted.clone(), seen.clone())),
    }
}

/// A manifest without its defaults, each schema with the files it refers to written out.
fn shorn(value: &Value, folder: &Path) -> Result<Value> {
    let Value::Object(map) = value else {
        return match value {
            Value::Array(items) => items.iter().map(|item| shorn(item, folder)).collect(),
            other => Ok(other.clone()),
        };
    };
    let mut kept = Map::new();
    for (key, value) in map {
        if FREE.contains(&key.as_str()) {
            kept.insert(key.clone(), value.clone());
        } else if SCHEMAS.contains(&key.as_str()) && value.is_object() {
            kept.insert(key.clone(), inlined(value, value, folder)?);
        } else if key == "schemaPath" {
            let file = folder.join(value.as_str().context("a path")?);
            kept.insert("schema".to_owned(), file_inlined(&file, "")?);
        } else {
            let value = shorn(value, folder)?;
            let empty =
                value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty);
            let written = value.to_string();
            let default = DEFAULTS.iter().any(|(field, default)| field == key && **default == *written);
            if !empty && !default && !value.is_null() {
                kept.insert(key.clone(), value);
            }
        }
    }
    Ok(Value::Object(kept))
}

/// A schema with everything that it refers to in its place: files relative to `folder`, else parts of `root`.
fn inlined(schema: &Value, root: &Value, folder: &Path) -> Result<Value> {
    match schema {
        Value::Array(items) => items.iter().map(|item| inlined(item, root, folder)).collect(),
        Value::Object(map) => {
            let mut written = Map::new();
            for (key, value) in map {
                match (key.as_str(), value.as_str()) {
                    ("$ref", Some(target)) => {
                        let referred = match target.split_once('#') {
                            Some(("", pointer)) => {
                                let part = root
                                    .pointer(&pointer.replace("%20", " "))
                                    .with_context(|| target.to_owned())?;
                                inlined(part, root, folder)?
                            }
                            Some((file, pointer)) => file_inlined(&folder.join(file), pointer)?,
                            None => file_inlined(&folder.join(target), "")?,
                        };
                        if map.len() == 1 {
                            return Ok(referred);
                        }
                        written.insert("$ref".to_owned(), referred);
                    }
                    ("$schema" | "$id" | "$defs" | "definitions", _) => {}
                    _ => drop(written.insert(key.clone(), inlined(value, root, folder)?)),
                }
            }
            Ok(Value::Object(written))
        }
        other => Ok(other.clone()),
    }
}

fn file_inlined(file: &Path, pointer: &str) -> Result<Value> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let root: Value = serde_saphyr::from_str(&text)?;
    let part = root.pointer(pointer).with_context(|| format!("{} has no {pointer}", file.display()))?;
    inlined(part, &root, file.parent().context("a file in a folder")?)
}

/// What is stored, with the bundles of its schemas opened.
fn unbundled(value: &Value) -> Result<Value> {
    Ok(match value {
        Value::Array(items) => items.iter().map(unbundled).collect::<Result<_>>()?,
        Value::Object(map) => {
            let one = |(key, value): (&String, &Value)| -> Result<(String, Value)> {
                let schema = SCHEMAS.contains(&key.as_str()) && value.is_object();
                let opened = if schema {
                    inlined(value, value, Path::new("/nowhere"))?
                } else if FREE.contains(&key.as_str()) {
                    value.clone()
                } else {
                    unbundled(value)?
                };
                Ok((key.clone(), opened))
            };
            Value::Object(map.iter().map(one).collect::<Result<_>>()?)
        }
        other => other.clone(),
    })
}
