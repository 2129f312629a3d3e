//! What is forgotten: integrations that were taken out long ago, and, where that is asked for, older history.
//!
//! Nothing is forgotten that is carried, that the last seeding or the one before it left, or that is pinned. A look is one
//! fenced transaction of bounded size; the environment's row says when the next one is due, so that nobody asks in vain.

use std::time::Duration;

use jiff::Timestamp;

use crate::apply::ROWS;
use crate::environment::{EnvironmentRow, Fence, lock};
use crate::error::StoreError;
use crate::open::Store;
use crate::remove::unreferenced;
use crate::seeding::new_id;
use crate::session::{Bind, Tx, time, to_json};

/// How often history is looked at where it is bounded, and what could not be purged for others' rows.
const EVERY: Duration = Duration::from_secs(24 * 3600);

/// How long things are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Integrations that were taken out.
    pub removed: Duration,
    /// Seedings, what they changed, contents that only they had, and conflicts that are resolved; none: for ever.
    pub history: Option<Duration>,
    /// Number of contents of one integration; none: all.
    pub versions: Option<u32>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { removed: Duration::from_secs(30 * 24 * 3600), history: None, versions: None }
    }
}

/// What a look made forget.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Integrations that had been taken out, by id.
    pub purged: Vec<String>,
    /// Contents.
    pub versions: u64,
    /// What seedings changed.
    pub changes: u64,
    /// Log rows.
    pub logs: u64,
    /// Conflicts.
    pub conflicts: u64,
    /// There is more: a transaction is bounded.
    pub more: bool,
}

impl Forgotten {
    /// Nothing was.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        let Self { purged, versions, changes, logs, conflicts, more: _ } = self;
        purged.is_empty() && versions + changes + logs + conflicts == 0
    }

    /// With what another look made forget.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        let Self { purged, versions, changes, logs, conflicts, more } = other;
        self.purged.extend(purged);
        self.versions += versions;
        self.changes += changes;
        self.logs += logs;
        self.conflicts += conflicts;
        Self { more, ..self }
    }
}

impl Retention {
    /// As the environment's row remembers it.
    fn text(&self) -> String {
        let Self { removed, history, versions } = self;
        let history = history.map_or_else(|| "-".to_owned(), |history| format!("{}s", history.as_secs()));
        let versions = versions.map_or_else(|| "-".to_owned(), |versions| versions.to_string());
        format!("removed {}s, history {history}, versions {versions}", removed.as_secs())
    }

    /// Whether something may have to be forgotten by now: so says the environment's row alone.
    #[must_use]
    pub fn is_due(&self, row: &EnvironmentRow, now: Timestamp) -> bool {
        let looked_at = row.retained.clone().unwrap_or_else(|| Self::default().text());
        looked_at != self.text() || row.retain_at.is_some_and(|at| at <= now)
    }
}

impl EnvironmentRow {
    /// Whether contents of its history may be forgotten: what is not there may have been.
    #[must_use]
    pub fn forgets(&self) -> bool {
        let unbounded = Retention::default().text();
        let bounds = |text: &str| text.split_once(", ").map(|(_removed, bounds)| bounds.to_owned());
        self.retained.as_deref().is_some_and(|retained| bounds(retained) != bounds(&unbounded))
    }
}

/// What is never forgotten (integration and checksum): the one place that lists it. `$1` is the environment, `$2` the
/// number of the seeding before the last.
const PINNED: &str = "SELECT d.id, d.checksum FROM integration_definitions d \
     WHERE d.environment = $1 AND d.checksum IS NOT NULL \
     UNION SELECT c.integration_id, c.to_checksum FROM seeding_changes c \
     WHERE c.environment = $1 AND c.to_checksum IS NOT NULL AND NOT EXISTS (SELECT 1 FROM seeding_changes l \
       WHERE l.environment = c.environment AND l.integration_id = c.integration_id AND l.seq > c.seq AND l.seq <= $2) \
     UNION SELECT q.integration_id, q.checksum FROM integration_quarantine q \
     WHERE q.environment = $1 AND q.lifted_at IS NULL \
     UNION SELECT r.integration_id, r.to_checksum FROM integration_rollouts r \
     WHERE r.environment = $1 AND r.ended_at IS NULL \
     UNION SELECT v.integration_id, v.checksum FROM integration_versions v WHERE v.environment = $1 \
     AND EXISTS (SELECT 1 FROM registry_candidates c WHERE c.environment = v.environment \
       AND c.integration_id = v.integration_id AND c.version = v.version)";

