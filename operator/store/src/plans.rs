//! Plans that wait for an approval. Each pins what it would write: operations, contents, and the rows that it saw.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sower_core::drift::{Beside, Mend, Registry};
use sower_core::plan::{Conflict, Operation, Plan};
use sower_core::report::Failure;

use crate::apply::ROWS;
use crate::environment::{AppliedSource, Fence, applied_json, lock, read_applied};
use crate::error::StoreError;
use crate::observed;
use crate::open::Store;
use crate::seeding::Counts;
use crate::session::{Bind, Row, Tx, time};

/// Plans that are stale and still known by their hash.
const MOST_STALE: i64 = 100;

/// How a plan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanStatus {
    /// It waits for an approval.
    Pending,
    /// It is approved, and waits for something else.
    Approved,
    /// It was applied.
    Applied,
    /// It cannot be applied any more.
    Stale,
}

/// A plan in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRow {
    /// 64 hex digits.
    pub hash: String,
    /// Number of the seeding it stands on.
    pub base: i64,
    /// Digest of the spec it was made for.
    pub spec_digest: String,
    /// What holds it: a reason of Ready.
    pub guard: String,
    /// What it was made of, by source.
    pub applied: BTreeMap<String, AppliedSource>,
    /// How it stands.
    pub status: PlanStatus,
    /// Integrations that come, change and go.
    pub counts: (i64, i64, i64),
    /// When it was made first.
    pub created_at: Timestamp,
    /// When it was approved.
    pub approved_at: Option<Timestamp>,
    /// By whom.
    pub approved_by: Option<String>,
    /// Number of the seeding that applied it.
    pub seeding: Option<i64>,
}

/// A plan with all that applying it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Pinned {
    /// The plan. What it left out or kept is not part of it: nothing is to be done about that.
    pub plan: Plan,
    /// What its rows were, by integration: see [`Store::observe`].
    pub observed: BTreeMap<String, String>,
    /// What holds it: a reason of Ready.
    pub guard: String,
    /// Digest of the spec it was made for.
    pub spec_digest: String,
    /// What it was made of, by source.
    pub applied: BTreeMap<String, AppliedSource>,
    /// What the environment's row notes once it is applied.
    pub summary: Value,
    /// What did not come in.
    pub errors: Vec<Failure>,
    /// What the log row says that has no column.
    pub metadata: Map<String, Value>,
    /// Why it was made, for the log row.
    pub reason: String,
    /// Rows that do not differ are written too.
    pub reseed: bool,
    /// Rows that drifted, and that it corrects.
    pub mend: Mend,
    /// Integrations that hands changed, and that it merges: all of their rows are written.
    pub merged: BTreeSet<String>,
}

/// The column `document`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document {
    unchanged: usize,
    processed: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<BTreeSet<String>>,
    conflicts: Vec<StoredConflict>,
    summary: Value,
    errors: Vec<Failure>,
    metadata: Map<String, Value>,
    reason: String,
    reseed: bool,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    mend: BTreeSet<(Registry, String)>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    mend_beside: BTreeSet<Beside>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    mend_rollouts: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    merged: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    put_back: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lifted: Vec<String>,
}

/// A conflict with what its JSON for programs leaves out.
#[derive(Serialize, Deserialize)]
struct StoredConflict {
    conflict: Conflict,
    message: String,
    fingerprint: String,
}

impl Document {
    pub(crate) fn of(pinned: &Pinned) -> Self {
        let plan = &pinned.plan;
        let conflicts = plan.conflicts.iter().map(|conflict| StoredConflict {
            conflict: conflict.clone(),
            message: conflict.message.clone(),
            fingerprint: conflict.fingerprint.clone(),
        });
        Self {
            unchanged: plan.unchanged,
            processed: plan.processed,
            scope: plan.scope.clone(),
            conflicts: conflicts.collect(),
            summary: pinned.summary.clone(),
            errors: pinned.errors.clone(),
            metadata: pinned.metadata.clone(),
            reason: pinned.reason.clone(),
            reseed: pinned.reseed,
            mend: pinned.mend.rows.clone(),
            mend_beside: pinned.mend.beside.clone(),
            mend_rollouts: pinned.mend.rollouts.clone(),
            merged: pinned.merged.clone(),
            put_back: plan.put_back.clone(),
            lifted: plan.lifted.clone(),
        }
    }
}

