//! What the database holds of an integration as one manifest: that which was seeded, with what hands changed since.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::compare::escaped;
use crate::manifest::canonical;
use crate::merge::merge;
use crate::rows::{DefinitionRow, Kind, RegistryRow, rows};

/// The rows of one integration, as they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct There<'a> {
    /// Its definition.
    pub definition: DefinitionRow<'a>,
    /// Its rows of the registries that a seeding wrote.
    pub registry: Vec<RegistryRow<'a>>,
    /// Registry and id of rows in the place of such a one that no seeding wrote: nothing is known of what they stand for.
    pub foreign: Vec<(Kind, String)>,
}

/// What the rows say, over the content that was seeded into them. Where a definition's column, its manifest and a registry
/// row were changed each in another way, nobody knows what was meant.
///
/// # Errors
/// JSON pointers to what was changed so, or is no manifest any more.
pub fn held(seeded: &str, there: &There<'_>) -> Result<Value, Vec<String>> {
    let whole = || vec![String::new()];
    let base = parse(seeded).ok_or_else(whole)?;
    let expected = rows(seeded).map_err(|_| whole())?;
    let There { definition, registry, foreign } = there;
    let mut manifest = parse(definition.manifest).filter(Value::is_object).ok_or_else(whole)?;
    if manifest["id"] != base["id"] {
        return Err(vec!["/id".into()]);
    }
    // A null where a field was is a field that was taken out.
    if let Some(fields) = manifest.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    let mut columns = base.clone();
    let was = &expected.definition;
    for (field, before, now) in [
        ("name", Some(&was.name), Some(&definition.name)),
        ("version", Some(&was.version), Some(&definition.version)),
        ("author", was.author.as_ref(), definition.author.as_ref()),
        ("lifecycle", Some(&was.status), Some(&definition.status)),
    ] {
        if before != now {
            put(&mut columns, field, now.map(|text| &**text));
        }
    }
    if columns["lifecycle"] == "published" {
        put(&mut columns, "lifecycle", None);
    }
    let told = merge(&base, &manifest, &columns)?;
    let registries = registries(&base, &expected.registry, registry, foreign)?;
    merge(&base, &told, &registries)
}

/// The manifest as the registries tell it: of what they do not hold, as it was seeded.
fn registries(
    base: &Value,
    expected: &[RegistryRow<'_>],
    registry: &[RegistryRow<'_>],
    foreign: &[(Kind, String)],
) -> Result<Value, Vec<String>> {
    let there: BTreeMap<(Kind, &str), &RegistryRow<'_>> =
        registry.iter().map(|row| ((row.kind, row.id.as_str()), row)).collect();
    let mut told = base.clone();
    let mut unclear = Vec::new();
    for kind in Kind::ALL {
        let (list, key) = list(kind);
        let Some(items) = base[list].as_array() else { continue };
        let mut own = expected.iter().filter(|row| row.kind == kind).peekable();
        let mut kept = Vec::with_capacity(items.len());
        for item in items {
            // Of several events of one type the first alone has a row.
            let Some(was) = own.next_if(|row| item[key] == *row.identifier) else {
                kept.push(item.clone());
                continue;
            };
            match there.get(&(kind, was.id.as_str())) {
                None if foreign.iter().any(|(of, id)| *of == kind && *id == was.id) => {
                    kept.push(item.clone())
                }
                None => {}
                Some(row) => match edited(item, key, was, row) {
                    Some(item) => kept.push(item),
                    None => unclear.push(format!("/{list}/{}", escaped(&was.identifier))),
                },
            }
        }
        let list_of = (!kept.is_empty()).then_some(Value::Array(kept));
        if let Some(fields) = told.as_object_mut() {
            match list_of {
                Some(items) => drop(fields.insert(list.into(), items)),
                None => drop(fields.remove(list)),
            }
        }
    }
    if unclear.is_empty() { Ok(told) } else { Err(unclear) }
}

/// The item that a row tells of; none where that is unclear.
fn edited(item: &Value, key: &str, was: &RegistryRow<'_>, row: &RegistryRow<'_>) -> Option<Value> {
    if row.integration != was.integration || row.identifier != was.identifier {
        return None;
    }
    let definition = parse(row.definition).filter(Value::is_object)?;
    if definition[key] != item[key] {
        return None;
    }
    let mut columns = item.clone();
    if row.name != was.name {
        // An event is called what it is.
        put(&mut columns, "name", Some(&row.name).filter(|_| row.kind != Kind::Event).map(|name| &**name));
    }
    if row.category != was.category {
        put(&mut columns, "category", row.category.as_deref());
    }
    merge(item, &definition, &columns).ok()
}

fn put(object: &mut Value, field: &str, text: Option<&str>) {
    let Some(fields): Option<&mut Map<String, Value>> = object.as_object_mut() else { return };
    match text {
        Some(text) => drop(fields.insert(field.to_owned(), text.into())),
        None => drop(fields.remove(field)),
    }
}

/// A document in the form in which equal ones are equal: a hand may have written `1.0` for `1`.
fn parse(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    serde_json::from_str(&canonical(&value)).ok()
}

fn list(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Action => ("actions", "id"),
        Kind::Trigger => ("triggers", "id"),
        Kind::Connection => ("connections", "id"),
        Kind::Event => ("events", "eventType"),
    }
}
