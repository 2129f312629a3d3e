//! Taking over rows that somebody else wrote: provenance is written beside what they say.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};
use sower_core::adopt::{DefinitionThere, HandMade, RowThere};
use sower_core::drift::Mend;
use sower_core::plan::{Operation, Verb};
use sower_core::rows::{Kind, RegistryRow};

use crate::apply::{self, Anew, Incoming, ROWS, Writing, chunks};
use crate::bulk::{Bulk, Column};
use crate::environment::AppliedSource;
use crate::error::StoreError;
use crate::memory::{self, ManifestDelta};
use crate::open::Store;
use crate::rollouts::RolloutDelta;
use crate::seeding::{Applied, Counts, Seeding, advance, complete};
use crate::session::{Bind, Tx, time};

/// Integrations whose rows are looked at in one statement.
const PAGE: usize = 200;

/// An integration whose rows are taken over.
#[derive(Debug, Clone)]
pub struct Adoption {
    /// Its rows as they were compared. Where they are no longer so, nothing is written.
    pub hand: HandMade,
    /// From what was there to what is: a creation where the definition is somebody else's, an update where it is Sower's.
    pub operation: Operation,
    /// The manifest that the rows fit, in its canonical form.
    pub manifest: Arc<str>,
}

/// All that an adoption writes.
#[derive(Debug, Clone)]
pub struct Adopt<'a> {
    /// The integrations.
    pub adoptions: &'a [Adoption],
    /// What the environment holds, by source: it stays.
    pub applied: &'a BTreeMap<String, AppliedSource>,
    /// What the last seeding noted: it stays.
    pub summary: &'a Value,
    /// What has no column.
    pub metadata: Map<String, Value>,
}

impl Store {
    /// The rows of these integrations that somebody else wrote, by id; those that have none are left out, and so are those
    /// that were taken out.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn hand_made(&self, environment: &str, ids: &[&str]) -> Result<Vec<HandMade>, StoreError> {
        let mut tx = self.read().await?;
        let mut all = Vec::new();
        for ids in ids.chunks(PAGE) {
            all.extend(hand_made(&mut tx, environment, ids, "").await?);
        }
        tx.done();
        Ok(all)
    }

    /// The second commit of an adoption: provenance for all of these rows, or for none. The texts of the rows stay, and so do
    /// their times; JSON is written in its canonical form. Registry rows that the manifest has and nobody wrote are added.
    ///
    /// # Errors
    /// As [`Store::apply`]; [`StoreError::Moved`] where a row is no longer what was compared.
    pub async fn adopt(&self, seeding: &Seeding, adopt: Adopt<'_>) -> Result<Applied, StoreError> {
        let Adopt { adoptions, applied, summary, mut metadata } = adopt;
        let fence = &seeding.fence;
        let environment = fence.environment.as_str();
        let (now, seq) = (time(Timestamp::now()), fence.base + 1);
        let mend = Mend::NOTHING;
        let nothing = || Anew { reseed: false, merged: BTreeSet::new(), mend: &mend };
        let writing = Writing { environment, seeding: &seeding.id, anew: nothing(), now: &now };
        let mut counts = Counts::default();

        let mut tx = self.write().await?;
        // What the selection stood on is forgotten: the next reconcile looks at everything.
        advance(&mut tx, fence, seq, applied, None, summary, &now).await?;
        let mut rows_adopted = 0;
        for page in adoptions.chunks(PAGE) {
            still_there(&mut tx, environment, page).await?;
            for chunk in chunks(page, |one| one.manifest.len()) {
                let incoming: Vec<Incoming<'_>> = chunk
                    .iter()
                    .map(|one| apply::incoming_rows(&one.operation, &one.manifest))
                    .collect::<Result<_, _>>()?;
                definitions(&mut tx, &writing, chunk, &incoming).await?;
                registries(&mut tx, &writing, chunk, &incoming, &mut counts).await?;
                let created: Vec<Incoming<'_>> =
                    incoming.into_iter().filter(|one| one.operation.verb == Verb::Create).collect();
                apply::versions(&mut tx, &writing, &created).await?;
            }
            rows_adopted += page.iter().map(|one| one.hand.count()).sum::<usize>();
        }
        let (created, updated): (Vec<&Adoption>, Vec<&Adoption>) =
            adoptions.iter().partition(|one| one.operation.verb == Verb::Create);
        let created: Vec<(&Operation, Option<Arc<str>>)> =
            created.into_iter().map(|one| (&one.operation, None)).collect();
        apply::changes(&mut tx, &writing, seq, &created, &BTreeSet::new(), &BTreeMap::new()).await?;
        let updated: Vec<(&Operation, Option<Arc<str>>)> =
            updated.into_iter().map(|one| (&one.operation, Some(one.manifest.clone()))).collect();
        if !updated.is_empty() {
            let (no_documents, no_rollouts) = (ManifestDelta::default(), RolloutDelta::default());
            apply::apply(
                &mut tx,
                seeding,
                seq,
                updated,
                nothing(),
                &now,
                &no_documents,
                applied,
                no_rollouts,
            )
            .await?;
        }
        let ids: Vec<&str> = adoptions.iter().map(|one| one.operation.id.as_str()).collect();
        memory::settle_status(&mut tx, environment, &ids, &now).await?;
        crate::plans::retire(&mut tx, environment, seq).await?;
        counts.updated = adoptions.len();
        metadata.insert("adopted".to_owned(), rows_adopted.into());
        complete(&mut tx, seeding, seq, adoptions.len(), &counts, &[], metadata).await?;
        tx.commit().await?;
        Ok(Applied { id: seeding.id.clone(), seq, counts })
    }
}

