//! The rows of a seeding, set by set: one statement per table and chunk, and only for rows that differ.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sower_core::drift::{Mend, Registry};
use sower_core::plan::{Content, Operation, Verb};
use sower_core::rollout::{Rollout, State};
use sower_core::rows::Rows;

use crate::bulk::{Bulk, Column};
use crate::environment::AppliedSource;
use crate::error::StoreError;
use crate::memory::{self, ManifestDelta, document_id};
use crate::registry;
use crate::rollouts::RolloutDelta;
use crate::seeding::{Counts, Seeding};
use crate::session::{Bind, Tx};

/// Most rows of one statement.
pub(crate) const ROWS: usize = 1000;
/// Integrations, or versions of them, whose rows or contents are held in memory at once.
pub(crate) const HELD: usize = 32;
/// Most bytes of one statement, but for a single row that is larger.
const BYTES: usize = 8 << 20;
/// What brings an integration back that had been taken out and was kept, as `seeding_changes.operation` holds it.
const RESTORE: &str = "restore";

/// Cuts a list into pieces of at most [`ROWS`] rows and [`BYTES`] bytes.
pub(crate) fn chunks<T>(all: &[T], size: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    let mut rest = all;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = rest
            .iter()
            .take(ROWS)
            .take_while(|item| {
                bytes += size(item);
                bytes <= BYTES
            })
            .count();
        let (chunk, after) = rest.split_at(fitting.max(1).min(rest.len()));
        rest = after;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// What the rows of one transaction share.
pub(crate) struct Writing<'a> {
    pub environment: &'a str,
    pub seeding: &'a str,
    pub anew: Anew<'a>,
    pub now: &'a str,
}

/// Whose rows are written although they do not differ from what was stored with them.
pub(crate) struct Anew<'a> {
    /// Everybody's.
    pub reseed: bool,
    /// Those of these integrations: hands changed them, and what was stored with them is not what is there.
    pub merged: BTreeSet<&'a str>,
    /// These rows: they drifted.
    pub mend: &'a Mend,
}

impl Anew<'_> {
    pub(crate) fn mends(&self, registry: Registry, id: &str) -> bool {
        !self.mend.rows.is_empty() && self.mend.rows.contains(&(registry, id.to_owned()))
    }

    pub(crate) fn writes(&self, integration: &str) -> bool {
        self.reseed || self.merged.contains(integration)
    }
}

/// An operation that brings rows in.
pub(crate) struct Incoming<'a> {
    pub operation: &'a Operation,
    pub rows: Rows<'a>,
    pub path: &'a str,
    pub revision: &'a str,
}

/// Writes all operations, then what is remembered of the documents.
#[expect(clippy::too_many_arguments, reason = "the parts of a write that are still to be done")]
pub(crate) async fn apply(
    tx: &mut Tx,
    seeding: &Seeding,
    seq: i64,
    mut operations: Vec<(&Operation, Option<Arc<str>>)>,
    anew: Anew<'_>,
    now: &str,
    manifests: &ManifestDelta<'_>,
    applied: &BTreeMap<String, AppliedSource>,
    rollouts: RolloutDelta<'_>,
) -> Result<Counts, StoreError> {
    let writing = Writing { environment: &seeding.fence.environment, seeding: &seeding.id, anew, now };
    let mut counts = Counts::default();
    counts.rows_written += crate::candidates::mend(tx, &writing, &writing.anew.mend.beside).await?;
    let staged = operations.extract_if(.., |(operation, _)| operation.staged).collect::<Vec<_>>();
    counts.rows_written += stage(tx, &writing, staged, rollouts.begin, &mut counts).await?;

    let gone: Vec<&str> =
        operations.iter().filter(|(o, _)| o.verb == Verb::Remove).map(|(o, _)| o.id.as_str()).collect();
    counts.rows_written += crate::remove::integrations(tx, &writing, &gone).await?;
    let new: Vec<&str> =
        operations.iter().filter(|(o, _)| o.verb == Verb::Create).map(|(o, _)| o.id.as_str()).collect();
    let restored = crate::remove::kept(tx, &writing, &new).await?;
    let ended: Ended<'_> = rollouts.end.iter().map(|one| (one.integration.as_str(), one)).collect();
    changes(tx, &writing, seq, &operations, &restored, &ended).await?;

    // A piece at a time, so that no more manifests are held than were handed over.
    for piece in operations.chunks_mut(ROWS) {
        look_up(tx, &writing, piece).await?;
        let incoming: Vec<(&Operation, &Arc<str>)> = piece
            .iter()
            .filter(|(operation, _)| operation.verb != Verb::Remove)
            .map(|(operation, manifest)| {
                manifest.as_ref().map(|m| (*operation, m)).ok_or_else(|| missing(&operation.id))
            })
            .collect::<Result<_, _>>()?;
        for chunk in chunks(&incoming, |(_, manifest)| manifest.len()) {
            let chunk: Vec<Incoming<'_>> = chunk
                .iter()
                .map(|(operation, manifest)| incoming_rows(operation, manifest))
                .collect::<Result<_, _>>()?;
            counts.rows_written += definitions(tx, &writing, &chunk).await?;
            versions(tx, &writing, &chunk).await?;
            registry::write(tx, &writing, &chunk, &mut counts).await?;
        }
        piece.iter_mut().for_each(|(_, manifest)| *manifest = None);
    }
    crate::remove::restore(tx, &writing, &restored).await?;
    counts.restored = restored.len();
    for (operation, _) in &operations {
        match operation.verb {
            Verb::Create => counts.created += 1,
            Verb::Update | Verb::Move if is_given_up(&ended, operation) => counts.given_up += 1,
            Verb::Update | Verb::Move => counts.updated += 1,
            Verb::Remove => counts.deleted += 1,
        }
    }
    memory::write(tx, writing.environment, manifests, applied, now).await?;
    let touched: Vec<&str> = operations.iter().map(|(operation, _)| operation.id.as_str()).collect();
    memory::settle_status(tx, writing.environment, &touched, now).await?;
    Ok(counts)
}

