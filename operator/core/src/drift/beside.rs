//! What lives beside the stable rows: rollouts under way, and the rows of the versions that they bring to life.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Drifted, Ignored, Registry, There, of_registry};
use crate::rows::{Kind, RegistryRow, Rows, rows};

/// A version that a rollout brings to life, and its content in its canonical form; none: it cannot be had.
pub type Live<'a> = (&'a str, Option<&'a str>);

/// Which row it is of those beside the stable ones.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Beside {
    /// The integration that it belongs to.
    pub integration: String,
    /// The version that it is of.
    pub version: String,
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub id: String,
}

/// What drifted and is corrected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mend {
    /// Definitions and rows of the registries.
    pub rows: BTreeSet<(Registry, String)>,
    /// Rows beside those.
    pub beside: BTreeSet<Beside>,
    /// Integrations whose rollout is not what a seeding began: it ends.
    pub rollouts: BTreeSet<String>,
}

impl Mend {
    /// Nothing.
    pub const NOTHING: Self =
        Self { rows: BTreeSet::new(), beside: BTreeSet::new(), rollouts: BTreeSet::new() };

    /// Nothing is corrected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::NOTHING
    }

    /// These rows.
    pub fn of<'a>(drifted: impl IntoIterator<Item = &'a Drifted>) -> Self {
        let mut mend = Self::default();
        for Drifted { integration, registry, id, version, what: _ } in drifted {
            let (integration, id) = (integration.clone(), id.clone());
            match (version.clone(), *registry) {
                (None, registry) => drop(mend.rows.insert((registry, id))),
                (Some(version), Some(kind)) => {
                    mend.beside.insert(Beside { integration, version, kind, id });
                }
                (Some(_), None) => drop(mend.rollouts.insert(integration)),
            }
        }
        mend
    }
}

/// What of the rows beside the stable ones of an integration is off, each with the version that it names. `live`: the versions
/// that its rollout brings to life; without one that is under way there are none.
#[must_use]
pub fn drifted_beside(
    integration: &str,
    live: &[Live<'_>],
    there: &[(&str, There<RegistryRow<'_>>)],
    ignored: &Ignored,
) -> Vec<Drifted> {
    let live: BTreeMap<&str, Option<Rows<'_>>> =
        live.iter().map(|(version, content)| (*version, content.and_then(|text| rows(text).ok()))).collect();
    let mut expected: BTreeMap<(&str, Kind, &str), &RegistryRow<'_>> = BTreeMap::new();
    for (version, rows) in &live {
        for row in rows.iter().flat_map(|rows| &rows.registry) {
            expected.insert((version, row.kind, row.id.as_str()), row);
        }
    }
    let mut found = Vec::new();
    let mut note = |version: &str, kind, id: &str, what| {
        let (integration, id) = (integration.to_owned(), id.to_owned());
        let (registry, version) = (Some(kind), Some(version.to_owned()));
        found.push(Drifted { integration, registry, id, version, what });
    };
    for (version, there) in there {
        let wanted = expected.remove(&(*version, there.row.kind, there.row.id.as_str()));
        let unknown = live.get(version).is_some_and(Option::is_none);
        if let Some(what) = of_registry(wanted, unknown, there, ignored) {
            note(version, there.row.kind, &there.row.id, what);
        }
    }
    for (version, kind, id) in expected.into_keys() {
        note(version, kind, id, super::What::Missing);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::{Foreign, What, correctable};

    const NEW: &str = r#"{"actions":[{"id":"post","name":"Post"}],"events":[{"eventType":"said"}],"id":"slack","name":"Slack","version":"1.1.0"}"#;

    /// The rows of the new version, after a hand has been at them.
    fn check(
        live: &[Live<'_>],
        hand: impl FnOnce(&mut Vec<(&str, There<RegistryRow<'_>>)>),
        expected: &[(&str, &str, What)],
    ) {
        let written = rows(NEW).unwrap();
        let there =
            |row: RegistryRow<'static>| There { hash: Some(row.row_hash().to_vec()), checksum: None, row };
        let mut rows: Vec<_> = written.registry.into_iter().map(|row| ("1.1.0", there(row))).collect();
        hand(&mut rows);
        let found = drifted_beside("slack", live, &rows, &Ignored::default());
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.version.as_deref().unwrap_or_default(), &*one.id, one.what.clone()))
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn what_a_rollout_wrote_is_no_drift() {
        check(&[("1.1.0", Some(NEW))], |_| {}, &[]);
        // Of a content that cannot be had, each row says itself whether it changed.
        check(&[("1.1.0", None)], |_| {}, &[]);
    }

    #[test]
    fn rows_beside_are_told_apart_by_version() {
        check(
            &[("1.1.0", Some(NEW))],
            |rows| {
                let copy = rows[0].1.clone();
                rows[0].1.row.name = "By hand".into();
                rows.remove(1);
                rows.push(("6.6.6", copy));
            },
            &[
                ("1.1.0", "slack/post", What::Changed(vec!["name"])),
                ("6.6.6", "slack/post", What::Foreign(Foreign::Claiming)),
                ("1.1.0", "slack/said", What::Missing),
            ],
        );
    }

    #[test]
    fn without_a_rollout_nothing_lives_beside() {
        let claiming = What::Foreign(Foreign::Claiming);
        check(&[], |_| {}, &[("1.1.0", "slack/post", claiming.clone()), ("1.1.0", "slack/said", claiming)]);
    }

    #[test]
    fn what_is_corrected_is_told_apart_by_its_table() {
        let row = |registry, version: Option<&str>, what| Drifted {
            integration: "slack".into(),
            registry,
            id: "slack/post".into(),
            version: version.map(str::to_owned),
            what,
        };
        let claiming = || What::Foreign(Foreign::Claiming);
        let rows = [
            row(None, Some("1.1.0"), claiming()),
            row(Some(Kind::Action), None, What::Missing),
            row(Some(Kind::Action), Some("1.1.0"), claiming()),
        ];
        assert_eq!(rows.each_ref().map(Drifted::kind), ["rollout", "action", "action"]);
        let mend = Mend::of(&correctable(&rows));
        let beside = Beside {
            integration: "slack".into(),
            version: "1.1.0".into(),
            kind: Kind::Action,
            id: "slack/post".into(),
        };
        assert_eq!(
            mend,
            Mend {
                rows: [(Some(Kind::Action), "slack/post".to_owned())].into(),
                beside: [beside].into(),
                rollouts: ["slack".to_owned()].into(),
            }
        );
    }
}
