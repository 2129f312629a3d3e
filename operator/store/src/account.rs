//! What the log holds of a stretch of time, for its figures.

use jiff::Timestamp;
use sower_core::figures::{Account, Changed, Conflicts, Ended, Seeding};

use crate::conflicts::KINDS;
use crate::error::StoreError;
use crate::open::Store;
use crate::session::{Bind, Row, time};

/// Seedings of one account: what is older than so many is not counted.
const SEEDINGS: i64 = 50_000;
/// Integrations that are named as changed most.
const CHANGED: i64 = 10;

impl Store {
    /// What became of the seedings of an environment since a time: one statement a table, over one state of the database.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn account(&self, environment: &str, since: Timestamp) -> Result<Account, StoreError> {
        let since = time(since);
        let mut tx = self.read().await?;
        let seedings = tx
            .rows(
                "reading the log",
                "SELECT seq, status, @time(started_at), @time(completed_at), CAST(metadata ->> 'attempts' AS text), reason, \
                 CAST(metadata ->> 'committedAt' AS text) FROM seeding_logs \
                 WHERE environment = $1 AND (completed_at IS NULL OR completed_at >= $2::timestamptz) \
                 ORDER BY started_at DESC, id DESC LIMIT $3",
                &[environment.into(), (&since).into(), Bind::Int(SEEDINGS + 1)],
            )
            .await?;
        let conflicts = tx
            .rows(
                "counting conflicts",
                "SELECT conflict_type, count(*) FILTER (WHERE created_at >= $2::timestamptz), \
                 count(*) FILTER (WHERE resolved_at >= $2::timestamptz), count(*) FILTER (WHERE resolved_at IS NULL) \
                 FROM seeding_conflicts WHERE environment = $1 \
                 AND (resolved_at IS NULL OR resolved_at >= $2::timestamptz OR created_at >= $2::timestamptz) \
                 GROUP BY conflict_type",
                &[environment.into(), (&since).into()],
            )
            .await?;
        let changed = tx
            .rows(
                "counting changes",
                "SELECT q.id, q.many, @time(l.completed_at) FROM (SELECT c.integration_id AS id, count(*) AS many, \
                 max(c.seq) AS last FROM seeding_changes c JOIN seeding_logs s ON s.environment = c.environment \
                 AND s.seq = c.seq WHERE c.environment = $1 AND s.completed_at >= $2::timestamptz \
                 GROUP BY c.integration_id ORDER BY 2 DESC, 3 DESC, 1 LIMIT $3) AS q \
                 JOIN seeding_logs l ON l.environment = $1 AND l.seq = q.last ORDER BY q.many DESC, q.last DESC, q.id",
                &[environment.into(), (&since).into(), Bind::Int(CHANGED)],
            )
            .await?;
        tx.done();
        let mut account = Account {
            cut: i64::try_from(seedings.len()).is_ok_and(|many| many > SEEDINGS),
            seedings: seedings.iter().map(seeding).collect::<Result<_, _>>()?,
            conflicts: conflicts
                .iter()
                .filter_map(|row| counted(row).transpose())
                .collect::<Result<_, _>>()?,
            changed: changed.iter().map(one).collect::<Result<_, _>>()?,
        };
        account.seedings.truncate(usize::try_from(SEEDINGS).unwrap_or(usize::MAX));
        account.conflicts.sort_by_key(|counted| counted.kind);
        Ok(account)
    }
}

fn seeding(row: &Row) -> Result<Seeding, StoreError> {
    let ended = match &*row.text(1)? {
        "completed" => Ended::Completed,
        "running" => Ended::Running,
        _ => Ended::Failed,
    };
    Ok(Seeding {
        seq: row.maybe_int(0)?,
        ended,
        started_at: row.time(2)?,
        completed_at: row.maybe_time(3)?,
        // What another hand wrote there counts as nothing more.
        attempts: row.maybe_text(4)?.and_then(|text| text.parse().ok()).unwrap_or(1),
        reason: row.text(5)?,
        committed_at: row.maybe_text(6)?.and_then(|text| text.parse().ok()),
    })
}

fn counted(row: &Row) -> Result<Option<Conflicts>, StoreError> {
    let kind = row.text(0)?;
    let Some(kind) = KINDS.into_iter().find(|known| known.as_str() == kind) else { return Ok(None) };
    let [opened, closed, open] = [number(row, 1)?, number(row, 2)?, number(row, 3)?];
    Ok(Some(Conflicts { kind, opened, closed, open }))
}

fn one(row: &Row) -> Result<Changed, StoreError> {
    Ok(Changed { integration: row.text(0)?, seedings: number(row, 1)?, last_at: row.time(2)? })
}

fn number(row: &Row, index: usize) -> Result<u64, StoreError> {
    Ok(u64::try_from(row.int(index)?).unwrap_or(0))
}