/// Locks the rows, and compares them with what was looked at.
async fn still_there(tx: &mut Tx, environment: &str, page: &[Adoption]) -> Result<(), StoreError> {
    let ids: Vec<&str> = page.iter().map(|one| one.hand.definition.id.as_str()).collect();
    let there = hand_made(tx, environment, &ids, " FOR UPDATE").await?;
    let there: BTreeMap<&str, &HandMade> =
        there.iter().map(|one| (one.definition.id.as_str(), one)).collect();
    match page.iter().all(|one| there.get(one.hand.definition.id.as_str()) == Some(&&one.hand)) {
        true => Ok(()),
        false => Err(StoreError::Moved { environment: environment.to_owned() }),
    }
}

/// [`Store::hand_made`]; `lock` ends each statement.
pub(crate) async fn hand_made(
    tx: &mut Tx,
    environment: &str,
    ids: &[&str],
    lock: &str,
) -> Result<Vec<HandMade>, StoreError> {
    let binds = [environment.into(), Bind::Texts(ids)];
    let mut rows: BTreeMap<String, Vec<RowThere>> = BTreeMap::new();
    // One statement a registry: a union cannot be locked.
    for kind in Kind::ALL {
        let sql = format!(
            "SELECT integration_id, id, identifier, name, category, definition::text FROM {} \
             WHERE environment = $1 AND integration_id = ANY($2) AND seeding IS NULL ORDER BY id{lock}",
            kind.table()
        );
        for row in &tx.rows("reading foreign rows", &sql, &binds).await? {
            rows.entry(row.text(0)?).or_default().push(RowThere {
                kind,
                id: row.text(1)?,
                identifier: row.text(2)?,
                name: row.text(3)?,
                category: row.maybe_text(4)?,
                definition: row.text(5)?,
            });
        }
    }
    let sql = format!(
        "SELECT id, name, version, author, manifest::text, status, checksum FROM integration_definitions \
         WHERE environment = $1 AND id = ANY($2) AND status <> 'removed' ORDER BY id{lock}"
    );
    let mut all = Vec::new();
    for row in &tx.rows("reading definitions", &sql, &binds).await? {
        let definition = DefinitionThere {
            id: row.text(0)?,
            name: row.text(1)?,
            version: row.text(2)?,
            author: row.maybe_text(3)?,
            manifest: row.text(4)?,
            status: row.text(5)?,
            checksum: row.maybe_text(6)?,
        };
        let rows = rows.remove(&definition.id).unwrap_or_default();
        if definition.checksum.is_none() || !rows.is_empty() {
            all.push(HandMade { definition, rows });
        }
    }
    Ok(all)
}

/// Column of some rows, borrowed from them.
macro_rules! texts {
    ($rows:expr, |$row:ident| $value:expr) => {
        Column::Text($rows.iter().map(|$row| $value.map(Cow::Borrowed)).collect())
    };
}

