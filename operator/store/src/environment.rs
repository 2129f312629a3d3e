//! The row of an environment: who seeds it, what it holds, and the fence that every write passes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sower_core::snapshot::Revision;

use crate::error::StoreError;
use crate::open::Store;
use crate::rollback::HandledRollback;
use crate::session::{Bind, Row, Tx, parse, time, to_json};
use crate::usage::UsageLooked;

/// What an environment holds of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedSource {
    /// What was read.
    pub revision: Revision,
    /// Digest of the files below the source's path: equal trees are equal catalogs, whatever the commit.
    pub tree: String,
}

/// As the column `applied` holds it.
#[derive(Serialize, Deserialize)]
struct StoredSource {
    revision: String,
    tree: String,
}

/// The row of an environment.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvironmentRow {
    /// Its name.
    pub name: String,
    /// `files`, or `<clusterName>/<namespace>/<name>`; absent: nobody yet.
    pub keeper: Option<String>,
    /// Raised by whoever gains the Lease.
    pub epoch: i64,
    /// Who holds the epoch.
    pub holder: Option<String>,
    /// Number of the last committed seeding; 0: none.
    pub seq: i64,
    /// What it holds, by source.
    pub applied: BTreeMap<String, AppliedSource>,
    /// What the selection stood on.
    pub selection_hash: Option<String>,
    /// What the last writer noted of its outcome.
    pub summary: serde_json::Value,
    /// Log id of a seeding that began and has not ended: it runs, or died; the next one closes it.
    pub running: Option<String>,
    /// How many plans wait for an approval, or approved for something else.
    pub waiting: i64,
    /// The hash of the plan that is approved and waits for something else.
    pub approved: Option<String>,
    /// When the last seeding was committed.
    pub seeded_at: Option<Timestamp>,
    /// When the row last changed.
    pub updated_at: Timestamp,
    /// The retention that was looked at last; none: the default one.
    pub retained: Option<String>,
    /// When it has to be looked at again.
    pub retain_at: Option<Timestamp>,
    /// No state of a seeding below this number can be made again.
    pub forgotten: i64,
    /// What asked for the last rollback, and what came of it.
    pub rollback: Option<HandledRollback>,
    /// Whether its usage has to be looked at.
    pub usage: UsageLooked,
    /// Somebody let something in that waits for another environment, and nothing came of it yet.
    pub admits: bool,
}

impl EnvironmentRow {
    /// Whether the plan that is approved and waits has these first digits.
    #[must_use]
    pub fn approves(&self, plan: &str) -> bool {
        !plan.is_empty() && self.approved.as_ref().is_some_and(|approved| approved.starts_with(plan))
    }

    /// The revision of each source, by name.
    pub fn revisions(&self) -> impl Iterator<Item = (&str, &Revision)> {
        self.applied.iter().map(|(name, source)| (name.as_str(), &source.revision))
    }
}

/// What a write stands on. If the database says otherwise, nothing is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The environment.
    pub environment: String,
    /// Who seeds it.
    pub keeper: String,
    /// The epoch this process writes under.
    pub epoch: i64,
    /// Number of the seeding that the plan stands on.
    pub base: i64,
    /// When the row last changed, as the plan read it; none where claiming it changed it.
    pub as_of: Option<Timestamp>,
}