/// What lives beside the stable rows: the contents, and the rows of the rollouts that begin.
async fn stage(
    tx: &mut Tx,
    writing: &Writing<'_>,
    mut operations: Vec<(&Operation, Option<Arc<str>>)>,
    begin: &[Rollout],
    counts: &mut Counts,
) -> Result<u64, StoreError> {
    if operations.is_empty() {
        return Ok(0);
    }
    counts.staged = operations.len();
    let mut written = 0;
    for piece in operations.chunks_mut(ROWS) {
        look_up(tx, writing, piece).await?;
        let incoming: Vec<Incoming<'_>> = piece
            .iter()
            .map(|(operation, manifest)| {
                let manifest = manifest.as_ref().ok_or_else(|| missing(&operation.id))?;
                incoming_rows(operation, manifest)
            })
            .collect::<Result<_, _>>()?;
        for chunk in chunks(&incoming, |incoming| incoming.rows.definition.manifest.len()) {
            versions(tx, writing, chunk).await?;
        }
        written += crate::candidates::write(tx, writing, begin, piece).await?;
    }
    Ok(written)
}

fn missing(id: &str) -> StoreError {
    StoreError::Unreadable { what: format!("the manifest of {id}"), cause: "nobody holds it".to_owned() }
}

pub(crate) fn incoming_rows<'a>(
    operation: &'a Operation,
    manifest: &'a str,
) -> Result<Incoming<'a>, StoreError> {
    let unreadable =
        |cause: String| StoreError::Unreadable { what: format!("the manifest of {}", operation.id), cause };
    let rows = sower_core::rows::rows(manifest).map_err(|error| unreadable(error.to_string()))?;
    if rows.definition.id != operation.id {
        return Err(unreadable(format!("it is the manifest of {}", rows.definition.id)));
    }
    let place = operation.place.as_ref().ok_or_else(|| unreadable("it has no place".to_owned()))?;
    let revision = operation.revision.as_deref().unwrap_or_default();
    Ok(Incoming { operation, rows, path: &place.path, revision })
}

