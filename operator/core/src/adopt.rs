//! Rows that were made by hand, and the manifest that they are to be taken over for.
//!
//! Rows that somebody else wrote are put together into the manifest that would have made them. Where that is the one which is
//! wanted, they can be adopted: their texts stay as they are, and their JSON stays but for its canonical form.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::catalog::Found;
use crate::compare::{self, Change};
use crate::manifest::{Limits, ResourceEntry, canonical, load_value};
use crate::plan::Verb;
use crate::rows::Kind;

/// A definition's public columns, as they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionThere {
    /// The integration.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Who made it.
    pub author: Option<String>,
    /// The text of its manifest.
    pub manifest: String,
    /// draft, published or deprecated.
    pub status: String,
    /// Checksum of the content that a seeding wrote; absent: none did, the row is somebody else's.
    pub checksum: Option<String>,
}

/// The public columns of a registry row that no seeding wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowThere {
    /// Which registry.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// What it is called in its integration.
    pub identifier: String,
    /// Display name.
    pub name: String,
    /// For grouping.
    pub category: Option<String>,
    /// The text of its definition.
    pub definition: String,
}

/// All rows of an integration that somebody else wrote: the definition too, or only some beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandMade {
    /// Its definition; with a checksum it is Sower's own.
    pub definition: DefinitionThere,
    /// The rows of the registries that no seeding wrote, by registry and id.
    pub rows: Vec<RowThere>,
}

impl HandMade {
    /// Rows that would be adopted.
    #[must_use]
    pub fn count(&self) -> usize {
        self.rows.len() + usize::from(self.definition.checksum.is_none())
    }
}

/// What of a row no manifest could say, or this one does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Differs {
    /// `integration`, `action`, `trigger`, `connection` or `event`.
    pub kind: &'static str,
    /// The row's id, or the one that it would have.
    pub id: String,
    /// The column; absent: the whole row.
    pub column: Option<&'static str>,
    /// What is off, for people.
    pub said: String,
}

/// The manifest that hand-made rows make.
#[derive(Debug, Clone, PartialEq)]
pub struct Composed {
    /// The spec: in its canonical form where it is one that Sower takes.
    pub manifest: String,
    /// Why it is none, where it is none.
    pub refused: Option<String>,
    /// What no manifest can say.
    pub off: Vec<Differs>,
}

/// The lists of a manifest, in the order of [`Kind::ALL`].
const LISTS: [&str; 4] = ["actions", "triggers", "connections", "events"];

/// Puts rows together into a manifest: what the columns say wins over what the texts of JSON say.
#[must_use]
pub fn composed(hand: &HandMade) -> Composed {
    in_order_of(hand, &Value::Null)
}

/// Whether rows are what a manifest, in its canonical form, says; and else where they are not.
///
/// # Errors
/// Each difference, by row and column.
pub fn fits(hand: &HandMade, wanted: &str) -> Result<(), Vec<Differs>> {
    let wanted_value: Value = serde_json::from_str(wanted).unwrap_or_default();
    let Composed { manifest, refused, mut off } = in_order_of(hand, &wanted_value);
    if refused.is_none() && off.is_empty() && manifest == wanted {
        return Ok(());
    }
    let value: Value = serde_json::from_str(&manifest).unwrap_or_default();
    let (there, says) = (text(&value, "version"), text(&wanted_value, "version"));
    let mut found = BTreeSet::new();
    let id = &hand.definition.id;
    if there != says {
        let said = format!("{there} here, {says} in the manifest");
        found.insert(Differs { kind: "integration", id: id.clone(), column: Some("version"), said });
    }
    found.extend(compare::compare(&value, &wanted_value).iter().map(|change| differs(id, change)));
    off.extend(found);
    if let Some(refused) = refused.filter(|_| off.is_empty()) {
        off.push(Differs { kind: "integration", id: id.clone(), column: Some("manifest"), said: refused });
    }
    Err(off)
}