const COLUMNS: &str = "e.name::text, e.keeper, e.epoch, e.holder, e.seq, e.applied::text, e.selection_hash, e.summary::text, \
     (SELECT r.id::text FROM public.seeding_logs r WHERE r.environment = e.name AND r.status = 'running'), \
     (SELECT @time(s.completed_at) FROM public.seeding_logs s WHERE s.environment = e.name AND s.seq = e.seq), \
     @time(e.updated_at), e.retained, @time(e.retain_at), e.forgotten, e.rollback::text, \
     (SELECT count(*) FROM public.seeding_plans w WHERE w.environment = e.name AND w.base_seq = e.seq \
       AND w.status IN ('pending', 'approved')), \
     (SELECT max(p.hash::text) FROM public.seeding_plans p WHERE p.environment = e.name AND p.base_seq = e.seq \
       AND p.status = 'approved'), \
     (SELECT count(*) FROM (SELECT 1 FROM public.integration_usage u WHERE u.environment = e.name \
       ORDER BY u.resolution, u.minute LIMIT 1) AS o), \
     @time(e.usage_at), e.usage_kept, \
     (SELECT count(*) FROM public.promotion_admissions a WHERE a.environment = e.name)";

impl Store {
    /// The row of one environment, if there is one. One statement.
    ///
    /// # Errors
    /// Where the database does not answer or the row cannot be read.
    pub async fn environment(&self, name: &str) -> Result<Option<EnvironmentRow>, StoreError> {
        // A name that could end a literal is none that a row has.
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
            return Ok(None);
        }
        let sql = format!("SELECT {COLUMNS} FROM public.environments e WHERE e.name = '{name}'");
        let rows = self.ask("reading the environment", &sql).await?;
        rows.first().map(read).transpose()
    }

    /// Every environment of this database, by name.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn environments(&self) -> Result<Vec<EnvironmentRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM public.environments e ORDER BY e.name");
        let rows = self.ask("reading the environments", &sql).await?;
        rows.iter().map(read).collect()
    }

    /// Notes how a seeding ended that wrote nothing. Where the row has moved on since, its own note stands.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn note(&self, row: &EnvironmentRow, summary: &serde_json::Value) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        tx.run(
            "noting how a seeding ended",
            "UPDATE environments SET summary = $2::json, updated_at = $3::timestamptz \
             WHERE name = $1 AND seq = $4 AND epoch = $5 AND @time(updated_at) = $6",
            &[
                (&row.name).into(),
                (&to_json(summary, "noting how a seeding ended")?).into(),
                (&time(Timestamp::now())).into(),
                row.seq.into(),
                row.epoch.into(),
                (&time(row.updated_at)).into(),
            ],
        )
        .await?;
        tx.commit().await
    }

    /// Notes how a seeding ended that wrote nothing, where there is no row yet: one of nobody's, which any keeper may
    /// claim. Where there is one by now, its own note stands.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn note_first(&self, environment: &str, summary: &serde_json::Value) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        tx.run(
            "noting how a first seeding ended",
            "INSERT INTO environments (name, summary, created_at, updated_at) \
             VALUES ($1, $2::json, $3::timestamptz, $3::timestamptz) ON CONFLICT (name) DO NOTHING",
            &[
                environment.into(),
                (&to_json(summary, "noting how a first seeding ended")?).into(),
                (&time(Timestamp::now())).into(),
            ],
        )
        .await?;
        tx.commit().await
    }

    /// Takes the environment for this keeper, before the first write. Where it is this keeper's already, nothing is
    /// written. Answers with where the environment stands now: a write of a plan stands on the plan's own base, and on the
    /// epoch under which this process got the environment.
    ///
    /// # Errors
    /// [`StoreError::KeptElsewhere`] where another keeper has it and `take_over` does not say otherwise.
    pub async fn claim(&self, environment: &str, keeper: &str, take_over: bool) -> Result<Fence, StoreError> {
        self.claim_under(environment, keeper, take_over, None).await
    }

    /// [`Store::claim`] by a process that writes under an epoch of its own: who was told of none later takes nothing.
    ///
    /// # Errors
    /// As that; [`StoreError::Fenced`] where the epoch is another by now, and [`StoreError::Gone`] where there is none.
    pub async fn claim_under(
        &self,
        environment: &str,
        keeper: &str,
        take_over: bool,
        epoch: Option<i64>,
    ) -> Result<Fence, StoreError> {
        // Even a lock leaves its mark on a row: what is ours already is not locked. The fence looks again.
        if let Some(row) =
            self.environment(environment).await?.filter(|row| row.keeper.as_deref() == Some(keeper))
        {
            let (environment, keeper) = (environment.to_owned(), keeper.to_owned());
            return Ok(Fence {
                environment,
                keeper,
                epoch: row.epoch,
                base: row.seq,
                as_of: Some(row.updated_at),
            });
        }
        let mut tx = self.write().await?;
        let now = time(Timestamp::now());
        let select = "SELECT keeper, epoch, seq FROM environments WHERE name = $1 FOR UPDATE";
        let mut row = tx.row("reading the keeper", select, &[environment.into()]).await?;
        if row.is_none() {
            // Whoever has an epoch raised it in this very row: it was deleted meanwhile.
            if epoch.is_some() {
                return Err(gone(environment));
            }
            tx.run(
                "claiming the environment",
                "INSERT INTO environments (name, keeper, created_at, updated_at) \
                 VALUES ($1, $2, $3::timestamptz, $3::timestamptz) ON CONFLICT (name) DO NOTHING",
                &[environment.into(), keeper.into(), (&now).into()],
            )
            .await?;
            row = tx.row("reading the keeper", select, &[environment.into()]).await?;
        }
        let row = row.ok_or_else(|| gone(environment))?;
        let found = row.int(1)?;
        match row.maybe_text(0)? {
            Some(other) if other == keeper => {}
            Some(other) if !take_over => {
                return Err(StoreError::KeptElsewhere { environment: environment.to_owned(), keeper: other });
            }
            _ => {
                if let Some(epoch) = epoch.filter(|epoch| *epoch != found) {
                    return Err(StoreError::Fenced { environment: environment.to_owned(), epoch, found });
                }
                tx.run(
                    "claiming the environment",
                    "UPDATE environments SET keeper = $2, updated_at = $3::timestamptz WHERE name = $1",
                    &[environment.into(), keeper.into(), (&now).into()],
                )
                .await?;
            }
        }
        let (epoch, base) = (found, row.int(2)?);
        tx.commit().await?;
        let (environment, keeper) = (environment.to_owned(), keeper.to_owned());
        Ok(Fence { environment, keeper, epoch, base, as_of: None })
    }

    /// Raises the epoch: from now on nobody writes under an older one. Only for whoever has just gained the Lease, and has
    /// `seen` who keeps the environment. A seeding that was left running is closed as failed.
    ///
    /// # Errors
    /// [`StoreError::Moved`] where somebody else keeps it by now; nobody is fenced out then.
    pub async fn raise_epoch(
        &self,
        environment: &str,
        holder: &str,
        seen: Option<&str>,
    ) -> Result<i64, StoreError> {
        let mut tx = self.write().await?;
        let now = Timestamp::now();
        let row = tx
            .row(
                "raising the epoch",
                "INSERT INTO environments AS e (name, epoch, holder, created_at, updated_at) \
                 VALUES ($1, 1, $2, $3::timestamptz, $3::timestamptz) ON CONFLICT (name) DO UPDATE \
                 SET epoch = e.epoch + 1, holder = excluded.holder, updated_at = excluded.updated_at \
                 WHERE e.keeper IS NOT DISTINCT FROM $4 RETURNING epoch",
                &[environment.into(), holder.into(), (&time(now)).into(), Bind::Maybe(seen)],
            )
            .await?;
        let moved = || StoreError::Moved { environment: environment.to_owned() };
        let epoch = row.ok_or_else(moved)?.int(0)?;
        crate::seeding::close_running(&mut tx, environment, now).await?;
        tx.commit().await?;
        Ok(epoch)
    }
}

