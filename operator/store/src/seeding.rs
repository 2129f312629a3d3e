//! A seeding is two commits: one that says it runs, one that holds all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};
use sower_core::drift::Mend;
use sower_core::plan::{Conflict, Operation};
use sower_core::report::Failure;

use crate::apply::Anew;
use crate::environment::{AppliedSource, Fence, applied_json, lock, refusal};
use crate::error::StoreError;
use crate::hand::{self, Merging};
use crate::memory::{self, ManifestDelta};
use crate::open::Store;
use crate::plans::{self, Spend};
use crate::promotion::{self, PromotionDelta};
use crate::quarantine::{self, QuarantineDelta};
use crate::rollback::{self, HandledRollback};
use crate::rollouts::{self, RolloutDelta};
use crate::session::{Bind, Tx, time, to_json};

/// What a seeding says of itself before it writes.
#[derive(Debug, Clone)]
pub struct Begin<'a> {
    /// What it stands on.
    pub fence: &'a Fence,
    /// The process that writes.
    pub holder: &'a str,
    /// Why: `push: "…" (AUTHOR)`, for people.
    pub reason: &'a str,
    /// What it reads, by source.
    pub applied: &'a BTreeMap<String, AppliedSource>,
    /// What has no column.
    pub metadata: Map<String, Value>,
    /// When the work began.
    pub started: Timestamp,
}

/// A seeding that runs: its log row is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a seeding that began is to be applied or failed"]
pub struct Seeding {
    /// Its id in `seeding_logs`.
    pub id: String,
    /// What it stands on.
    pub fence: Fence,
}

/// All that a seeding writes.
#[derive(Debug, Clone)]
pub struct Write<'a> {
    /// What is to be done, with the canonical manifest of what comes in. Where it is absent, it is looked up among the
    /// documents remembered and the rows there are, by place and checksum.
    pub operations: Vec<(&'a Operation, Option<Arc<str>>)>,
    /// Rows that do not differ are written too.
    pub reseed: bool,
    /// Rows that drifted: what is stored of them says nothing of what they hold, so they are written too.
    pub mend: &'a Mend,
    /// Those of the operations that are merges with what hands changed.
    pub merges: Vec<Merging<'a>>,
    /// Integrations whose rows are all written too: they were merged earlier, when the plan was made.
    pub merged: &'a BTreeSet<String>,
    /// Every conflict that stands; those not among them are closed.
    pub conflicts: &'a [Conflict],
    /// What changed among the documents.
    pub manifests: ManifestDelta<'a>,
    /// What the environment holds from now on, by source.
    pub applied: &'a BTreeMap<String, AppliedSource>,
    /// What the selection stood on; absent: the next reconcile looks again.
    pub selection_hash: Option<&'a str>,
    /// For the answer of a no-op.
    pub summary: &'a Value,
    /// Integrations that were selected.
    pub processed: usize,
    /// What did not come in.
    pub errors: &'a [Failure],
    /// What has no column; `created`, `updated` and `deleted` are added.
    pub metadata: Map<String, Value>,
    /// The approved plan that this is.
    pub spend: Option<Spend<'a>>,
    /// Plans wait for an approval: this seeding makes them stale.
    pub plans_wait: bool,
    /// What changes of what is kept out.
    pub quarantine: QuarantineDelta<'a>,
    /// What changes of what waits for another environment.
    pub promotion: PromotionDelta<'a>,
    /// It is a rollback: what it makes current is kept out no longer. With the answer to who asked for it.
    pub rollback: Option<Option<&'a HandledRollback>>,
    /// The rollouts that begin and end with it.
    pub rollouts: RolloutDelta<'a>,
}

/// What moves without a seeding: the plan was empty.
#[derive(Debug, Clone)]
pub struct Settle<'a> {
    /// What it stands on.
    pub fence: &'a Fence,
    /// Every conflict that stands; those not among them are closed.
    pub conflicts: &'a [Conflict],
    /// What changed among the documents.
    pub manifests: ManifestDelta<'a>,
    /// What the environment holds from now on, by source.
    pub applied: &'a BTreeMap<String, AppliedSource>,
    /// What the selection stood on; absent: the next reconcile looks again.
    pub selection_hash: Option<&'a str>,
    /// For the answer of a no-op.
    pub summary: &'a Value,
    /// What changes of what is kept out: without a seeding, nothing new is.
    pub quarantine: QuarantineDelta<'a>,
    /// What changes of what waits for another environment.
    pub promotion: PromotionDelta<'a>,
}