/// Fills in manifests that were not handed over: from the documents remembered, else from the definitions there are, else
/// from the contents there ever were (a definition that drifted holds something else), else from the plans that wait.
async fn look_up(
    tx: &mut Tx,
    writing: &Writing<'_>,
    operations: &mut [(&Operation, Option<Arc<str>>)],
) -> Result<(), StoreError> {
    let mut wanted: Vec<(usize, String, String)> = Vec::new();
    for (index, (operation, manifest)) in operations.iter().enumerate() {
        if let (None, Some(to), Some(place)) = (manifest, &operation.to, &operation.place) {
            wanted.push((index, document_id(place), to.checksum.clone()));
        }
    }
    let sources = [
        "SELECT id, manifest::text FROM integration_manifests \
         WHERE environment = $1 AND id = ANY($2) AND checksum = ANY($3) AND manifest IS NOT NULL",
        "SELECT id, manifest::text FROM integration_definitions \
         WHERE environment = $1 AND id = ANY($2) AND checksum = ANY($3) AND seeding IS NOT NULL",
        "SELECT integration_id, manifest::text FROM integration_versions \
         WHERE environment = $1 AND integration_id = ANY($2) AND checksum = ANY($3)",
        "SELECT integration_id, manifest::text FROM seeding_plan_contents \
         WHERE environment = $1 AND integration_id = ANY($2) AND checksum = ANY($3)",
    ];
    for (round, sql) in sources.into_iter().enumerate() {
        for chunk in wanted.chunks(ROWS) {
            let open: Vec<_> = chunk.iter().filter(|(index, ..)| operations[*index].1.is_none()).collect();
            if open.is_empty() {
                continue;
            }
            let key = |(index, document, _): &(usize, String, String)| {
                if round == 0 { document.clone() } else { operations[*index].0.id.clone() }
            };
            let keys: Vec<String> = open.iter().map(|entry| key(entry)).collect();
            let ids: Vec<&str> = keys.iter().map(String::as_str).collect();
            let checksums: Vec<&str> = open.iter().map(|(.., checksum)| checksum.as_str()).collect();
            let rows = tx
                .rows(
                    "looking up manifests",
                    sql,
                    &[writing.environment.into(), Bind::Texts(&ids), Bind::Texts(&checksums)],
                )
                .await?;
            let mut found = HashMap::with_capacity(rows.len());
            for row in &rows {
                found.insert(row.text(0)?, row.text(1)?);
            }
            for ((index, _, checksum), key) in open.into_iter().zip(keys) {
                // The statement compares two sets; the pair is compared here.
                let manifest =
                    found.remove(&key).filter(|text| sower_core::rows::checksum(text) == *checksum);
                operations[*index].1 = manifest.map(Arc::from);
            }
        }
    }
    Ok(())
}

/// Column of a chunk's rows, borrowed from them.
macro_rules! texts {
    ($chunk:expr, |$row:ident| $value:expr) => {
        Column::Text($chunk.iter().map(|$row| $value.map(Cow::Borrowed)).collect())
    };
}

/// Whether the definition of an operation is to be written: of what drifted alone, only where it did so itself.
fn differs(incoming: &Incoming<'_>, writing: &Writing<'_>) -> bool {
    let Operation { id, verb, from, to, .. } = incoming.operation;
    let Writing { anew, .. } = writing;
    let mends = *verb == Verb::Update && from == to && !anew.mend.is_empty();
    !mends || anew.writes(id) || anew.mends(None, id)
}

/// Says how many were written.
async fn definitions(tx: &mut Tx, writing: &Writing<'_>, chunk: &[Incoming<'_>]) -> Result<u64, StoreError> {
    let chunk: Vec<&Incoming<'_>> = chunk.iter().filter(|incoming| differs(incoming, writing)).collect();
    let columns = vec![
        ("id", texts!(chunk, |i| Some(i.operation.id.as_str()))),
        ("name", texts!(chunk, |i| Some(&*i.rows.definition.name))),
        ("version", texts!(chunk, |i| Some(&*i.rows.definition.version))),
        ("author", texts!(chunk, |i| i.rows.definition.author.as_deref())),
        (
            "manifest",
            Column::Json(chunk.iter().map(|i| Some(Cow::Borrowed(i.rows.definition.manifest))).collect()),
        ),
        ("status", texts!(chunk, |i| Some(&*i.rows.definition.status))),
        ("created_at", Column::Time(writing.now)),
        ("updated_at", Column::Time(writing.now)),
        ("environment", Column::Same(writing.environment)),
        ("source", texts!(chunk, |i| Some(i.operation.source.as_str()))),
        ("revision", texts!(chunk, |i| Some(i.revision))),
        ("path", texts!(chunk, |i| Some(i.path))),
        ("checksum", texts!(chunk, |i| i.operation.to.as_ref().map(|to| to.checksum.as_str()))),
        ("row_hash", Column::Bytes(chunk.iter().map(|i| i.rows.definition.row_hash()).collect())),
        ("seeding", Column::Same(writing.seeding)),
        ("prune", texts!(chunk, |i| i.operation.prune_disabled.then_some(memory::DISABLED))),
    ];
    let on_conflict = "(environment, id) DO UPDATE SET name = excluded.name, version = excluded.version, \
         author = excluded.author, manifest = excluded.manifest, status = excluded.status, removed_at = NULL, \
         updated_at = excluded.updated_at, source = excluded.source, revision = excluded.revision, path = excluded.path, \
         checksum = excluded.checksum, row_hash = excluded.row_hash, seeding = excluded.seeding, \
         prune = excluded.prune WHERE t.seeding IS NOT NULL";
    let bulk = Bulk { table: "integration_definitions", columns, on_conflict };
    let written = tx.bulk("writing definitions", bulk).await?;
    if written == chunk.len() as u64 {
        return Ok(written);
    }
    let ids: Vec<&str> = chunk.iter().map(|incoming| incoming.operation.id.as_str()).collect();
    let rows = tx
        .rows(
            "reading foreign definitions",
            "SELECT id FROM integration_definitions WHERE environment = $1 AND id = ANY($2) AND seeding IS NULL ORDER BY id",
            &[writing.environment.into(), Bind::Texts(&ids)],
        )
        .await?;
    let integrations = rows.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?;
    Err(StoreError::ForeignRow { integrations })
}

