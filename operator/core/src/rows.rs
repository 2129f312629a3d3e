//! The rows of a manifest: what `integration_definitions` and the registries hold of it.
//!
//! Rows are a pure function of the canonical bytes. An item's definition is the very slice of those bytes, so it is
//! canonical by itself and nothing is written anew.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::hash::hex;

/// Version of this mapping: another number makes every environment look again at what it holds.
pub const MAPPING: u32 = 1;

/// Separates the columns that a hash covers.
const UNIT: &[u8] = b"\x1f";
/// Stands for a column that is null.
const NULL: &[u8] = b"\x1e";

/// The registries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// `action_registry`.
    Action,
    /// `trigger_registry`.
    Trigger,
    /// `connection_registry`.
    Connection,
    /// `event_registry`.
    Event,
}

impl Kind {
    /// Every registry.
    pub const ALL: [Self; 4] = [Self::Action, Self::Trigger, Self::Connection, Self::Event];

    /// The name of its table.
    #[must_use]
    pub fn table(self) -> &'static str {
        match self {
            Self::Action => "action_registry",
            Self::Trigger => "trigger_registry",
            Self::Connection => "connection_registry",
            Self::Event => "event_registry",
        }
    }

    /// `action`, `trigger`, `connection` or `event`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Trigger => "trigger",
            Self::Connection => "connection",
            Self::Event => "event",
        }
    }
}

/// A row of `integration_definitions`, without times and provenance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionRow<'a> {
    /// The integration.
    pub id: Cow<'a, str>,
    /// Display name.
    pub name: Cow<'a, str>,
    /// Semantic version.
    pub version: Cow<'a, str>,
    /// Who made it.
    pub author: Option<Cow<'a, str>>,
    /// The canonical bytes.
    pub manifest: &'a str,
    /// draft, published or deprecated.
    pub status: Cow<'a, str>,
}

impl DefinitionRow<'_> {
    /// The sha256 over the public columns, in the table's order.
    #[must_use]
    pub fn row_hash(&self) -> [u8; 32] {
        hash([
            Some(&*self.id),
            Some(&*self.name),
            Some(&*self.version),
            self.author.as_deref(),
            Some(self.manifest),
            Some(&*self.status),
        ])
    }
}

/// A row of a registry, without times and provenance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryRow<'a> {
    /// Which registry.
    pub kind: Kind,
    /// `<integration>/<identifier>`.
    pub id: String,
    /// The integration.
    pub integration: Cow<'a, str>,
    /// The item's id in its list; an event's type.
    pub identifier: Cow<'a, str>,
    /// Display name; an event's type.
    pub name: Cow<'a, str>,
    /// For grouping.
    pub category: Option<Cow<'a, str>>,
    /// The item's canonical bytes.
    pub definition: &'a str,
}

impl RegistryRow<'_> {
    /// The sha256 over the public columns, in the table's order.
    #[must_use]
    pub fn row_hash(&self) -> [u8; 32] {
        hash([
            Some(&*self.id),
            Some(&*self.integration),
            Some(&*self.identifier),
            Some(&*self.name),
            self.category.as_deref(),
            Some(self.definition),
        ])
    }

    /// `v1:<hex of the sha256 of the definition>`.
    #[must_use]
    pub fn checksum(&self) -> String {
        checksum(self.definition)
    }
}

/// All rows of one manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows<'a> {
    /// The definition's row.
    pub definition: DefinitionRow<'a>,
    /// The registries' rows, by registry and then in the manifest's order.
    pub registry: Vec<RegistryRow<'a>>,
}

impl Rows<'_> {
    /// Whether one of the registry rows has an id that a row of somebody else holds already.
    #[must_use]
    pub fn collides(&self, foreign: &BTreeSet<(Kind, String)>) -> bool {
        !foreign.is_empty() && self.registry.iter().any(|row| foreign.contains(&(row.kind, row.id.clone())))
    }
}

/// `v1:<hex of the sha256 of the bytes>`: v1 is the version of the canonical form.
#[must_use]
pub fn checksum(canonical: &str) -> String {
    format!("v1:{}", hex(&Sha256::digest(canonical)))
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow, default)]
    author: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    lifecycle: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    actions: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    triggers: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    connections: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    events: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, alias = "eventType")]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    category: Option<Cow<'a, str>>,
}