/// What a plan's approval came to.
#[derive(Debug, Clone)]
pub struct Spend<'a> {
    /// The whole hash.
    pub hash: &'a str,
    /// What its rows are to be, by integration; none: nobody looked.
    pub observed: Option<&'a BTreeMap<String, String>>,
    /// The integrations that it touches.
    pub touched: &'a [&'a str],
    /// Digest of the spec it was made for.
    pub spec_digest: &'a str,
    /// Who approved it.
    pub by: &'a str,
    /// It waits in the table; else it was made just now.
    pub pinned: bool,
}

const COLUMNS: &str = "p.hash, p.base_seq, p.spec_digest, p.guard, p.revision::text, p.status, p.created, p.updated, \
     p.deleted, @time(p.created_at), @time(p.approved_at), p.approved_by, \
     (SELECT l.seq FROM seeding_logs l WHERE l.id = p.seeding)";

impl Store {
    /// The plan of a hash, or of its first digits, however it stands.
    ///
    /// # Errors
    /// Where the database does not answer or the row cannot be read.
    pub async fn plan(&self, environment: &str, hash: &str) -> Result<Option<PlanRow>, StoreError> {
        if hash.is_empty() || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM seeding_plans p WHERE p.environment = $1 AND p.hash LIKE $2 LIMIT 2"
        );
        let begins = format!("{}%", hash.to_ascii_lowercase());
        let mut tx = self.read().await?;
        let rows = tx.rows("looking for a plan", &sql, &[environment.into(), (&begins).into()]).await?;
        tx.done();
        // Of two that begin alike neither is meant.
        match rows.as_slice() {
            [only] => read(only).map(Some),
            _ => Ok(None),
        }
    }

    /// The plans that wait, newest first.
    ///
    /// # Errors
    /// As [`Store::plan`].
    pub async fn waiting(&self, environment: &str) -> Result<Vec<PlanRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM seeding_plans p JOIN environments e ON e.name = p.environment AND e.seq = p.base_seq \
             WHERE p.environment = $1 AND p.status IN ('pending', 'approved') ORDER BY p.created_at DESC, p.hash"
        );
        let mut tx = self.read().await?;
        let rows = tx.rows("listing the plans that wait", &sql, &[environment.into()]).await?;
        tx.done();
        rows.iter().map(read).collect()
    }

    /// A plan that waits, with all that applying it takes but the contents: those are looked up when it is applied.
    ///
    /// # Errors
    /// As [`Store::plan`].
    pub async fn pinned(&self, environment: &str, hash: &str) -> Result<Option<Pinned>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS}, p.document::text FROM seeding_plans p WHERE p.environment = $1 AND p.hash = $2 \
             AND p.status IN ('pending', 'approved')"
        );
        let mut tx = self.read().await?;
        let row = tx.row("reading a plan", &sql, &[environment.into(), hash.into()]).await?;
        let Some(row) = row else { return Ok(None) };
        let (plan, document) = (read(&row)?, row.json::<Document>(13, "a plan")?);
        let (mut operations, mut observed) = (Vec::<Operation>::new(), BTreeMap::new());
        loop {
            let after = operations.last().map(|operation| operation.id.clone()).unwrap_or_default();
            let rows = tx
                .rows(
                    "reading a plan's operations",
                    "SELECT integration_id, operation::text, observed FROM seeding_plan_operations \
                     WHERE environment = $1 AND plan = $2 AND integration_id > $3 ORDER BY integration_id LIMIT $4",
                    &[environment.into(), hash.into(), (&after).into(), Bind::Int(ROWS as i64)],
                )
                .await?;
            for row in &rows {
                operations.push(row.json(1, "an operation")?);
                if let Some(digest) = row.maybe_text(2)? {
                    observed.insert(row.text(0)?, digest);
                }
            }
            if rows.len() < ROWS {
                break;
            }
        }
        tx.done();
        let Document {
            unchanged,
            processed,
            scope,
            conflicts,
            summary,
            errors,
            metadata,
            reason,
            reseed,
            mend: rows,
            mend_beside: beside,
            mend_rollouts: rollouts,
            merged,
            put_back,
            lifted,
        } = document;
        let conflicts = conflicts.into_iter().map(|stored| {
            let StoredConflict { conflict, message, fingerprint } = stored;
            Conflict { message, fingerprint, ..conflict }
        });
        Ok(Some(Pinned {
            plan: Plan {
                environment: environment.to_owned(),
                hash: plan.hash,
                base: plan.base,
                scope,
                operations,
                put_back,
                unchanged,
                processed,
                conflicts: conflicts.collect(),
                excluded: Vec::new(),
                kept: Vec::new(),
                lifted,
                deprecated: Vec::new(),
            },
            observed,
            guard: plan.guard,
            spec_digest: plan.spec_digest,
            applied: plan.applied,
            summary,
            errors,
            metadata,
            reason,
            reseed,
            mend: Mend { rows, beside, rollouts },
            merged,
        }))
    }

    /// Remembers that a plan which waits is approved, and waits for something else now.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn remember_approval(&self, fence: &Fence, hash: &str, by: &str) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        lock(&mut tx, fence).await?;
        tx.run(
            "approving a plan",
            "UPDATE seeding_plans SET status = CASE WHEN hash = $2 THEN 'approved' ELSE 'pending' END, \
             approved_by = CASE WHEN hash = $2 THEN $3::text END, \
             approved_at = CASE WHEN hash = $2 THEN $4::timestamptz END \
             WHERE environment = $1 AND ((status = 'pending' AND hash = $2) OR (status = 'approved' AND hash <> $2))",
            &[
                (&fence.environment).into(),
                hash.into(),
                by.into(),
                (&time(Timestamp::now())).into(),
            ],
        )
        .await?;
        tx.commit().await
    }

    /// No plan is approved any more: those that were wait for another word.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn withdraw_approval(&self, fence: &Fence) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        lock(&mut tx, fence).await?;
        tx.run(
            "withdrawing an approval",
            "UPDATE seeding_plans SET status = 'pending', approved_by = NULL, approved_at = NULL \
             WHERE environment = $1 AND status = 'approved'",
            &[(&fence.environment).into()],
        )
        .await?;
        tx.commit().await
    }

    /// A plan that waits is stale: nobody applies it any more.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn drop_plan(&self, fence: &Fence, hash: &str) -> Result<(), StoreError> {
        let environment = fence.environment.as_str();
        let mut tx = self.write().await?;
        lock(&mut tx, fence).await?;
        tx.run(
            "dropping a plan",
            "UPDATE seeding_plans SET status = 'stale', document = '{}' WHERE environment = $1 AND hash = $2 \
             AND status IN ('pending', 'approved')",
            &[environment.into(), hash.into()],
        )
        .await?;
        sweep(&mut tx, environment).await?;
        tx.commit().await
    }
}