/// What a seeding changed, in rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Integrations created, those that came back included.
    pub created: usize,
    /// Integrations that had been taken out, were kept, and came back.
    pub restored: usize,
    /// Integrations updated or moved.
    pub updated: usize,
    /// Integrations whose rollout ended, and of which all keep what they have.
    pub given_up: usize,
    /// Integrations of which a rollout began.
    pub staged: usize,
    /// Integrations deleted.
    pub deleted: usize,
    /// Action rows that were not there before.
    pub actions_created: usize,
    /// Trigger rows that were not there before.
    pub triggers_created: usize,
    /// Connection rows that were not there before.
    pub connections_created: usize,
    /// Catalog rows inserted, updated or deleted.
    pub rows_written: u64,
}

/// A seeding that was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its id in `seeding_logs`.
    pub id: String,
    /// Its number in the environment.
    pub seq: i64,
    /// What it changed.
    pub counts: Counts,
}

/// An id that sorts by time.
pub(crate) fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

impl Store {
    /// The first commit: locks the environment's row, closes what a dead process left running, and says that this
    /// seeding runs.
    ///
    /// # Errors
    /// [`StoreError::Fenced`], [`StoreError::Stale`] or [`StoreError::KeptElsewhere`] where the database is no longer what
    /// the plan stands on.
    pub async fn begin(&self, begin: Begin<'_>) -> Result<Seeding, StoreError> {
        let Begin { fence, holder, reason, applied, metadata, started } = begin;
        let revisions: BTreeMap<&str, String> =
            applied.iter().map(|(name, source)| (name.as_str(), source.revision.full())).collect();
        let (revisions, metadata) = (to_json(&revisions, "beginning")?, to_json(&metadata, "beginning")?);
        let id = new_id();
        let now = Timestamp::now();

        let mut tx = self.write().await?;
        lock(&mut tx, fence).await?;
        close_running(&mut tx, &fence.environment, now).await?;
        tx.run(
            "beginning",
            "INSERT INTO seeding_logs (id, environment, started_at, status, metadata, created_at, epoch, holder, revision, \
             reason) VALUES ($1, $2, $3::timestamptz, 'running', $4::json, $5::timestamptz, $6, $7, $8::json, $9)",
            &[
                (&id).into(),
                (&fence.environment).into(),
                (&time(started)).into(),
                (&metadata).into(),
                (&time(now)).into(),
                fence.epoch.into(),
                holder.into(),
                (&revisions).into(),
                reason.into(),
            ],
        )
        .await?;
        tx.commit().await?;
        Ok(Seeding { id, fence: fence.clone() })
    }

    /// The second commit: all rows of a seeding, or none. It waits for nothing but the database; dropped, it rolls back.
    ///
    /// # Errors
    /// Nothing was written then; the log row still runs and is to be closed with [`Store::fail`]. Besides those of
    /// [`Store::begin`], [`StoreError::Superseded`] where another seeding closed the log row, and
    /// [`StoreError::ForeignRow`] where rows that are not ours hold a wanted id.
    pub async fn apply(&self, seeding: &Seeding, write: Write<'_>) -> Result<Applied, StoreError> {
        let fence = &seeding.fence;
        let Write {
            operations,
            reseed,
            mend,
            merges,
            merged: earlier,
            conflicts,
            manifests,
            applied,
            selection_hash,
            summary,
            processed,
            errors,
            metadata,
            spend,
            plans_wait,
            quarantine,
            promotion,
            rollback,
            rollouts,
        } = write;
        let now = time(Timestamp::now());
        let seq = fence.base + 1;
        let environment = fence.environment.as_str();
        let written = operations.iter().map(|(operation, _)| operation.id.clone()).collect();
        let done: Vec<&Operation> = operations.iter().map(|(operation, _)| *operation).collect();

        let mut tx = self.write().await?;
        advance(&mut tx, fence, seq, applied, selection_hash, summary, &now).await?;
        if let Some(spend) = &spend {
            spend.still_sees(&mut tx, environment).await?;
        }
        hand::guard(&mut tx, environment, &merges).await?;
        hand::write(&mut tx, environment, &seeding.id, &merges, &now).await?;
        let merged = merges.iter().map(|merge| merge.integration);
        let merged = merged.chain(earlier.iter().map(String::as_str)).collect();
        let anew = Anew { reseed, merged, mend };
        rollouts::end(&mut tx, environment, rollouts.end, &now).await?;
        let counts =
            crate::apply::apply(&mut tx, seeding, seq, operations, anew, &now, &manifests, applied, rollouts)
                .await?;
        rollouts::begin(&mut tx, rollouts.begin, &seeding.id, &now).await?;
        rollouts::note(&mut tx, environment, rollouts.handled).await?;
        crate::conflicts::settle(&mut tx, environment, conflicts, Some(&seeding.id), &written, &now).await?;
        quarantine::write(&mut tx, environment, &quarantine, Some(&seeding.id), &now).await?;
        promotion::write(&mut tx, environment, &promotion, &now).await?;
        if let Some(handled) = rollback {
            made_current(&mut tx, environment, &done, &now).await?;
            if handled.is_some() {
                rollback::note(&mut tx, environment, handled, &now).await?;
            }
        }

        if let Some(spend) = &spend {
            spend.spend(&mut tx, fence, &seeding.id, &counts, applied, &now).await?;
        }
        if plans_wait || spend.is_some() {
            plans::retire(&mut tx, environment, seq).await?;
        }
        complete(&mut tx, seeding, seq, processed, &counts, errors, metadata).await?;
        tx.commit().await?;
        Ok(Applied { id: seeding.id.clone(), seq, counts })
    }