/// A row that no manifest can say as it is.
fn unsayable(hand: &HandMade, row: Option<&RowThere>, column: &'static str, said: String) -> Differs {
    let (kind, id) = match row {
        Some(row) => (row.kind.as_str(), &row.id),
        None => ("integration", &hand.definition.id),
    };
    Differs { kind, id: id.clone(), column: Some(column), said }
}

/// [`composed`], with the items in the order in which `like` has them: rows have none.
fn in_order_of(hand: &HandMade, like: &Value) -> Composed {
    let HandMade { definition, rows } = hand;
    let mut off = Vec::new();
    let mut spec = match serde_json::from_str(&definition.manifest) {
        Ok(Value::Object(document)) => spec_of(document),
        _ => {
            off.push(unsayable(hand, None, "manifest", "it is no map of JSON".into()));
            Map::new()
        }
    };
    spec.insert("id".into(), definition.id.clone().into());
    if definition.checksum.is_none() {
        spec.insert("name".into(), definition.name.clone().into());
        spec.insert("version".into(), definition.version.clone().into());
        set(&mut spec, "author", definition.author.as_deref());
        set(&mut spec, "lifecycle", Some(definition.status.as_str()).filter(|status| *status != "published"));
    }
    for (kind, list) in Kind::ALL.into_iter().zip(LISTS) {
        let key = if kind == Kind::Event { "eventType" } else { "id" };
        let mut items: Vec<(String, Value)> = Vec::new();
        for item in spec.remove(list).as_ref().and_then(Value::as_array).into_iter().flatten() {
            items.push((text(item, key).to_owned(), item.clone()));
        }
        for row in rows.iter().filter(|row| row.kind == kind) {
            let item = item_of(hand, row, key, &mut off);
            match items.iter_mut().find(|(known, _)| *known == row.identifier) {
                Some((_, there)) => *there = item,
                None => items.push((row.identifier.clone(), item)),
            }
        }
        let places: BTreeMap<&str, usize> =
            like.get(list).and_then(Value::as_array).into_iter().flatten().enumerate().fold(
                BTreeMap::new(),
                |mut places, (place, item)| {
                    places.entry(text(item, key)).or_insert(place);
                    places
                },
            );
        items.sort_by_key(|(name, _)| places.get(name.as_str()).copied().unwrap_or(usize::MAX));
        if !items.is_empty() {
            spec.insert(list.into(), items.into_iter().map(|(_, item)| item).collect());
        }
    }
    let value = Value::Object(spec);
    let found = loaded(&definition.id, &value);
    match found.manifest {
        Some(manifest) => Composed { manifest: manifest.to_string(), refused: None, off },
        None => {
            let problem = found.problems.iter().find(|problem| problem.is_error());
            let refused = problem.map(|problem| format!("{}: {}", problem.pointer, problem.message));
            Composed {
                manifest: canonical(&value),
                refused: refused.or_else(|| Some("no manifest".into())),
                off,
            }
        }
    }
}

/// What a spec comes to, with no file to refer to.
fn loaded(id: &str, spec: &Value) -> Found {
    let annotations = &BTreeMap::new();
    let resource = ResourceEntry { path: id, blob: "", name: id, annotations, spec };
    load_value("adopt", resource, Limits::FILES)
}

/// The spec of a document of any form: the envelope goes, and so do the words of the plain forms that columns say.
fn spec_of(mut document: Map<String, Value>) -> Map<String, Value> {
    if let (true, Some(Value::Object(_))) = (document.contains_key("kind"), document.get("spec"))
        && let Some(Value::Object(spec)) = document.remove("spec")
    {
        return spec;
    }
    let older = document.contains_key("type") && !document.contains_key("id");
    for (gone, word) in [(older, "type"), (document.get("status").is_some_and(Value::is_string), "status")] {
        if gone {
            document.remove(word);
        }
    }
    document
}