fn gone(environment: &str) -> StoreError {
    StoreError::Gone { environment: environment.to_owned() }
}

fn read(row: &Row) -> Result<EnvironmentRow, StoreError> {
    let applied = read_applied(row, 5)?;
    Ok(EnvironmentRow {
        name: row.text(0)?,
        keeper: row.maybe_text(1)?,
        epoch: row.int(2)?,
        holder: row.maybe_text(3)?,
        seq: row.int(4)?,
        applied,
        selection_hash: row.maybe_text(6)?,
        summary: row.json(7, "the summary of an environment")?,
        running: row.maybe_text(8)?,
        waiting: row.int(15)?,
        approved: row.maybe_text(16)?,
        seeded_at: row.maybe_time(9)?,
        updated_at: row.time(10)?,
        retained: row.maybe_text(11)?,
        retain_at: row.maybe_time(12)?,
        forgotten: row.int(13)?,
        rollback: row.maybe_text(14)?.map(|text| parse(&text, "what came of a rollback")).transpose()?,
        usage: UsageLooked { some: row.int(17)? > 0, due_at: row.maybe_time(18)?, kept: row.maybe_text(19)? },
        admits: row.int(20)? > 0,
    })
}

/// Applied sources, as [`applied_json`] writes them.
pub(crate) fn read_applied(row: &Row, index: usize) -> Result<BTreeMap<String, AppliedSource>, StoreError> {
    let stored: BTreeMap<String, StoredSource> = row.json(index, "the applied revision")?;
    let read = |(name, StoredSource { revision, tree }): (String, StoredSource)| {
        let revision = Revision::parse(&revision).ok_or_else(|| StoreError::Unreadable {
            what: "the applied revision".to_owned(),
            cause: format!("`{revision}` is no revision"),
        })?;
        Ok((name, AppliedSource { revision, tree }))
    };
    stored.into_iter().map(read).collect()
}