    /// Moves what an empty plan moves: the applied revision, the documents, the conflicts. No number, no log row; what a
    /// dead process left running is closed.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn settle(&self, settle: Settle<'_>) -> Result<(), StoreError> {
        let Settle { fence, conflicts, manifests, applied, selection_hash, summary, quarantine, promotion } =
            settle;
        let at = Timestamp::now();
        let now = time(at);
        let environment = fence.environment.as_str();
        let mut tx = self.write().await?;
        advance(&mut tx, fence, fence.base, applied, selection_hash, summary, &now).await?;
        close_running(&mut tx, environment, at).await?;
        memory::write(&mut tx, environment, &manifests, applied, &now).await?;
        crate::conflicts::settle(&mut tx, environment, conflicts, None, &BTreeSet::new(), &now).await?;
        quarantine::write(&mut tx, environment, &quarantine, None, &now).await?;
        promotion::write(&mut tx, environment, &promotion, &now).await?;
        tx.commit().await
    }

    /// Closes a seeding that failed. Where the one before it failed for the same code, that row tells of both: when the
    /// first began and how many there were, and else of the last.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn fail(&self, seeding: &Seeding, code: &str, message: &str) -> Result<(), StoreError> {
        let environment = seeding.fence.environment.as_str();
        let now = time(Timestamp::now());
        let mut tx = self.write().await?;
        tx.row(
            "locking the environment",
            "SELECT seq FROM environments WHERE name = $1 FOR UPDATE",
            &[environment.into()],
        )
        .await?;
        let own = tx
            .row(
                "reading the running log row",
                "SELECT metadata::text, revision::text, reason, epoch, holder FROM seeding_logs \
                 WHERE id = $1 AND status = 'running'",
                &[(&seeding.id).into()],
            )
            .await?;
        let Some(own) = own else { return tx.commit().await };
        let mut metadata: Map<String, Value> = own.json(0, "a log row")?;
        let previous = tx
            .row(
                "reading the log",
                "SELECT id, status, metadata::text FROM seeding_logs WHERE environment = $1 AND id <> $2 \
                 ORDER BY started_at DESC, id DESC LIMIT 1",
                &[environment.into(), (&seeding.id).into()],
            )
            .await?;
        let mut row = seeding.id.clone();
        let mut attempts = 1;
        if let Some(previous) = previous {
            let earlier: Map<String, Value> = previous.json(2, "a log row")?;
            if previous.text(1)? == "failed" && earlier.get("code").and_then(Value::as_str) == Some(code) {
                row = previous.text(0)?;
                attempts += earlier.get("attempts").and_then(Value::as_i64).unwrap_or(1);
                tx.run("joining failures", "DELETE FROM seeding_logs WHERE id = $1", &[(&seeding.id).into()])
                    .await?;
            }
        }
        metadata.insert("code".to_owned(), code.into());
        metadata.insert("attempts".to_owned(), attempts.into());
        let failure = [Failure {
            integration: None,
            code: code.to_owned(),
            location: None,
            message: message.to_owned(),
        }];
        tx.run(
            "failing",
            "UPDATE seeding_logs SET status = 'failed', completed_at = $2::timestamptz, errors = $3::json, \
             metadata = $4::json, revision = $5::json, reason = $6, epoch = $7, holder = $8 WHERE id = $1",
            &[
                (&row).into(),
                (&now).into(),
                (&to_json(&failure, "failing")?).into(),
                (&to_json(&metadata, "failing")?).into(),
                (&own.text(1)?).into(),
                (&own.text(2)?).into(),
                own.int(3)?.into(),
                (&own.text(4)?).into(),
            ],
        )
        .await?;
        tx.commit().await
    }
}