/// What a row says of its item.
fn item_of(hand: &HandMade, row: &RowThere, key: &str, off: &mut Vec<Differs>) -> Value {
    let wanted = format!("{}/{}", hand.definition.id, row.identifier);
    if row.id != wanted {
        off.push(unsayable(hand, Some(row), "id", format!("a seeding would call it {wanted}")));
    }
    let mut item = match serde_json::from_str(&row.definition) {
        Ok(Value::Object(item)) => item,
        _ => {
            off.push(unsayable(hand, Some(row), "definition", "it is no map of JSON".into()));
            Map::new()
        }
    };
    item.insert(key.into(), row.identifier.clone().into());
    if row.kind != Kind::Event {
        item.insert("name".into(), row.name.clone().into());
    } else if row.name != row.identifier {
        off.push(unsayable(
            hand,
            Some(row),
            "name",
            format!("an event is called by its type, {}", row.identifier),
        ));
    }
    set(&mut item, "category", row.category.as_deref());
    Value::Object(item)
}

fn set(map: &mut Map<String, Value>, key: &str, value: Option<&str>) {
    match value {
        Some(value) => drop(map.insert(key.into(), value.into())),
        None => drop(map.remove(key)),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A difference between what rows make and a manifest, by row and column.
fn differs(integration: &str, change: &Change) -> Differs {
    let registry = Kind::ALL.into_iter().map(Kind::as_str).find(|kind| *kind == change.kind);
    let (Some(kind), Some(item)) = (registry, &change.item) else {
        // Parts that have no rows of their own are in the manifest alone.
        let column = match (registry, &*change.path()) {
            (None, "/name") => "name",
            (None, "/author") => "author",
            (None, "/lifecycle") => "status",
            _ => "manifest",
        };
        let said = format!("{} {}", change.path(), change.values());
        return Differs { kind: "integration", id: integration.to_owned(), column: Some(column), said };
    };
    let id = format!("{integration}/{item}");
    let (column, said) = match (change.verb(), &*change.pointer) {
        (Verb::Create, _) => (None, "the manifest has it, and no row does".to_owned()),
        (Verb::Remove, _) => (None, "the manifest does not have it".to_owned()),
        (_, "/name") => (Some("name"), change.values()),
        (_, "/category") => (Some("category"), change.values()),
        (_, pointer) => (Some("definition"), format!("{pointer} {}", change.values())),
    };
    Differs { kind, id, column, said }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rows;

    fn manifest() -> Value {
        json!({
            "id": "acme", "name": "Acme", "version": "1.0.0", "author": "AUTHOR", "baseUrl": "https://acme.example",
            "actions": [
                {"id": "list", "name": "List", "request": {"method": "GET", "path": "/things"}},
                {"id": "create", "name": "Create", "category": "things", "request": {"method": "POST", "path": "/things"}}
            ],
            "events": [{"eventType": "thing.created", "schema": {"type": "object"}}]
        })
    }

    fn wanted() -> String {
        let found = loaded("acme", &manifest());
        found.manifest.unwrap_or_else(|| panic!("{:?}", found.problems)).to_string()
    }

    /// Rows as a hand writes them: other white space, another order, nothing twice.
    fn by_hand() -> HandMade {
        let wanted = wanted();
        let rows = rows::rows(&wanted).unwrap();
        let mut there: Vec<RowThere> = rows
            .registry
            .iter()
            .map(|row| RowThere {
                kind: row.kind,
                id: row.id.clone(),
                identifier: row.identifier.to_string(),
                name: row.name.to_string(),
                category: row.category.as_deref().map(str::to_owned),
                definition: row.definition.replace(":", " : "),
            })
            .collect();
        there.sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
        HandMade {
            definition: DefinitionThere {
                id: "acme".into(),
                name: "Acme".into(),
                version: "1.0.0".into(),
                author: Some("AUTHOR".into()),
                manifest: r#"{ "baseUrl": "https://acme.example" }"#.into(),
                status: "published".into(),
                checksum: None,
            },
            rows: there,
        }
    }

    fn check(change: impl FnOnce(&mut HandMade), expected: &[(&str, &str, Option<&str>, &str)]) {
        let mut hand = by_hand();
        change(&mut hand);
        let found = fits(&hand, &wanted()).err().unwrap_or_default();
        let found: Vec<_> = found.iter().map(|one| (one.kind, &*one.id, one.column, &*one.said)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn rows_that_say_the_same_fit_however_they_are_written() {
        check(|_| {}, &[]);
        check(|hand| hand.definition.manifest = wanted(), &[]);
        check(
            |hand| {
                let spec = manifest();
                hand.definition.manifest =
                    json!({"apiVersion": "sower.dev/v1alpha1", "kind": "Integration", "metadata": {"name": "acme"}, "spec": spec})
                        .to_string();
            },
            &[],
        );
        // What the manifest says by itself needs no row: it is made.
        check(
            |hand| {
                hand.definition.manifest = manifest().to_string();
                hand.rows.clear();
            },
            &[],
        );
        assert_eq!(by_hand().count(), 4);
    }

    #[test]
    fn what_differs_is_named_by_row_and_column() {
        check(
            |hand| {
                hand.definition.version = "0.9.0".into();
                hand.definition.status = "draft".into();
                hand.definition.manifest = "{}".into();
                hand.rows[0].name = "Make".into();
                hand.rows[1].definition = r#"{"request":{"method":"GET","path":"/all"}}"#.into();
            },
            &[
                ("action", "acme/create", Some("name"), r#""Make" -> "Create""#),
                ("action", "acme/list", Some("definition"), r#"/request/path "/all" -> "/things""#),
                ("integration", "acme", Some("manifest"), r#"/baseUrl added "https://acme.example""#),
                ("integration", "acme", Some("status"), r#"/lifecycle removed "draft""#),
                ("integration", "acme", Some("version"), "0.9.0 here, 1.0.0 in the manifest"),
            ],
        );
        check(
            |hand| drop(hand.rows.remove(0)),
            &[("action", "acme/create", None, "the manifest has it, and no row does")],
        );
        check(
            |hand| {
                let mut more = hand.rows[0].clone();
                more.identifier = "mine".into();
                more.id = "acme/mine".into();
                hand.rows.push(more);
            },
            &[("action", "acme/mine", None, "the manifest does not have it")],
        );
    }

    #[test]
    fn what_no_manifest_can_say_is_named() {
        check(
            |hand| {
                hand.rows[1].id = "7".into();
                hand.rows[2].name = "Made".into();
            },
            &[
                ("action", "7", Some("id"), "a seeding would call it acme/list"),
                (
                    "event",
                    "acme/thing.created",
                    Some("name"),
                    "an event is called by its type, thing.created",
                ),
            ],
        );
        let mut hand = by_hand();
        hand.definition.manifest = "by hand".into();
        hand.rows[0].definition = "[]".into();
        let found = composed(&hand);
        assert_eq!(found.off.len(), 2);
        let mut hand = by_hand();
        hand.definition.manifest = r#"{"baseUrl":"https://acme.example","colour":"red"}"#.into();
        let found = composed(&hand);
        assert!(found.refused.as_deref().is_some_and(|why| why.contains("colour")), "{found:?}");
        assert!(fits(&hand, &wanted()).is_err());
    }

    #[test]
    fn what_rows_make_is_what_they_fit() {
        let mut hand = by_hand();
        hand.rows[0].name = "Make".into();
        hand.definition.author = None;
        let Composed { manifest, refused, off } = composed(&hand);
        assert_eq!((refused, off.len()), (None, 0));
        assert_eq!(fits(&hand, &manifest), Ok(()));
    }

    #[test]
    fn rows_beside_a_seeded_definition_are_added_to_what_it_says() {
        let mut hand = by_hand();
        let mut without = manifest();
        without["actions"].as_array_mut().unwrap().pop();
        let seeded = loaded("acme", &without).manifest.unwrap();
        hand.definition.manifest = seeded.to_string();
        hand.definition.checksum = Some(crate::manifest::checksum(&*seeded));
        hand.rows.retain(|row| row.id == "acme/create");
        assert_eq!(fits(&hand, &wanted()), Ok(()));
        assert_eq!(hand.count(), 1);
    }
}