/// Applied sources as the column holds them.
pub(crate) fn applied_json(applied: &BTreeMap<String, AppliedSource>) -> Result<String, StoreError> {
    let stored: BTreeMap<&str, StoredSource> = applied
        .iter()
        .map(|(name, AppliedSource { revision, tree })| {
            (name.as_str(), StoredSource { revision: revision.full(), tree: tree.clone() })
        })
        .collect();
    crate::session::to_json(&stored, "writing the applied revision")
}

/// Locks the environment's row and compares it with the fence.
pub(crate) async fn lock(tx: &mut Tx, fence: &Fence) -> Result<(), StoreError> {
    let row = tx
        .row(
            "locking the environment",
            "SELECT keeper, epoch, seq, @time(updated_at) FROM environments WHERE name = $1 FOR UPDATE",
            &[(&fence.environment).into()],
        )
        .await?;
    let Some(row) = row else { return Err(gone(&fence.environment)) };
    compare(fence, row.maybe_text(0)?, row.int(1)?, row.int(2)?, row.time(3)?)
}

/// Why a fenced write touched no row.
pub(crate) async fn refusal(tx: &mut Tx, fence: &Fence) -> StoreError {
    match lock(tx, fence).await {
        Err(error) => error,
        Ok(()) => StoreError::Moved { environment: fence.environment.clone() },
    }
}

fn compare(
    fence: &Fence,
    keeper: Option<String>,
    epoch: i64,
    seq: i64,
    changed: Timestamp,
) -> Result<(), StoreError> {
    let environment = fence.environment.clone();
    match keeper {
        Some(keeper) if keeper != fence.keeper => Err(StoreError::KeptElsewhere { environment, keeper }),
        None => Err(gone(&fence.environment)),
        Some(_) if epoch != fence.epoch => {
            Err(StoreError::Fenced { environment, epoch: fence.epoch, found: epoch })
        }
        Some(_) if seq != fence.base => Err(StoreError::Stale { environment, base: fence.base, found: seq }),
        Some(_) if fence.as_of.is_some_and(|as_of| as_of != changed) => {
            Err(StoreError::Moved { environment })
        }
        Some(_) => Ok(()),
    }
}
