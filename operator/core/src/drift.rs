//! Drift: rows that no longer are what the last seeding wrote.
//!
//! A row has changed where the hash that was stored with it is not the hash of what is there. What is to be there is what
//! the log of changes says, and the rows of that content: a pure function of it.

mod beside;
mod found;
mod ignored;

use std::collections::BTreeMap;

pub use beside::{Beside, Live, Mend, drifted_beside};
pub use found::{Counted, Left, correctable, told};
pub use ignored::{Ignored, bad_field};

use crate::rows::{DefinitionRow, Kind, RegistryRow, Rows, rows};

/// The table that a row is of: none is `integration_definitions`.
pub type Registry = Option<Kind>;

/// A row that is not what the last seeding wrote.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drifted {
    /// The integration that it belongs to.
    pub integration: String,
    /// Its table.
    pub registry: Registry,
    /// Its id.
    pub id: String,
    /// Of what lives beside the stable rows: the version that is rolled out, or whose row it is.
    pub version: Option<String>,
    /// What is off.
    pub what: What,
}

impl Drifted {
    /// `integration`, `action`, `trigger`, `connection`, `event`, or `rollout`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        let whole = if self.version.is_some() { "rollout" } else { "integration" };
        self.registry.map_or(whole, Kind::as_str)
    }
}

/// What is off with a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// It was seeded and is not there.
    Missing,
    /// It is there, with other content in these columns. None: which ones cannot be told.
    Changed(Vec<&'static str>),
    /// No seeding wrote it.
    Foreign(Foreign),
}

/// How a row that no seeding wrote lies beside those that one wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Foreign {
    /// Beside them: it names no seeding, and Sower leaves it alone.
    Beside,
    /// In the place of one: it holds an id that was seeded, and names no seeding.
    InPlace,
    /// It names a seeding that did not write it, as a copied row does.
    Claiming,
}

/// What the log of changes says of an integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// It is carried; else it was taken out.
    pub carried: bool,
    /// Checksum of the content that is carried, or was last.
    pub checksum: String,
}

/// A row as it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct There<R> {
    /// Its public columns.
    pub row: R,
    /// The hash that was stored with it; none: it names no seeding.
    pub hash: Option<Vec<u8>>,
    /// The checksum that was stored with it.
    pub checksum: Option<String>,
}