/// Where rows of the catalog say which seeding wrote them: its log row stays.
const WRITTEN_BY: [&str; 6] = [
    "integration_definitions",
    "action_registry",
    "trigger_registry",
    "connection_registry",
    "event_registry",
    "registry_candidates",
];

/// Rows of one kind that a transaction forgets at most.
const MOST: i64 = ROWS as i64;

impl Store {
    /// Forgets what is older than it is to be kept, as of `now`; at most some thousand rows, see [`Forgotten::more`].
    ///
    /// # Errors
    /// As [`Store::begin`]; nothing was forgotten then.
    pub async fn retain(
        &self,
        fence: &Fence,
        retention: &Retention,
        now: Timestamp,
    ) -> Result<Forgotten, StoreError> {
        let environment = fence.environment.as_str();
        let mut tx = self.write().await?;
        lock(&mut tx, fence).await?;
        let mut forgotten = Forgotten {
            purged: purge(&mut tx, environment, &before(now, retention.removed)).await?,
            ..Forgotten::default()
        };
        let cutoff = retention.history.map(|history| before(now, history));
        let oldest = oldest(&mut tx, fence, cutoff.as_deref()).await?;
        if let Some(cutoff) = &cutoff {
            forgotten.changes = changes(&mut tx, environment, oldest).await?;
            forgotten.conflicts = conflicts(&mut tx, environment, cutoff).await?;
        }
        if cutoff.is_some() || retention.versions.is_some() {
            forgotten.versions =
                versions(&mut tx, fence, cutoff.as_deref(), retention.versions.map(i64::from)).await?;
        }
        if let Some(cutoff) = &cutoff {
            forgotten.logs = logs(&mut tx, environment, cutoff, oldest).await?;
        }
        let ended = match &cutoff {
            Some(cutoff) => ended(&mut tx, environment, cutoff).await?,
            None => 0,
        };
        let counts = [forgotten.versions, forgotten.changes, forgotten.logs, forgotten.conflicts, ended];
        let full = |count: u64| count >= MOST.unsigned_abs();
        forgotten.more = full(forgotten.purged.len() as u64) || counts.into_iter().any(full);
        let next =
            if forgotten.more { Some(now) } else { next(&mut tx, environment, retention, now).await? };
        note(&mut tx, environment, retention, next, oldest).await?;
        if !forgotten.is_nothing() {
            record(&mut tx, environment, &forgotten, now).await?;
        }
        tx.commit().await?;
        Ok(forgotten)
    }
}