async fn definitions(
    tx: &mut Tx,
    writing: &Writing<'_>,
    chunk: &[Adoption],
    incoming: &[Incoming<'_>],
) -> Result<(), StoreError> {
    let foreign = |(one, _): &(&Adoption, &Incoming<'_>)| one.hand.definition.checksum.is_none();
    let rows: Vec<&Incoming<'_>> =
        chunk.iter().zip(incoming).filter(foreign).map(|(_, incoming)| incoming).collect();
    let columns = vec![
        ("id", texts!(rows, |i| Some(i.operation.id.as_str()))),
        ("name", texts!(rows, |i| Some(&*i.rows.definition.name))),
        ("version", texts!(rows, |i| Some(&*i.rows.definition.version))),
        ("author", texts!(rows, |i| i.rows.definition.author.as_deref())),
        (
            "manifest",
            Column::Json(rows.iter().map(|i| Some(Cow::Borrowed(i.rows.definition.manifest))).collect()),
        ),
        ("status", texts!(rows, |i| Some(&*i.rows.definition.status))),
        ("created_at", Column::Time(writing.now)),
        ("updated_at", Column::Time(writing.now)),
        ("environment", Column::Same(writing.environment)),
        ("source", texts!(rows, |i| Some(i.operation.source.as_str()))),
        ("revision", texts!(rows, |i| Some(i.revision))),
        ("path", texts!(rows, |i| Some(i.path))),
        ("checksum", texts!(rows, |i| i.operation.to.as_ref().map(|to| to.checksum.as_str()))),
        ("row_hash", Column::Bytes(rows.iter().map(|i| i.rows.definition.row_hash()).collect())),
        ("seeding", Column::Same(writing.seeding)),
        ("prune", texts!(rows, |i| i.operation.prune_disabled.then_some(memory::DISABLED))),
    ];
    // The other columns say what the manifest says: that was compared.
    let on_conflict = "(environment, id) DO UPDATE SET manifest = excluded.manifest, source = excluded.source, \
         revision = excluded.revision, path = excluded.path, checksum = excluded.checksum, row_hash = excluded.row_hash, \
         seeding = excluded.seeding, prune = excluded.prune WHERE t.seeding IS NULL";
    let bulk = Bulk { table: "integration_definitions", columns, on_conflict };
    let written = tx.bulk("adopting definitions", bulk).await?;
    unless_all(written, rows.len(), writing)
}

/// A registry row, with where its manifest came from.
struct Sent<'a> {
    row: &'a RegistryRow<'a>,
    incoming: &'a Incoming<'a>,
}

async fn registries(
    tx: &mut Tx,
    writing: &Writing<'_>,
    chunk: &[Adoption],
    incoming: &[Incoming<'_>],
    counts: &mut Counts,
) -> Result<(), StoreError> {
    let mut sent: BTreeMap<Kind, Vec<Sent<'_>>> = BTreeMap::new();
    for (one, incoming) in chunk.iter().zip(incoming) {
        let there: BTreeSet<(Kind, &str)> =
            one.hand.rows.iter().map(|row| (row.kind, row.id.as_str())).collect();
        let ours = one.hand.definition.checksum.is_some();
        for row in &incoming.rows.registry {
            let foreign = there.contains(&(row.kind, row.id.as_str()));
            // Of an integration of ours, the rows of ours are written as every seeding writes them.
            if !foreign && ours {
                continue;
            }
            match row.kind {
                Kind::Action if !foreign => counts.actions_created += 1,
                Kind::Trigger if !foreign => counts.triggers_created += 1,
                Kind::Connection if !foreign => counts.connections_created += 1,
                _ => {}
            }
            sent.entry(row.kind).or_default().push(Sent { row, incoming });
        }
    }
    for (kind, rows) in &sent {
        for rows in chunks(rows, |sent| sent.row.definition.len() + 256) {
            registry(tx, writing, *kind, rows).await?;
        }
    }
    Ok(())
}

async fn registry(
    tx: &mut Tx,
    writing: &Writing<'_>,
    kind: Kind,
    rows: &[Sent<'_>],
) -> Result<(), StoreError> {
    debug_assert!(rows.len() <= ROWS, "a chunk is bounded");
    let columns = vec![
        ("id", texts!(rows, |s| Some(s.row.id.as_str()))),
        ("integration_id", texts!(rows, |s| Some(&*s.row.integration))),
        ("identifier", texts!(rows, |s| Some(&*s.row.identifier))),
        ("name", texts!(rows, |s| Some(&*s.row.name))),
        ("category", texts!(rows, |s| s.row.category.as_deref())),
        ("definition", Column::Json(rows.iter().map(|s| Some(Cow::Borrowed(s.row.definition))).collect())),
        ("created_at", Column::Time(writing.now)),
        ("updated_at", Column::Time(writing.now)),
        ("environment", Column::Same(writing.environment)),
        ("source", texts!(rows, |s| Some(s.incoming.operation.source.as_str()))),
        ("revision", texts!(rows, |s| Some(s.incoming.revision))),
        ("path", texts!(rows, |s| Some(s.incoming.path))),
        ("checksum", Column::Text(rows.iter().map(|s| Some(Cow::Owned(s.row.checksum()))).collect())),
        ("row_hash", Column::Bytes(rows.iter().map(|s| s.row.row_hash()).collect())),
        ("seeding", Column::Same(writing.seeding)),
    ];
    let on_conflict = "(environment, id) DO UPDATE SET definition = excluded.definition, source = excluded.source, \
         revision = excluded.revision, path = excluded.path, checksum = excluded.checksum, row_hash = excluded.row_hash, \
         seeding = excluded.seeding WHERE t.seeding IS NULL";
    let bulk = Bulk { table: kind.table(), columns, on_conflict };
    let written = tx.bulk("adopting registry rows", bulk).await?;
    unless_all(written, rows.len(), writing)
}

/// A row that is neither new nor somebody else's was written meanwhile.
fn unless_all(written: u64, sent: usize, writing: &Writing<'_>) -> Result<(), StoreError> {
    match written == sent as u64 {
        true => Ok(()),
        false => Err(StoreError::Moved { environment: writing.environment.to_owned() }),
    }
}