impl Spend<'_> {
    /// The rows that the plan touches are what it saw; they stay so to the end of the transaction.
    pub(crate) async fn still_sees(&self, tx: &mut Tx, environment: &str) -> Result<(), StoreError> {
        let Some(expected) = self.observed else { return Ok(()) };
        let now = observed::digests(tx, environment, self.touched, true).await?;
        let changed = self.touched.iter().filter(|id| now.get(**id) != expected.get(**id));
        let integrations: Vec<String> = changed.map(|id| (*id).to_owned()).collect();
        if integrations.is_empty() { Ok(()) } else { Err(StoreError::RowsChanged { integrations }) }
    }

    /// The approval is used up.
    pub(crate) async fn spend(
        &self,
        tx: &mut Tx,
        fence: &Fence,
        seeding: &str,
        counts: &Counts,
        applied: &BTreeMap<String, AppliedSource>,
        now: &str,
    ) -> Result<(), StoreError> {
        let environment = fence.environment.as_str();
        if self.pinned {
            let spent = tx
                .run(
                    "spending an approval",
                    "UPDATE seeding_plans SET status = 'applied', approved_by = $3, \
                     approved_at = coalesce(approved_at, $4::timestamptz), seeding = $5, document = '{}' \
                     WHERE environment = $1 AND hash = $2 AND status IN ('pending', 'approved')",
                    &[environment.into(), self.hash.into(), self.by.into(), now.into(), seeding.into()],
                )
                .await?;
            let moved = || StoreError::Moved { environment: environment.to_owned() };
            return if spent == 1 { Ok(()) } else { Err(moved()) };
        }
        let number = |count: usize| Bind::Int(i64::try_from(count).unwrap_or(i64::MAX));
        tx.run(
            "spending an approval",
            "INSERT INTO seeding_plans (environment, hash, base_seq, spec_digest, guard, revision, status, document, digest, \
             created, updated, deleted, created_at, approved_at, approved_by, seeding) \
             VALUES ($1, $2, $3, $4, '', $5::json, 'applied', '{}', '', $6::bigint, $7::bigint, $8::bigint, \
             $9::timestamptz, $9::timestamptz, $10, $11) \
             ON CONFLICT (environment, hash) DO UPDATE SET status = 'applied', approved_at = excluded.approved_at, \
             approved_by = excluded.approved_by, seeding = excluded.seeding, document = excluded.document",
            &[
                environment.into(),
                self.hash.into(),
                fence.base.into(),
                self.spec_digest.into(),
                (&applied_json(applied)?).into(),
                number(counts.created),
                number(counts.updated),
                number(counts.deleted),
                now.into(),
                self.by.into(),
                seeding.into(),
            ],
        )
        .await?;
        Ok(())
    }
}

