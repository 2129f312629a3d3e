//! The rows of live versions that are not the stable one.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sower_core::plan::Operation;
use sower_core::rollout::Rollout;
use sower_core::rows::{RegistryRow, rows};

use crate::apply::{Writing, chunks};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::session::{Bind, Tx};

/// A content that lives beside the stable one, and where it comes from.
struct Candidate {
    manifest: Arc<str>,
    source: String,
    path: String,
    revision: String,
}

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
        let mut contents = known(tx, writing, rollout).await?;
        let Rollout { source, path, revision, .. } = rollout.clone();
        let new = Candidate { manifest: manifest.clone(), source, path, revision };
        contents.insert(rollout.to.checksum.clone(), new);
        let live: BTreeSet<(&str, &str)> = rollout
            .variants
            .iter()
            .filter(|variant| variant.checksum != rollout.from.checksum)
            .map(|variant| (variant.checksum.as_str(), variant.version.as_str()))
            .collect();
        for (checksum, version) in live {
            let unknown = || StoreError::Unreadable {
                what: format!("the manifest of {} {version}", rollout.integration),
                cause: "nobody holds it".to_owned(),
            };
            let candidate = contents.get(checksum).ok_or_else(unknown)?;
            written += one(tx, writing, version, candidate).await?;
        }
    }
    Ok(written)
}

/// The contents of a rollout's versions that were seeded at some time, by checksum.
async fn known(
    tx: &mut Tx,
    writing: &Writing<'_>,
    rollout: &Rollout,
) -> Result<BTreeMap<String, Candidate>, StoreError> {
    let asked: Vec<&str> = rollout.variants.iter().map(|variant| variant.checksum.as_str()).collect();
    let rows = tx
        .rows(
            "reading what a rollout compares",
            "SELECT checksum, manifest::text, source, path, revision FROM integration_versions \
             WHERE environment = $1 AND integration_id = $2 AND checksum = ANY($3)",
            &[writing.environment.into(), (&rollout.integration).into(), Bind::Texts(&asked)],
        )
        .await?;
    let one = |row: &crate::session::Row| {
        let (source, path, revision) = (row.text(2)?, row.text(3)?, row.text(4)?);
        Ok((row.text(0)?, Candidate { manifest: row.text(1)?.into(), source, path, revision }))
    };
    rows.iter().map(one).collect()
}

async fn one(
    tx: &mut Tx,
    writing: &Writing<'_>,
    version: &str,
    candidate: &Candidate,
) -> Result<u64, StoreError> {
    let unreadable = |cause: serde_json::Error| StoreError::Unreadable {
        what: "the manifest of a rollout".to_owned(),
        cause: cause.to_string(),
    };
    let rows = rows(&candidate.manifest).map_err(unreadable)?;
    let mut written = 0;
    for chunk in chunks(&rows.registry, |row: &RegistryRow<'_>| row.definition.len() + 256) {
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
        let bulk = Bulk { table: "registry_candidates", columns, on_conflict: "" };
        written += tx.bulk("writing the rows of a rollout", bulk).await?;
    }
    Ok(written)
}
