//! Keeping a plan until somebody approves it: what it would write, and what its rows were.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use sower_core::plan::Operation;
use sower_core::rows::checksum;

use crate::apply::{ROWS, chunks};
use crate::bulk::{Bulk, Column};
use crate::environment::{Fence, applied_json, lock};
use crate::error::StoreError;
use crate::open::Store;
use crate::plans::{Document, Pinned, retire};
use crate::session::{Bind, Tx, time, to_json};

/// Most plans of an environment that wait at once: a branch may move that often while somebody looks at one of them; at a
/// push each second, for a quarter of an hour.
const MOST_WAITING: usize = 1024;
/// Most operations of all of them, but for the newest [`LEAST_WAITING`] plans.
const MOST_OPERATIONS: i64 = 200_000;
/// As many plans wait whatever their size.
const LEAST_WAITING: usize = 8;

/// The canonical bytes of integrations, by id.
pub type PlanContents = BTreeMap<String, Arc<str>>;

impl Store {
    /// What [`Store::pin`] would keep; none where this very plan waits already.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn unpinned(&self, pinned: &Pinned) -> Result<Option<Unpinned>, StoreError> {
        let environment = pinned.plan.environment.as_str();
        let written = Written::of(pinned)?;
        let mut tx = self.read().await?;
        let there = tx
            .row(
                "looking for a plan",
                "SELECT digest FROM seeding_plans WHERE environment = $1 AND hash = $2 \
                 AND status IN ('pending', 'approved')",
                &[environment.into(), (&pinned.plan.hash).into()],
            )
            .await?;
        if there.map(|row| row.text(0)).transpose()?.as_ref() == Some(&written.digest) {
            tx.done();
            return Ok(None);
        }
        let mut missing = BTreeSet::new();
        for piece in pinned.plan.operations.chunks(ROWS) {
            missing.extend(
                lacking(&mut tx, environment, piece).await?.map(|(operation, _)| operation.id.clone()),
            );
        }
        tx.done();
        Ok(Some(Unpinned { missing, written }))
    }

    /// Keeps a plan until somebody approves it, with the canonical bytes of what it would bring in: `contents` has those that
    /// are not kept yet. The same plan again is the same row.
    ///
    /// # Errors
    /// As [`Store::begin`]; and where a content is missing, or is another one.
    pub async fn pin(
        &self,
        fence: &Fence,
        pinned: &Pinned,
        Unpinned { missing: _, written }: &Unpinned,
        contents: &PlanContents,
    ) -> Result<(), StoreError> {
        let environment = fence.environment.as_str();
        let now = time(Timestamp::now());
        let mut tx = self.write().await?;
        lock(&mut tx, fence).await?;
        insert(&mut tx, fence, pinned, written, &now).await?;
        insert_operations(&mut tx, environment, pinned, &written.operations).await?;
        insert_contents(&mut tx, environment, pinned, contents).await?;
        trim(&mut tx, environment).await?;
        // Last: contents that plans before it had are kept, where this one has them too.
        retire(&mut tx, environment, fence.base).await?;
        tx.commit().await
    }
}

/// A plan that is not kept yet.
#[derive(Debug)]
pub struct Unpinned {
    /// The integrations whose contents are not kept yet.
    pub missing: BTreeSet<String>,
    written: Written,
}

/// A plan as its row has it.
#[derive(Debug)]
struct Written {
    document: String,
    revision: String,
    operations: Vec<String>,
    /// What makes this row this one.
    digest: String,
}

impl Written {
    fn of(pinned: &Pinned) -> Result<Self, StoreError> {
        let what = "keeping a plan";
        let document = to_json(&Document::of(pinned), what)?;
        let revision = applied_json(&pinned.applied)?;
        let operations = pinned.plan.operations.iter().map(|operation| to_json(operation, what));
        let operations: Vec<String> = operations.collect::<Result<_, _>>()?;
        let mut all = format!("{document}\n{revision}\n{}\n", pinned.guard);
        for operation in &operations {
            all.push_str(operation);
            all.push('\n');
        }
        for (id, digest) in &pinned.observed {
            all.push_str(&format!("{id} {digest}\n"));
        }
        Ok(Self { digest: checksum(&all), document, revision, operations })
    }
}

async fn insert(
    tx: &mut Tx,
    fence: &Fence,
    pinned: &Pinned,
    Written { document, revision, operations: _, digest }: &Written,
    now: &str,
) -> Result<(), StoreError> {
    let plan = &pinned.plan;
    let number = |count: usize| Bind::Int(i64::try_from(count).unwrap_or(i64::MAX));
    tx.run(
        "keeping a plan",
        "INSERT INTO seeding_plans (environment, hash, base_seq, spec_digest, guard, revision, status, document, digest, \
         created, updated, deleted, created_at) VALUES ($1, $2, $3, $4, $5, $6::json, 'pending', $7::json, $8, \
         $9::bigint, $10::bigint, $11::bigint, $12::timestamptz) \
         ON CONFLICT (environment, hash) DO UPDATE SET guard = excluded.guard, revision = excluded.revision, \
         document = excluded.document, digest = excluded.digest, \
         status = CASE WHEN seeding_plans.status = 'approved' THEN 'approved' ELSE 'pending' END \
         WHERE seeding_plans.status <> 'applied'",
        &[
            (&fence.environment).into(),
            (&plan.hash).into(),
            fence.base.into(),
            (&pinned.spec_digest).into(),
            (&pinned.guard).into(),
            revision.into(),
            document.into(),
            digest.into(),
            number(plan.created()),
            number(plan.updated()),
            number(plan.deleted()),
            now.into(),
        ],
    )
    .await?;
    tx.run(
        "keeping a plan",
        "DELETE FROM seeding_plan_operations WHERE environment = $1 AND plan = $2",
        &[(&fence.environment).into(), (&plan.hash).into()],
    )
    .await?;
    Ok(())
}

