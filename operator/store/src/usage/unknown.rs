//! What a report names that never was: it would fill the tables with what somebody made up.

use std::collections::{BTreeMap, BTreeSet};

use sower_core::rows::{Kind, rows};
use sower_core::usage::Record;

use crate::apply::{HELD, ROWS};
use crate::error::StoreError;
use crate::open::Store;
use crate::session::{Bind, Tx};

/// What of a record is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unknown {
    /// The environment does not carry such a version, never did, and has it in no rollout.
    Version,
    /// Neither that version nor a live one has such an action.
    Action,
    /// Neither that version nor a live one has such a trigger.
    Trigger,
}

/// An integration, and one of its versions.
type Version<'a> = (&'a str, &'a str);
/// An action or a trigger, by the id of its row.
type Part = (Kind, String);

impl Store {
    /// What these records of an environment name that never was, by the place of the record among them.
    ///
    /// # Errors
    /// As [`Store::usage_since`].
    pub async fn unknown_usage(
        &self,
        environment: &str,
        records: &[&Record],
    ) -> Result<Vec<(usize, Unknown)>, StoreError> {
        let mut tx = self.read().await?;
        let known =
            versions(&mut tx, environment, &records.iter().map(|record| version(record)).collect()).await?;
        let mut parts: BTreeMap<Version<'_>, BTreeSet<Part>> = BTreeMap::new();
        for record in records {
            if let Some(part) = part(record).filter(|_| known.contains(&version(record))) {
                parts.entry(version(record)).or_default().insert(part);
            }
        }
        unlive(&mut tx, environment, &mut parts).await?;
        carried(&mut tx, environment, &mut parts).await?;
        tx.done();
        let unknown = records.iter().enumerate().filter_map(|(index, record)| {
            let key = version(record);
            if !known.contains(&key) {
                return Some((index, Unknown::Version));
            }
            let part =
                part(record).filter(|part| parts.get(&key).is_some_and(|parts| parts.contains(part)))?;
            Some((index, if part.0 == Kind::Trigger { Unknown::Trigger } else { Unknown::Action }))
        });
        Ok(unknown.collect())
    }
}

fn version(record: &Record) -> Version<'_> {
    (&record.integration, &record.version)
}

/// What a record is of, as a row of a registry is called.
fn part(record: &Record) -> Option<Part> {
    let of = |kind, name: &String| (kind, format!("{}/{name}", record.integration));
    let trigger = || record.trigger.as_ref().map(|name| of(Kind::Trigger, name));
    record.action.as_ref().map(|name| of(Kind::Action, name)).or_else(trigger)
}

/// Those of these versions that are carried, were carried, or are rolled out.
async fn versions<'a>(
    tx: &mut Tx,
    environment: &str,
    wanted: &BTreeSet<Version<'a>>,
) -> Result<BTreeSet<Version<'a>>, StoreError> {
    let sql = "SELECT id, version FROM integration_definitions \
         WHERE environment = $1 AND id = ANY($2) AND version = ANY($3) UNION \
         SELECT integration_id, version FROM integration_versions \
         WHERE environment = $1 AND integration_id = ANY($2) AND version = ANY($3) UNION \
         SELECT integration_id, version FROM registry_candidates \
         WHERE environment = $1 AND integration_id = ANY($2) AND version = ANY($3)";
    let mut known = BTreeSet::new();
    let wanted: Vec<Version<'_>> = wanted.iter().copied().collect();
    for chunk in wanted.chunks(ROWS) {
        let (ids, versions): (BTreeSet<&str>, BTreeSet<&str>) = chunk.iter().copied().unzip();
        let (ids, versions): (Vec<&str>, Vec<&str>) =
            (ids.into_iter().collect(), versions.into_iter().collect());
        let binds = [environment.into(), Bind::Texts(&ids), Bind::Texts(&versions)];
        for row in &tx.rows("looking for versions", sql, &binds).await? {
            let there = (row.text(0)?, row.text(1)?);
            if let Ok(at) = chunk.binary_search(&(there.0.as_str(), there.1.as_str())) {
                known.insert(chunk[at]);
            }
        }
    }
    Ok(known)
}

/// Leaves the parts that no live version has.
async fn unlive(
    tx: &mut Tx,
    environment: &str,
    parts: &mut BTreeMap<Version<'_>, BTreeSet<Part>>,
) -> Result<(), StoreError> {
    let sql = "SELECT 'action', id FROM action_registry WHERE environment = $1 AND id = ANY($2) UNION \
         SELECT 'trigger', id FROM trigger_registry WHERE environment = $1 AND id = ANY($2) UNION \
         SELECT kind, id FROM registry_candidates \
         WHERE environment = $1 AND integration_id = ANY($3) AND id = ANY($2)";
    let asked: Vec<(&str, &str)> =
        parts.iter().flat_map(|((id, _), parts)| parts.iter().map(|part| (*id, part.1.as_str()))).collect();
    let mut live: BTreeSet<(String, String)> = BTreeSet::new();
    for chunk in asked.chunks(ROWS) {
        let (of, ids): (BTreeSet<&str>, BTreeSet<&str>) = chunk.iter().copied().unzip();
        let (of, ids): (Vec<&str>, Vec<&str>) = (of.into_iter().collect(), ids.into_iter().collect());
        let binds = [environment.into(), Bind::Texts(&ids), Bind::Texts(&of)];
        for row in &tx.rows("looking for parts", sql, &binds).await? {
            live.insert((row.text(0)?, row.text(1)?));
        }
    }
    for parts in parts.values_mut() {
        parts.retain(|(kind, id)| !live.contains(&(kind.as_str().to_owned(), id.clone())));
    }
    parts.retain(|_, parts| !parts.is_empty());
    Ok(())
}

/// Leaves the parts that their version does not have either: as it was carried, whether or not that is long ago.
async fn carried(
    tx: &mut Tx,
    environment: &str,
    parts: &mut BTreeMap<Version<'_>, BTreeSet<Part>>,
) -> Result<(), StoreError> {
    let versions: Vec<Version<'_>> = parts.keys().copied().collect();
    for chunk in versions.chunks(HELD) {
        let (ids, numbers): (Vec<&str>, Vec<&str>) = chunk.iter().copied().unzip();
        let pairs: Vec<String> = chunk.iter().map(|(id, version)| format!("{id}@{version}")).collect();
        let pairs: Vec<&str> = pairs.iter().map(String::as_str).collect();
        let sql = "SELECT integration_id, version, manifest::text FROM integration_versions \
             WHERE environment = $1 AND integration_id = ANY($2) AND version = ANY($3) \
             AND integration_id || '@' || version = ANY($4)";
        let binds = [environment.into(), Bind::Texts(&ids), Bind::Texts(&numbers), Bind::Texts(&pairs)];
        for row in &tx.rows("looking for parts", sql, &binds).await? {
            let (id, version, manifest) = (row.text(0)?, row.text(1)?, row.text(2)?);
            let Ok(at) = chunk.binary_search(&(id.as_str(), version.as_str())) else { continue };
            let Some(parts) = parts.get_mut(&chunk[at]) else { continue };
            for had in rows(&manifest).map(|rows| rows.registry).unwrap_or_default() {
                parts.remove(&(had.kind, had.id));
            }
        }
    }
    Ok(())
}