/// The rows of a manifest in its canonical form.
///
/// # Errors
/// Where the text is not the canonical form of a manifest.
pub fn rows(canonical: &str) -> Result<Rows<'_>, serde_json::Error> {
    let Document { id, name, version, author, lifecycle, actions, triggers, connections, events } =
        serde_json::from_str(canonical)?;
    let mut registry = Vec::with_capacity(actions.len() + triggers.len() + connections.len() + events.len());
    let lists = [actions, triggers, connections, events];
    for (kind, items) in Kind::ALL.into_iter().zip(lists) {
        // A table holds an id once: of several events of one type the first stands for all.
        let mut seen = BTreeSet::new();
        for raw in items {
            let item: Item<'_> = serde_json::from_str(raw.get())?;
            if !seen.insert(item.id.clone()) {
                continue;
            }
            let name = match kind {
                Kind::Event => item.id.clone(),
                _ => item.name.unwrap_or_else(|| item.id.clone()),
            };
            registry.push(RegistryRow {
                kind,
                id: format!("{id}/{}", item.id),
                integration: id.clone(),
                identifier: item.id,
                name,
                category: item.category,
                definition: raw.get(),
            });
        }
    }
    let status = lifecycle.unwrap_or(Cow::Borrowed("published"));
    let definition = DefinitionRow { id, name, version, author, manifest: canonical, status };
    Ok(Rows { definition, registry })
}

fn hash<const N: usize>(columns: [Option<&str>; N]) -> [u8; 32] {
    let mut sha = Sha256::new();
    for (index, column) in columns.into_iter().enumerate() {
        if index > 0 {
            sha.update(UNIT);
        }
        sha.update(column.map_or(NULL, str::as_bytes));
    }
    sha.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: &str = concat!(
        r#"{"actions":[{"category":"tasks","id":"task.create","name":"Create a \"task\"","request":{"method":"POST"}}],"#,
        r#""author":"Acme Inc.","connections":[{"id":"key","name":"API key","type":"apiKey"}],"#,
        r#""events":[{"eventType":"task.completed"},{"eventType":"task.completed","version":"2"}],"id":"acme","name":"Acme","#,
        r#""triggers":[{"event":"task.completed","id":"done","name":"Done"}],"version":"1.4.0"}"#
    );

    #[test]
    fn a_manifest_becomes_its_rows() {
        let rows = rows(ACME).unwrap();
        assert_eq!(rows.definition.status, "published");
        assert_eq!(rows.definition.author.as_deref(), Some("Acme Inc."));
        let ids: Vec<_> = rows.registry.iter().map(|row| (row.kind, &*row.id, &*row.name)).collect();
        assert_eq!(
            ids,
            [
                (Kind::Action, "acme/task.create", "Create a \"task\""),
                (Kind::Trigger, "acme/done", "Done"),
                (Kind::Connection, "acme/key", "API key"),
                (Kind::Event, "acme/task.completed", "task.completed"),
            ]
        );
        assert_eq!(rows.registry[2].definition, r#"{"id":"key","name":"API key","type":"apiKey"}"#);
        assert!(rows.collides(&[(Kind::Event, "acme/task.completed".to_owned())].into()));
        assert!(!rows.collides(&[(Kind::Action, "acme/task.completed".to_owned())].into()));
    }

    /// A change of these is a change of what every database holds.
    #[test]
    fn hashes_stay_as_they_are() {
        let rows = rows(ACME).unwrap();
        let hashes: Vec<_> = rows.registry.iter().map(|row| hex(&row.row_hash())).collect();
        let by_hand =
            "acme/done\x1facme\x1fdone\x1fDone\x1f\x1e\x1f".to_owned() + rows.registry[1].definition;
        assert_eq!(hashes[1], hex(&Sha256::digest(by_hand)));
        assert_eq!(
            hex(&rows.definition.row_hash()),
            "f4e2b07b2efc0807e4cfe83f6e5ca8f6f676c4e7e1f65980ca4e7694f37405b8"
        );
        assert_eq!(hashes[0], "47231ba935a1716dfdaa9b33c8e3c32056afba4ad8dbc57024fc2383ed3c1f1d");
        assert_eq!(
            rows.registry[0].checksum(),
            "v1:9d129437d62b7fbd64fee2a6bfcc597b7b3756629e6ed9cc4a902d06abbc07ec"
        );
    }
}