/// The time that lies so long before another.
fn before(now: Timestamp, ago: Duration) -> String {
    time(now.checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// Deletes definitions that were taken out long ago; those on which foreign rows hang stay.
async fn purge(tx: &mut Tx, environment: &str, cutoff: &str) -> Result<Vec<String>, StoreError> {
    let due = format!(
        "d.environment = $1 AND d.status = 'removed' AND d.seeding IS NOT NULL \
         AND d.removed_at <= $2::timestamptz AND {}",
        unreferenced()
    );
    let sql = format!(
        "SELECT d.id FROM integration_definitions d WHERE {due} ORDER BY d.removed_at, d.id LIMIT $3"
    );
    let binds = [environment.into(), cutoff.into(), Bind::Int(MOST)];
    let rows = tx.rows("reading what is to be purged", &sql, &binds).await?;
    let ids = rows.iter().map(|row| row.text(0)).collect::<Result<Vec<_>, _>>()?;
    if ids.is_empty() {
        return Ok(ids);
    }
    let gone: Vec<&str> = ids.iter().map(String::as_str).collect();
    let sql = format!("DELETE FROM integration_definitions AS d WHERE {due} AND d.id = ANY($3)");
    tx.run("purging definitions", &sql, &[environment.into(), cutoff.into(), Bind::Texts(&gone)]).await?;
    tx.run(
        "purging what is known of registry rows",
        "DELETE FROM removed_parts WHERE environment = $1 AND integration_id = ANY($2)",
        &[environment.into(), Bind::Texts(&gone)],
    )
    .await?;
    Ok(ids)
}

/// Number of the oldest seeding whose state can be made again: that of the one before the last always can.
async fn oldest(tx: &mut Tx, fence: &Fence, cutoff: Option<&str>) -> Result<i64, StoreError> {
    let environment = fence.environment.as_str();
    let row = tx
        .row(
            "reading what is forgotten",
            "SELECT forgotten FROM environments WHERE name = $1",
            &[environment.into()],
        )
        .await?;
    let forgotten = row.map(|row| row.int(0)).transpose()?.unwrap_or_default();
    let Some(cutoff) = cutoff else { return Ok(forgotten) };
    let row = tx
        .row(
            "reading which seedings are kept",
            "SELECT min(seq) FROM seeding_logs \
             WHERE environment = $1 AND status = 'completed' AND completed_at > $2::timestamptz",
            &[environment.into(), cutoff.into()],
        )
        .await?;
    let young = row.map(|row| row.maybe_int(0)).transpose()?.flatten().unwrap_or(fence.base);
    Ok(young.min(fence.base - 1).max(forgotten))
}

/// What was changed before the oldest state that is kept, and is no part of it.
async fn changes(tx: &mut Tx, environment: &str, oldest: i64) -> Result<u64, StoreError> {
    let sql = "DELETE FROM seeding_changes WHERE (environment, integration_id, seq) IN (\
         SELECT c.environment, c.integration_id, c.seq FROM seeding_changes c \
         WHERE c.environment = $1 AND c.seq < $2 AND (\
           EXISTS (SELECT 1 FROM seeding_changes l WHERE l.environment = c.environment \
             AND l.integration_id = c.integration_id AND l.seq > c.seq AND l.seq <= $2) \
           OR (c.to_checksum IS NULL AND NOT EXISTS (SELECT 1 FROM integration_definitions d \
             WHERE d.environment = c.environment AND d.id = c.integration_id))) LIMIT $3)";
    tx.run("forgetting changes", sql, &[environment.into(), oldest.into(), Bind::Int(MOST)]).await
}

/// Contents that no state of the history kept has, and those of each integration beyond so many.
async fn versions(
    tx: &mut Tx,
    fence: &Fence,
    cutoff: Option<&str>,
    most: Option<i64>,
) -> Result<u64, StoreError> {
    let sql = format!(
        "DELETE FROM integration_versions WHERE (environment, integration_id, version, checksum) IN (\
         SELECT v.environment, v.integration_id, v.version, v.checksum FROM (\
           SELECT environment, integration_id, version, checksum, created_at, row_number() OVER (\
             PARTITION BY integration_id ORDER BY created_at DESC, version DESC, checksum) AS place \
           FROM integration_versions WHERE environment = $1) AS v \
         WHERE (v.place > $3 OR (v.created_at <= $4::timestamptz AND NOT EXISTS (SELECT 1 FROM seeding_changes c \
           WHERE c.environment = $1 AND c.integration_id = v.integration_id AND c.to_checksum = v.checksum))) \
         AND (v.integration_id, v.checksum) NOT IN ({PINNED}) LIMIT $5)"
    );
    let binds = [
        (&fence.environment).into(),
        (fence.base - 1).into(),
        most.unwrap_or(i64::MAX).into(),
        cutoff.unwrap_or("0001-01-01T00:00:00.000Z").into(),
        Bind::Int(MOST),
    ];
    tx.run("forgetting contents", &sql, &binds).await
}

/// Log rows of seedings that neither a change that is kept nor a row of the catalog names.
async fn logs(tx: &mut Tx, environment: &str, cutoff: &str, oldest: i64) -> Result<u64, StoreError> {
    let named = WRITTEN_BY
        .map(|table| format!("SELECT seeding FROM {table} WHERE environment = $1 AND seeding IS NOT NULL"))
        .join(" UNION ");
    let sql = format!(
        "DELETE FROM seeding_logs WHERE id IN (SELECT l.id FROM seeding_logs l \
         WHERE l.environment = $1 AND l.status <> 'running' AND l.started_at <= $2::timestamptz \
         AND (l.seq IS NULL OR (l.seq < $3 \
           AND l.seq NOT IN (SELECT c.seq FROM seeding_changes c WHERE c.environment = $1))) \
         AND l.id NOT IN ({named}) LIMIT $4)"
    );
    let binds = [environment.into(), cutoff.into(), oldest.into(), Bind::Int(MOST)];
    tx.run("forgetting log rows", &sql, &binds).await
}

/// Conflicts that were resolved long ago, and what earlier looks wrote down.
async fn conflicts(tx: &mut Tx, environment: &str, cutoff: &str) -> Result<u64, StoreError> {
    tx.run(
        "forgetting earlier looks",
        "DELETE FROM seeding_retention WHERE environment = $1 AND created_at <= $2::timestamptz",
        &[environment.into(), cutoff.into()],
    )
    .await?;
    let sql = "DELETE FROM seeding_conflicts WHERE id IN (SELECT id FROM seeding_conflicts \
         WHERE environment = $1 AND resolved_at IS NOT NULL AND resolved_at <= $2::timestamptz LIMIT $3)";
    tx.run("forgetting conflicts", sql, &[environment.into(), cutoff.into(), Bind::Int(MOST)]).await
}

/// What came to its end long ago: approvals that are spent, what is kept out no longer, and what went into merges whose
/// results are forgotten. The most of one kind.
async fn ended(tx: &mut Tx, environment: &str, cutoff: &str) -> Result<u64, StoreError> {
    let mut most = 0;
    for (what, sql) in [
        (
            "forgetting spent approvals",
            "DELETE FROM seeding_plans WHERE environment = $1 AND hash IN (SELECT hash FROM seeding_plans \
             WHERE environment = $1 AND status = 'applied' AND approved_at <= $2::timestamptz LIMIT $3)",
        ),
        (
            "forgetting what was lifted",
            "DELETE FROM integration_quarantine WHERE (environment, integration_id, checksum) IN (\
             SELECT environment, integration_id, checksum FROM integration_quarantine \
             WHERE environment = $1 AND lifted_at <= $2::timestamptz LIMIT $3)",
        ),
        (
            "forgetting rollouts that ended",
            "DELETE FROM integration_rollouts WHERE id IN (SELECT id FROM integration_rollouts \
             WHERE environment = $1 AND ended_at <= $2::timestamptz LIMIT $3)",
        ),
        (
            "forgetting merges",
            "DELETE FROM integration_merges WHERE (environment, integration_id, checksum) IN (\
             SELECT m.environment, m.integration_id, m.checksum FROM integration_merges m \
             WHERE m.environment = $1 AND m.created_at <= $2::timestamptz \
             AND NOT EXISTS (SELECT 1 FROM integration_versions v WHERE v.environment = m.environment \
               AND v.integration_id = m.integration_id AND v.checksum = m.checksum) \
             AND NOT EXISTS (SELECT 1 FROM seeding_plan_contents p WHERE p.environment = m.environment \
               AND p.integration_id = m.integration_id AND p.checksum = m.checksum) LIMIT $3)",
        ),
    ] {
        let gone = tx.run(what, sql, &[environment.into(), cutoff.into(), Bind::Int(MOST)]).await?;
        most = gone.max(most);
    }
    Ok(most)
}

/// When to look again; none: nothing waits.
async fn next(
    tx: &mut Tx,
    environment: &str,
    retention: &Retention,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let row = tx
        .row(
            "reading what waits to be purged",
            "SELECT @time(f.at) FROM (SELECT min(removed_at) AS at FROM integration_definitions \
             WHERE environment = $1 AND status = 'removed' AND seeding IS NOT NULL) AS f",
            &[environment.into()],
        )
        .await?;
    let first = row.map(|row| row.maybe_time(0)).transpose()?.flatten();
    let later = now.checked_add(EVERY).unwrap_or(Timestamp::MAX);
    // What was due and is there still has foreign rows.
    let purge = first
        .map(|at| at.checked_add(retention.removed).unwrap_or(Timestamp::MAX))
        .map(|due| if due <= now { later } else { due });
    let history = (retention.history.is_some() || retention.versions.is_some()).then_some(later);
    Ok(purge.into_iter().chain(history).min())
}

async fn note(
    tx: &mut Tx,
    environment: &str,
    retention: &Retention,
    next: Option<Timestamp>,
    oldest: i64,
) -> Result<(), StoreError> {
    tx.run(
        "noting what is forgotten",
        "UPDATE environments SET retained = $2, retain_at = $3::timestamptz, forgotten = $4 WHERE name = $1",
        &[
            environment.into(),
            (&retention.text()).into(),
            Bind::Maybe(next.map(time).as_deref()),
            oldest.into(),
        ],
    )
    .await?;
    Ok(())
}

async fn record(
    tx: &mut Tx,
    environment: &str,
    forgotten: &Forgotten,
    now: Timestamp,
) -> Result<(), StoreError> {
    let count = |count: u64| Bind::Int(i64::try_from(count).unwrap_or(i64::MAX));
    tx.run(
        "writing down what is forgotten",
        "INSERT INTO seeding_retention (id, environment, purged, versions, changes, logs, conflicts, created_at) \
         VALUES ($1, $2, $3::json, $4, $5, $6, $7, $8::timestamptz)",
        &[
            (&new_id()).into(),
            environment.into(),
            (&to_json(&forgotten.purged, "writing down what is forgotten")?).into(),
            count(forgotten.versions),
            count(forgotten.changes),
            count(forgotten.logs),
            count(forgotten.conflicts),
            (&time(now)).into(),
        ],
    )
    .await?;
    Ok(())
}