/// What a rollback makes current is kept out no longer.
async fn made_current(
    tx: &mut Tx,
    environment: &str,
    done: &[&Operation],
    now: &str,
) -> Result<(), StoreError> {
    let there: Vec<(&str, &str)> = done
        .iter()
        .filter_map(|operation| Some((operation.id.as_str(), operation.to.as_ref()?.checksum.as_str())))
        .collect();
    let absent: Vec<&str> = done
        .iter()
        .filter(|operation| operation.to.is_none())
        .map(|operation| operation.id.as_str())
        .collect();
    quarantine::let_in(tx, environment, &there, &absent, now).await
}

fn number<'a>(count: usize) -> Bind<'a> {
    Bind::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// The fence: moves the environment's row on if keeper, epoch and last seeding are as planned. It comes first, so the row
/// stays locked to the end.
pub(crate) async fn advance(
    tx: &mut Tx,
    fence: &Fence,
    seq: i64,
    applied: &BTreeMap<String, AppliedSource>,
    selection_hash: Option<&str>,
    summary: &Value,
    now: &str,
) -> Result<(), StoreError> {
    let moved = tx
        .run(
            "moving the environment on",
            "UPDATE environments SET seq = $5, applied = $6::json, selection_hash = $7::text, summary = $8::json, \
             updated_at = $9::timestamptz WHERE name = $1 AND keeper = $2 AND epoch = $3 AND seq = $4 \
             AND ($10::text IS NULL OR @time(updated_at) = $10)",
            &[
                (&fence.environment).into(),
                (&fence.keeper).into(),
                fence.epoch.into(),
                fence.base.into(),
                seq.into(),
                (&applied_json(applied)?).into(),
                Bind::Maybe(selection_hash),
                (&to_json(summary, "moving the environment on")?).into(),
                now.into(),
                Bind::Maybe(fence.as_of.map(time).as_deref()),
            ],
        )
        .await?;
    if moved == 0 { Err(refusal(tx, fence).await) } else { Ok(()) }
}

/// Says in its log row that a seeding is complete; it comes last, and fails where the row no longer runs.
pub(crate) async fn complete(
    tx: &mut Tx,
    seeding: &Seeding,
    seq: i64,
    processed: usize,
    counts: &Counts,
    errors: &[Failure],
    mut metadata: Map<String, Value>,
) -> Result<(), StoreError> {
    for (name, count) in
        [("created", counts.created), ("updated", counts.updated), ("deleted", counts.deleted)]
    {
        metadata.insert(name.to_owned(), count.into());
    }
    for (name, count) in
        [("restored", counts.restored), ("staged", counts.staged), ("givenUp", counts.given_up)]
    {
        if count > 0 {
            metadata.insert(name.to_owned(), count.into());
        }
    }
    let ended = tx
        .run(
            "completing",
            "UPDATE seeding_logs SET status = 'completed', completed_at = $2::timestamptz, seq = $3, \
             integrations_processed = $4, actions_created = $5, triggers_created = $6, connections_created = $7, \
             errors = $8::json, metadata = $9::json WHERE id = $1 AND status = 'running'",
            &[
                (&seeding.id).into(),
                (&time(Timestamp::now())).into(),
                seq.into(),
                number(processed),
                number(counts.actions_created),
                number(counts.triggers_created),
                number(counts.connections_created),
                (&to_json(&errors, "completing")?).into(),
                (&to_json(&metadata, "completing")?).into(),
            ],
        )
        .await?;
    match ended {
        0 => Err(StoreError::Superseded { environment: seeding.fence.environment.clone() }),
        _ => Ok(()),
    }
}

/// Closes what a dead process left running. Only under the lock of the environment's row: a seeding that still lives then
/// cannot commit any more, and one that had committed is not found.
pub(crate) async fn close_running(tx: &mut Tx, environment: &str, now: Timestamp) -> Result<(), StoreError> {
    let failure = [Failure {
        integration: None,
        code: "SeedingFailed".to_owned(),
        location: None,
        message: "interrupted; nothing written".to_owned(),
    }];
    tx.run(
        "closing what was left running",
        "UPDATE seeding_logs SET status = 'failed', completed_at = $2::timestamptz, errors = $3::json \
         WHERE environment = $1 AND status = 'running'",
        &[environment.into(), (&time(now)).into(), (&to_json(&failure, "closing")?).into()],
    )
    .await?;
    Ok(())
}