/// What of one integration is off. `content` is the content that the log names, in its canonical form; without it missing
/// registry rows cannot be told.
#[must_use]
pub fn drifted(
    integration: &str,
    logged: Option<&Logged>,
    content: Option<&str>,
    definition: Option<&There<DefinitionRow<'_>>>,
    registry: &[There<RegistryRow<'_>>],
    ignored: &Ignored,
) -> Vec<Drifted> {
    let base = content.and_then(|content| rows(content).ok());
    let base = base.as_ref();
    let mut found = Vec::new();
    let mut note = |registry: Registry, id: &str, what: What| {
        let (integration, id) = (integration.to_owned(), id.to_owned());
        found.push(Drifted { integration, registry, id, version: None, what });
    };
    if let Some(what) = of_definition(logged, base, definition, ignored) {
        note(None, integration, what);
    }
    let carried = logged.is_some_and(|logged| logged.carried);
    let expected = base.filter(|_| carried).into_iter().flat_map(|base| &base.registry);
    let mut expected: BTreeMap<(Kind, &str), &RegistryRow<'_>> =
        expected.map(|row| ((row.kind, row.id.as_str()), row)).collect();
    for there in registry {
        let wanted = expected.remove(&(there.row.kind, there.row.id.as_str()));
        if let Some(what) = of_registry(wanted, carried && base.is_none(), there, ignored) {
            note(Some(there.row.kind), &there.row.id, what);
        }
    }
    for (kind, id) in expected.into_keys() {
        note(Some(kind), id, What::Missing);
    }
    found
}

fn of_definition(
    logged: Option<&Logged>,
    base: Option<&Rows<'_>>,
    there: Option<&There<DefinitionRow<'_>>>,
    ignored: &Ignored,
) -> Option<What> {
    let carried = logged.is_some_and(|logged| logged.carried);
    let Some(there) = there else { return carried.then_some(What::Missing) };
    let Some(hash) = &there.hash else {
        return Some(What::Foreign(if carried { Foreign::InPlace } else { Foreign::Beside }));
    };
    let removed = there.row.status == REMOVED;
    if logged.is_none() && !removed {
        return Some(What::Foreign(Foreign::Claiming));
    }
    // What was taken out keeps the hash of what was seeded, and so of the status that its manifest gives it.
    let mut row = there.row.clone();
    if removed && let Ok(own) = rows(there.row.manifest) {
        row.status = own.definition.status.into_owned().into();
    }
    let mut altered = row.row_hash()[..] != hash[..];
    let mut columns = Vec::new();
    if let (true, Some(base)) = (altered, base) {
        let base = &base.definition;
        let differing = off([
            ("name", row.name == base.name),
            ("version", row.version == base.version),
            ("author", row.author == base.author),
            ("manifest", row.manifest == base.manifest),
            ("status", row.status == base.status || removed),
        ]);
        columns = ignored.left(&differing, None, row.manifest, base.manifest);
        if differing.is_empty() {
            columns.push("row_hash");
        }
        altered = !columns.is_empty();
    }
    let status = removed == carried;
    if status && !columns.contains(&"status") {
        columns.push("status");
    }
    let checksum = logged.is_some_and(|l| l.carried && there.checksum.as_ref() != Some(&l.checksum));
    if checksum {
        columns.push("checksum");
    }
    (altered || status || checksum).then_some(What::Changed(columns))
}

/// `unknown`: nothing says which rows there are to be.
fn of_registry(
    wanted: Option<&RegistryRow<'_>>,
    unknown: bool,
    there: &There<RegistryRow<'_>>,
    ignored: &Ignored,
) -> Option<What> {
    let Some(hash) = &there.hash else {
        return Some(What::Foreign(if wanted.is_some() { Foreign::InPlace } else { Foreign::Beside }));
    };
    let Some(wanted) = wanted.filter(|_| !unknown) else {
        let altered = there.row.row_hash()[..] != hash[..];
        return match unknown {
            true => altered.then(|| What::Changed(Vec::new())),
            false => Some(What::Foreign(Foreign::Claiming)),
        };
    };
    let row = &there.row;
    if row.row_hash()[..] == hash[..] {
        return None;
    }
    let differing = off([
        ("integration_id", row.integration == wanted.integration),
        ("identifier", row.identifier == wanted.identifier),
        ("name", row.name == wanted.name),
        ("category", row.category == wanted.category),
        ("definition", row.definition == wanted.definition),
    ]);
    if differing.is_empty() {
        return Some(What::Changed(vec!["row_hash"]));
    }
    let columns = ignored.left(&differing, Some(row.kind), row.definition, wanted.definition);
    (!columns.is_empty()).then_some(What::Changed(columns))
}

/// The status of a definition that was taken out and stays for the rows of others.
pub const REMOVED: &str = "removed";

fn off<const N: usize>(columns: [(&'static str, bool); N]) -> Vec<&'static str> {
    columns.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::checksum;

    const SLACK: &str = concat!(
        r#"{"actions":[{"id":"post","name":"Post"}],"author":"AUTHOR","events":[{"eventType":"said"}],"#,
        r#""id":"slack","name":"Slack","version":"1.0.0"}"#
    );

    /// All rows of the manifest, as a seeding leaves them, after a hand has been at them.
    fn check(
        hand: impl FnOnce(
            &mut Vec<There<DefinitionRow<'_>>>,
            &mut Vec<There<RegistryRow<'_>>>,
            &mut Option<Logged>,
        ),
        expected: &[(&str, &str, What)],
    ) {
        let Rows { definition, registry } = rows(SLACK).unwrap();
        let logged = Logged { carried: true, checksum: checksum(SLACK) };
        let hash = Some(definition.row_hash().to_vec());
        let mut definitions = vec![There { row: definition, hash, checksum: Some(checksum(SLACK)) }];
        let mut registry: Vec<_> = registry
            .into_iter()
            .map(|row| There { hash: Some(row.row_hash().to_vec()), checksum: None, row })
            .collect();
        let mut logged = Some(logged);
        hand(&mut definitions, &mut registry, &mut logged);
        let found = drifted(
            "slack",
            logged.as_ref(),
            Some(SLACK),
            definitions.first(),
            &registry,
            &Ignored::default(),
        );
        let found: Vec<_> = found.iter().map(|one| (one.kind(), &*one.id, one.what.clone())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_was_seeded_has_not_drifted() {
        check(|_, _, _| {}, &[]);
    }

    #[test]
    fn a_changed_row_names_its_columns() {
        let columns = |names: &[&'static str]| What::Changed(names.to_vec());
        check(
            |definitions, registry, _| {
                definitions[0].row.name = "Slick".into();
                definitions[0].row.author = None;
                registry[0].row.category = Some("chat".into());
                registry[1].hash = Some(vec![0; 32]);
            },
            &[
                ("integration", "slack", columns(&["name", "author"])),
                ("action", "slack/post", columns(&["category"])),
                ("event", "slack/said", columns(&["row_hash"])),
            ],
        );
        check(
            |definitions, _, _| definitions[0].checksum = Some("v1:0".into()),
            &[("integration", "slack", columns(&["checksum"]))],
        );
        check(
            |definitions, _, _| definitions[0].row.status = REMOVED.into(),
            &[("integration", "slack", columns(&["status"]))],
        );
    }

    #[test]
    fn a_missing_row_is_named() {
        check(
            |definitions, registry, _| {
                definitions.clear();
                registry.clear();
            },
            &[
                ("integration", "slack", What::Missing),
                ("action", "slack/post", What::Missing),
                ("event", "slack/said", What::Missing),
            ],
        );
    }

    #[test]
    fn foreign_rows_are_told_apart() {
        check(
            |_, registry, _| {
                let mut mine = registry[0].clone();
                mine.row.id = "slack/mine".into();
                registry.push(mine.clone());
                mine.hash = None;
                mine.row.id = "mine".into();
                registry.push(mine);
                registry[1].hash = None;
            },
            &[
                ("event", "slack/said", What::Foreign(Foreign::InPlace)),
                ("action", "slack/mine", What::Foreign(Foreign::Claiming)),
                ("action", "mine", What::Foreign(Foreign::Beside)),
            ],
        );
    }

    #[test]
    fn what_was_taken_out_is_not_missing() {
        let out = |logged: &mut Option<Logged>| logged.as_mut().unwrap().carried = false;
        check(
            |definitions, registry, logged| {
                definitions.clear();
                registry.clear();
                out(logged);
            },
            &[],
        );
        check(
            |definitions, registry, logged| {
                definitions[0].row.status = REMOVED.into();
                registry.clear();
                out(logged);
            },
            &[],
        );
        check(
            |_, registry, logged| {
                registry.clear();
                out(logged);
            },
            &[("integration", "slack", What::Changed(vec!["status"]))],
        );
        check(
            |_, registry, logged| {
                registry.clear();
                *logged = None;
            },
            &[("integration", "slack", What::Foreign(Foreign::Claiming))],
        );
    }
}
