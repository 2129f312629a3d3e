//! The rows of live versions that are not the stable one.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sower_core::drift::Beside;
use sower_core::plan::Operation;
use sower_core::rollout::Rollout;
use sower_core::rows::{Kind, RegistryRow, checksum, rows};

use crate::apply::{HELD, Writing, chunks};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::rollouts::seal;
use crate::session::{Bind, Tx};

/// A content that lives beside the stable one, and where it comes from.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub(crate) manifest: Arc<str>,
    source: String,
    path: String,
    revision: String,
}

/// A content of an integration: its id, its version, its checksum.
pub(crate) type Key<'a> = (&'a str, &'a str, &'a str);

/// Writes the rows of every version that a rollout brings to life which begins with one of these operations: they hold the
/// manifests of what is rolled out; what it is compared with is known from earlier. Says how many rows were written.
pub(crate) async fn write(
    tx: &mut Tx,
    writing: &Writing<'_>,
    rollouts: &[Rollout],
    operations: &[(&Operation, Option<Arc<str>>)],
) -> Result<u64, StoreError> {
    let mut written = 0;
    for rollout in rollouts {
        let brought = operations.iter().find(|(operation, _)| operation.id == rollout.integration);
        let Some((_, Some(manifest))) = brought else { continue };
        let id = rollout.integration.as_str();
        let live: BTreeSet<Key<'_>> = rollout
            .variants
            .iter()
            .filter(|variant| variant.checksum != rollout.from.checksum)
            .map(|variant| (id, variant.version.as_str(), variant.checksum.as_str()))
            .collect();
        let live: Vec<Key<'_>> = live.into_iter().collect();
        let mut contents = known(tx, writing.environment, &live).await?;
        let Rollout { source, path, revision, .. } = rollout.clone();
        let new = Candidate { manifest: manifest.clone(), source, path, revision };
        contents.insert((id, rollout.to.checksum.as_str()), new);
        // A rollout whose row a hand took away left its rows.
        delete(tx, writing, "integration_id = $2", &[id.into()]).await?;
        for key @ (_, version, content) in live {
            let unknown = || StoreError::Unreadable {
                what: format!("the manifest of {id} {version}"),
                cause: "nobody holds it".to_owned(),
            };
            let candidate = contents.get(&(id, content)).ok_or_else(unknown)?;
            written += one(tx, writing, key, candidate, None).await?;
        }
    }
    Ok(written)
}

/// Makes rows that drifted what the rollouts under way say: writes them, or deletes what no rollout brought to life. Says how
/// many rows were touched.
pub(crate) async fn mend(
    tx: &mut Tx,
    writing: &Writing<'_>,
    drifted: &BTreeSet<Beside>,
) -> Result<u64, StoreError> {
    if drifted.is_empty() {
        return Ok(0);
    }
    let rollouts = seal::under_way(tx, writing.environment).await?;
    let ids: BTreeSet<&str> = drifted.iter().map(|row| row.integration.as_str()).collect();
    let ids: Vec<&str> = ids.into_iter().collect();
    let mut touched = 0;
    for ids in ids.chunks(HELD) {
        let of = |id: &&str| rollouts.get_key_value(*id).filter(|(_, rollout)| rollout.readable);
        let live = ids.iter().filter_map(of).flat_map(|(id, rollout)| {
            rollout.live.iter().map(|c| (id.as_str(), c.version.as_str(), c.checksum.as_str()))
        });
        let live: Vec<Key<'_>> = live.collect();
        let contents = known(tx, writing.environment, &live).await?;
        let of_these = drifted.iter().filter(|row| ids.contains(&row.integration.as_str()));
        let mut gone: BTreeSet<&Beside> = of_these.clone().collect();
        for key @ (id, version, content) in live {
            let of_it = of_these.clone().filter(|row| row.integration == id && row.version == version);
            let Some(candidate) = contents.get(&(id, content)) else {
                // What they are to be cannot be had: they stay.
                gone.retain(|row| row.integration != id || row.version != version);
                continue;
            };
            let wanted: BTreeSet<(Kind, &str)> = of_it.map(|row| (row.kind, row.id.as_str())).collect();
            touched += one(tx, writing, key, candidate, Some(&wanted)).await?;
            let there = rows(&candidate.manifest).map_err(unreadable)?.registry;
            let there: BTreeSet<(Kind, &str)> = there.iter().map(|row| (row.kind, row.id.as_str())).collect();
            gone.retain(|row| {
                let is_of_it = row.integration == id && row.version == version;
                !(is_of_it && there.contains(&(row.kind, row.id.as_str())))
            });
        }
        for Beside { integration, version, kind, id } in gone {
            let which = "integration_id = $2 AND version = $3 AND kind = $4 AND id = $5";
            let binds = [integration.into(), version.into(), kind.as_str().into(), id.into()];
            touched += delete(tx, writing, which, &binds).await?;
        }
    }
    Ok(touched)
}