async fn insert_operations(
    tx: &mut Tx,
    environment: &str,
    pinned: &Pinned,
    written: &[String],
) -> Result<(), StoreError> {
    let both: Vec<(&Operation, &String)> = pinned.plan.operations.iter().zip(written).collect();
    for chunk in chunks(&both, |(_, json)| json.len() + 128) {
        let text = |pick: &dyn Fn(&Operation) -> Option<String>| {
            Column::Text(chunk.iter().map(|(operation, _)| pick(operation).map(Cow::Owned)).collect())
        };
        let columns = vec![
            ("environment", Column::Same(environment)),
            ("plan", Column::Same(&pinned.plan.hash)),
            ("integration_id", text(&|operation| Some(operation.id.clone()))),
            ("to_checksum", text(&|operation| Some(operation.to.as_ref()?.checksum.clone()))),
            (
                "operation",
                Column::Json(chunk.iter().map(|(_, json)| Some(Cow::Borrowed(json.as_str()))).collect()),
            ),
            ("observed", text(&|operation| pinned.observed.get(&operation.id).cloned())),
        ];
        let bulk = Bulk { table: "seeding_plan_operations", columns, on_conflict: "" };
        tx.bulk("keeping a plan", bulk).await?;
    }
    Ok(())
}

/// The operations of a piece whose contents are not kept, with the checksums of these.
async fn lacking<'a>(
    tx: &mut Tx,
    environment: &str,
    piece: &'a [Operation],
) -> Result<impl Iterator<Item = (&'a Operation, &'a str)> + use<'a>, StoreError> {
    let ids: Vec<&str> = piece.iter().map(|operation| operation.id.as_str()).collect();
    let rows = tx
        .rows(
            "looking for contents",
            "SELECT integration_id, checksum FROM seeding_plan_contents \
             WHERE environment = $1 AND integration_id = ANY($2)",
            &[environment.into(), Bind::Texts(&ids)],
        )
        .await?;
    let there = rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?)));
    let there: BTreeSet<(String, String)> = there.collect::<Result<_, StoreError>>()?;
    let wanted =
        piece.iter().filter_map(|operation| Some((operation, operation.to.as_ref()?.checksum.as_str())));
    Ok(wanted.filter(move |(operation, sum)| !there.contains(&(operation.id.clone(), (*sum).to_owned()))))
}

/// Each content once, however many plans would write it.
async fn insert_contents(
    tx: &mut Tx,
    environment: &str,
    pinned: &Pinned,
    contents: &PlanContents,
) -> Result<(), StoreError> {
    for piece in pinned.plan.operations.chunks(ROWS) {
        let mut new: Vec<(&str, &str, &str)> = Vec::new();
        for (operation, sum) in lacking(tx, environment, piece).await? {
            let manifest = contents.get(&operation.id).filter(|manifest| checksum(manifest) == sum);
            let manifest = manifest.ok_or_else(|| StoreError::Unreadable {
                what: format!("the manifest of {}", operation.id),
                cause: "it is not what was planned any more".to_owned(),
            })?;
            new.push((&operation.id, sum, manifest));
        }
        for chunk in chunks(&new, |(_, _, manifest)| manifest.len()) {
            let columns = vec![
                ("environment", Column::Same(environment)),
                (
                    "integration_id",
                    Column::Text(chunk.iter().map(|(id, ..)| Some(Cow::Borrowed(*id))).collect()),
                ),
                (
                    "checksum",
                    Column::Text(chunk.iter().map(|(_, sum, _)| Some(Cow::Borrowed(*sum))).collect()),
                ),
                (
                    "manifest",
                    Column::Json(chunk.iter().map(|(.., text)| Some(Cow::Borrowed(*text))).collect()),
                ),
            ];
            let on_conflict = "(environment, integration_id, checksum) DO NOTHING";
            let bulk = Bulk { table: "seeding_plan_contents", columns, on_conflict };
            tx.bulk("keeping contents", bulk).await?;
        }
    }
    Ok(())
}

/// No more plans wait than an environment may have: the oldest go.
async fn trim(tx: &mut Tx, environment: &str) -> Result<(), StoreError> {
    let rows = tx
        .rows(
            "counting plans",
            "SELECT hash, created + updated + deleted FROM seeding_plans \
             WHERE environment = $1 AND status = 'pending' ORDER BY created_at DESC, hash",
            &[environment.into()],
        )
        .await?;
    let mut gone = Vec::new();
    let mut operations = 0;
    for (index, row) in rows.iter().enumerate() {
        operations += row.int(1)?;
        if index >= MOST_WAITING || (index >= LEAST_WAITING && operations > MOST_OPERATIONS) {
            gone.push(row.text(0)?);
        }
    }
    let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
    for hashes in gone.chunks(ROWS) {
        for sql in [
            "DELETE FROM seeding_plan_operations WHERE environment = $1 AND plan = ANY($2)",
            "DELETE FROM seeding_plans WHERE environment = $1 AND hash = ANY($2)",
        ] {
            tx.run("forgetting plans", sql, &[environment.into(), Bind::Texts(hashes)]).await?;
        }
    }
    Ok(())
}