fn read(row: &Row) -> Result<PlanRow, StoreError> {
    Ok(PlanRow {
        hash: row.text(0)?,
        base: row.int(1)?,
        spec_digest: row.text(2)?,
        guard: row.text(3)?,
        applied: read_applied(row, 4)?,
        status: match row.text(5)?.as_str() {
            "pending" => PlanStatus::Pending,
            "approved" => PlanStatus::Approved,
            "applied" => PlanStatus::Applied,
            _ => PlanStatus::Stale,
        },
        counts: (row.int(6)?, row.int(7)?, row.int(8)?),
        created_at: row.time(9)?,
        approved_at: row.maybe_time(10)?,
        approved_by: row.maybe_text(11)?,
        seeding: row.maybe_int(12)?,
    })
}

/// No plan stands on it.
pub(crate) const OF_NO_SEEDING: i64 = -1;

/// Plans that stand on another seeding than `seq` are stale.
pub(crate) async fn retire(tx: &mut Tx, environment: &str, seq: i64) -> Result<(), StoreError> {
    tx.run(
        "retiring plans",
        "UPDATE seeding_plans SET status = 'stale', document = '{}' \
         WHERE environment = $1 AND status IN ('pending', 'approved') AND base_seq <> $2",
        &[environment.into(), seq.into()],
    )
    .await?;
    sweep(tx, environment).await
}

/// Takes away what belongs to no plan that waits, and the oldest of the stale ones.
async fn sweep(tx: &mut Tx, environment: &str) -> Result<(), StoreError> {
    tx.run(
        "forgetting stale plans",
        "DELETE FROM seeding_plans WHERE environment = $1 AND status = 'stale' AND hash NOT IN \
         (SELECT hash FROM seeding_plans WHERE environment = $1 AND status = 'stale' \
          ORDER BY created_at DESC, hash LIMIT $2)",
        &[environment.into(), MOST_STALE.into()],
    )
    .await?;
    tx.run(
        "forgetting operations of plans",
        "DELETE FROM seeding_plan_operations WHERE environment = $1 AND plan NOT IN \
         (SELECT hash FROM seeding_plans WHERE environment = $1 AND status IN ('pending', 'approved'))",
        &[environment.into()],
    )
    .await?;
    collect(tx, environment).await
}

/// Contents that no operation names any more.
async fn collect(tx: &mut Tx, environment: &str) -> Result<(), StoreError> {
    tx.run(
        "forgetting contents",
        "DELETE FROM seeding_plan_contents WHERE environment = $1 AND NOT EXISTS \
         (SELECT 1 FROM seeding_plan_operations o WHERE o.environment = seeding_plan_contents.environment \
          AND o.integration_id = seeding_plan_contents.integration_id AND o.to_checksum = seeding_plan_contents.checksum)",
        &[environment.into()],
    )
    .await?;
    Ok(())
}