async fn delete(
    tx: &mut Tx,
    writing: &Writing<'_>,
    which: &str,
    binds: &[Bind<'_>],
) -> Result<u64, StoreError> {
    let sql = format!("DELETE FROM registry_candidates WHERE environment = $1 AND {which}");
    let binds: Vec<Bind<'_>> =
        [writing.environment.into()].into_iter().chain(binds.iter().copied()).collect();
    tx.run("taking rows of rollouts", &sql, &binds).await
}

/// Those of these contents that were seeded, or rolled out, at some time; by id and checksum.
pub(crate) async fn known<'a>(
    tx: &mut Tx,
    environment: &str,
    wanted: &[Key<'a>],
) -> Result<BTreeMap<(&'a str, &'a str), Candidate>, StoreError> {
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (ids, checksums): (Vec<&str>, Vec<&str>) =
        wanted.iter().map(|(id, _, checksum)| (*id, *checksum)).unzip();
    let rows = tx
        .rows(
            "reading what a rollout compares",
            "SELECT integration_id, checksum, manifest::text, source, path, revision FROM integration_versions \
             WHERE environment = $1 AND integration_id = ANY($2) AND checksum = ANY($3)",
            &[environment.into(), Bind::Texts(&ids), Bind::Texts(&checksums)],
        )
        .await?;
    let mut known = BTreeMap::new();
    for row in &rows {
        let (id, stored, manifest) = (row.text(0)?, row.text(1)?, row.text(2)?);
        let Some((id, _, stored)) = wanted.iter().find(|key| key.0 == id && key.2 == stored) else {
            continue;
        };
        if checksum(&manifest) == *stored {
            let (source, path, revision) = (row.text(3)?, row.text(4)?, row.text(5)?);
            known.insert((*id, *stored), Candidate { manifest: manifest.into(), source, path, revision });
        }
    }
    Ok(known)
}

fn unreadable(cause: serde_json::Error) -> StoreError {
    StoreError::Unreadable { what: "the manifest of a rollout".to_owned(), cause: cause.to_string() }
}

/// Writes the rows of a content, or those of them that are named.
async fn one(
    tx: &mut Tx,
    writing: &Writing<'_>,
    (_, version, _): Key<'_>,
    candidate: &Candidate,
    only: Option<&BTreeSet<(Kind, &str)>>,
) -> Result<u64, StoreError> {
    let mut rows = rows(&candidate.manifest).map_err(unreadable)?.registry;
    rows.retain(|row| only.is_none_or(|only| only.contains(&(row.kind, row.id.as_str()))));
    let mut written = 0;
    for chunk in chunks(&rows, |row: &RegistryRow<'_>| row.definition.len() + 256) {
        macro_rules! texts {
            (|$row:ident| $value:expr) => {
                Column::Text(chunk.iter().map(|$row| $value.map(Cow::Borrowed)).collect())
            };
        }
        let columns = vec![
            ("environment", Column::Same(writing.environment)),
            ("kind", texts!(|row| Some(row.kind.as_str()))),
            ("id", texts!(|row| Some(row.id.as_str()))),
            ("version", Column::Same(version)),
            ("integration_id", texts!(|row| Some(&*row.integration))),
            ("identifier", texts!(|row| Some(&*row.identifier))),
            ("name", texts!(|row| Some(&*row.name))),
            ("category", texts!(|row| row.category.as_deref())),
            (
                "definition",
                Column::Json(chunk.iter().map(|row| Some(Cow::Borrowed(row.definition))).collect()),
            ),
            ("created_at", Column::Time(writing.now)),
            ("updated_at", Column::Time(writing.now)),
            ("source", Column::Same(&candidate.source)),
            ("revision", Column::Same(&candidate.revision)),
            ("path", Column::Same(&candidate.path)),
            ("checksum", Column::Text(chunk.iter().map(|row| Some(Cow::Owned(row.checksum()))).collect())),
            ("row_hash", Column::Bytes(chunk.iter().map(RegistryRow::row_hash).collect())),
            ("seeding", Column::Same(writing.seeding)),
        ];
        let on_conflict = "(environment, integration_id, version, kind, id) DO UPDATE SET \
             identifier = excluded.identifier, name = excluded.name, category = excluded.category, \
             definition = excluded.definition, updated_at = excluded.updated_at, source = excluded.source, \
             revision = excluded.revision, path = excluded.path, checksum = excluded.checksum, \
             row_hash = excluded.row_hash, seeding = excluded.seeding";
        let bulk = Bulk { table: "registry_candidates", columns, on_conflict };
        written += tx.bulk("writing the rows of a rollout", bulk).await?;
    }
    Ok(written)
}