pub(crate) async fn versions(
    tx: &mut Tx,
    writing: &Writing<'_>,
    chunk: &[Incoming<'_>],
) -> Result<(), StoreError> {
    let chunk: Vec<&Incoming<'_>> = chunk.iter().filter(|i| i.operation.verb != Verb::Move).collect();
    let columns = vec![
        ("integration_id", texts!(chunk, |i| Some(i.operation.id.as_str()))),
        ("version", texts!(chunk, |i| Some(&*i.rows.definition.version))),
        (
            "manifest",
            Column::Json(chunk.iter().map(|i| Some(Cow::Borrowed(i.rows.definition.manifest))).collect()),
        ),
        ("created_at", Column::Time(writing.now)),
        ("environment", Column::Same(writing.environment)),
        ("source", texts!(chunk, |i| Some(i.operation.source.as_str()))),
        ("revision", texts!(chunk, |i| Some(i.revision))),
        ("path", texts!(chunk, |i| Some(i.path))),
        ("checksum", texts!(chunk, |i| i.operation.to.as_ref().map(|to| to.checksum.as_str()))),
        ("seeding", Column::Same(writing.seeding)),
    ];
    let on_conflict = "(environment, integration_id, version, checksum) DO NOTHING";
    tx.bulk("writing versions", Bulk { table: "integration_versions", columns, on_conflict }).await?;
    Ok(())
}

/// The rollouts that end, by integration.
pub(crate) type Ended<'a> = BTreeMap<&'a str, &'a Rollout>;

/// The sources are back at what all have: nothing but the rollout ends.
fn is_given_up(ended: &Ended<'_>, operation: &Operation) -> bool {
    ended.get(operation.id.as_str()).is_some_and(|rollout| {
        rollout.state == State::Superseded && operation.to.as_ref() == Some(&rollout.from)
    })
}

/// Notes what is changed of what all have: where a rollout ends, that was its stable version, whatever git had offered.
pub(crate) async fn changes(
    tx: &mut Tx,
    writing: &Writing<'_>,
    seq: i64,
    operations: &[(&Operation, Option<Arc<str>>)],
    restored: &BTreeSet<String>,
    ended: &Ended<'_>,
) -> Result<(), StoreError> {
    let name = |operation: &Operation| match operation.verb {
        Verb::Create if restored.contains(&operation.id) => RESTORE,
        verb => verb.as_str(),
    };
    let before = |operation: &Operation| ended.get(operation.id.as_str()).map(|rollout| &rollout.from);
    let changed: Vec<&(&Operation, Option<Arc<str>>)> =
        operations.iter().filter(|(operation, _)| !is_given_up(ended, operation)).collect();
    for chunk in changed.chunks(ROWS) {
        let from: Vec<Option<&Content>> =
            chunk.iter().map(|(o, _)| o.from.as_ref().map(|from| before(o).unwrap_or(from))).collect();
        let columns = vec![
            ("environment", Column::Same(writing.environment)),
            ("integration_id", texts!(chunk, |o| Some(o.0.id.as_str()))),
            ("seq", Column::Int(chunk.iter().map(|_| seq).collect())),
            ("operation", texts!(chunk, |o| Some(name(o.0)))),
            ("from_version", texts!(from, |from| from.map(|from| from.version.as_str()))),
            ("from_checksum", texts!(from, |from| from.map(|from| from.checksum.as_str()))),
            ("to_version", texts!(chunk, |o| o.0.to.as_ref().map(|to| to.version.as_str()))),
            ("to_checksum", texts!(chunk, |o| o.0.to.as_ref().map(|to| to.checksum.as_str()))),
            ("source", texts!(chunk, |o| o.0.to.as_ref().map(|_| o.0.source.as_str()))),
            ("path", texts!(chunk, |o| o.0.place.as_ref().map(|place| place.path.as_str()))),
            ("revision", texts!(chunk, |o| o.0.revision.as_deref())),
        ];
        tx.bulk("writing changes", Bulk { table: "seeding_changes", columns, on_conflict: "" }).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_bounded_in_rows_and_bytes() {
        let lengths = |sizes: &[usize]| chunks(sizes, |size| *size).map(<[usize]>::len).collect::<Vec<_>>();
        assert_eq!(lengths(&vec![1; 2500]), [1000, 1000, 500]);
        assert_eq!(lengths(&[BYTES, 1, BYTES + 1, 1, 1]), [1, 1, 1, 2]);
        assert!(lengths(&[]).is_empty());
    }
}
