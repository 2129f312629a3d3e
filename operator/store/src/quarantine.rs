//! What environments keep out because they were rolled back from it.

use std::borrow::Cow;

use jiff::Timestamp;
use sower_core::quarantine::ABSENCE;
use sower_core::rollback::KeptOut;

use crate::apply::ROWS;
use crate::bulk::{Bulk, Column};
use crate::environment::{Fence, lock};
use crate::error::StoreError;
use crate::open::Store;
use crate::plans::{OF_NO_SEEDING, retire};
use crate::rollback::HandledRollback;
use crate::rollouts::HandledCommand;
use crate::session::{Bind, Row, Tx, time};

/// What came of the annotation that something is obeyed for: noted with what is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered<'a> {
    /// A rollback.
    Rollback(&'a HandledRollback),
    /// A command to a rollout.
    Command(&'a HandledCommand),
}

/// Something that is kept out, or was asked back and not taken yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The environment.
    pub environment: String,
    /// The integration.
    pub integration: String,
    /// The content; [`ABSENCE`] where a deletion was rolled back.
    pub checksum: String,
    /// Its version; none of an absence.
    pub version: Option<String>,
    /// Why, for people: `rollback to 57 by AUTHOR`.
    pub reason: String,
    /// Number of the rollback; none where its log row is forgotten.
    pub seeding: Option<i64>,
    /// Since when.
    pub since: Timestamp,
    /// When somebody asked it back: the next seeding takes it, if git still says so.
    pub asked_back_at: Option<Timestamp>,
    /// Hand edits were merged into it: no source has that content.
    pub merged: bool,
}

/// What a seeding changes of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuarantineDelta<'a> {
    /// What is kept out from now on, and why, for people.
    pub keep_out: &'a [KeptOut],
    /// Why, for people.
    pub reason: &'a str,
    /// Integrations of which nothing is kept out any more.
    pub lift: &'a [String],
}

impl QuarantineDelta<'_> {
    /// Nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keep_out.is_empty() && self.lift.is_empty()
    }
}

/// What git offered in place of what was rolled back from, and was in conflict with it, is no more than offered again.
const NEVER_CARRIED: &str = "NOT EXISTS (SELECT 1 FROM integration_versions v WHERE v.environment = q.environment \
     AND v.integration_id = q.integration_id AND v.checksum = q.checksum)";

/// What is left in of the table.
const OPEN: &str = "SELECT q.environment, q.integration_id, q.checksum, q.version, q.reason, l.seq, @time(q.since), \
     @time(q.asked_back_at), (SELECT count(*) FROM integration_merges m WHERE m.environment = q.environment \
     AND m.integration_id = q.integration_id AND m.checksum = q.checksum) \
     FROM integration_quarantine q LEFT JOIN seeding_logs l ON l.id = q.seeding \
     WHERE q.lifted_at IS NULL";

impl Store {
    /// What one environment keeps out, or with `None` every one, by environment and id.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn quarantined(&self, environment: Option<&str>) -> Result<Vec<Quarantined>, StoreError> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "reading the quarantine",
                &format!(
                    "{OPEN} AND ($1::text IS NULL OR q.environment = $1) \
                     ORDER BY q.environment, q.integration_id, q.checksum"
                ),
                &[Bind::Maybe(environment)],
            )
            .await?;
        tx.commit().await?;
        rows.iter().map(quarantined).collect()
    }

    /// Keeps out again what was asked back and was not taken since: whoever rolls back to what is there means that.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn keep_out_again(&self, fence: &Fence, integration: Option<&str>) -> Result<(), StoreError> {
        let environment = Bind::Text(&fence.environment);
        let waits = "FROM integration_quarantine AS w WHERE w.environment = $1 AND w.asked_back_at IS NOT NULL \
             AND w.lifted_at IS NULL AND ($2::text IS NULL OR w.integration_id = $2)";
        let binds = [environment, Bind::Maybe(integration)];
        let mut tx = self.read().await?;
        let waiting =
            tx.row("looking for what was asked back", &format!("SELECT 1 {waits} LIMIT 1"), &binds).await?;
        tx.done();
        if waiting.is_none() {
            return Ok(());
        }
        let mut tx = self.write().await?;
        lock(&mut tx, fence).await?;
        tx.run(
            "keeping out again",
            &format!(
                "UPDATE integration_quarantine AS q SET asked_back_at = NULL, lifted_at = NULL \
                 WHERE q.environment = $1 AND q.asked_back_at IS NOT NULL \
                 AND (q.lifted_at IS NULL OR q.lifted_at = q.asked_back_at) \
                 AND ($2::text IS NULL OR q.integration_id = $2) AND q.seeding IN (SELECT w.seeding {waits})"
            ),
            &binds,
        )
        .await?;
        // What was planned meanwhile may bring it in.
        retire(&mut tx, &fence.environment, OF_NO_SEEDING).await?;
        tx.commit().await
    }

    /// Asks back what the last rollback keeps out, or all that is kept out of one integration; says what that is. The next
    /// seeding looks at everything, and takes it if git still says so. Nothing is written where nothing is kept out, but for
    /// what a rollback is answered.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn ask_back(
        &self,
        fence: &Fence,
        integration: Option<&str>,
        answered: Option<Answered<'_>>,
    ) -> Result<Vec<Quarantined>, StoreError> {
        self.asked_back(fence, (integration, None), answered).await
    }

    /// [`Store::ask_back`] of one content of an integration alone.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn ask_back_content(
        &self,
        fence: &Fence,
        integration: &str,
        checksum: &str,
        answered: Option<Answered<'_>>,
    ) -> Result<Vec<Quarantined>, StoreError> {
        self.asked_back(fence, (Some(integration), Some(checksum)), answered).await
    }

    async fn asked_back(
        &self,
        fence: &Fence,
        (integration, checksum): (Option<&str>, Option<&str>),
        answered: Option<Answered<'_>>,
    ) -> Result<Vec<Quarantined>, StoreError> {
        let environment = Bind::Text(&fence.environment);
        let now = time(Timestamp::now());
        let mut tx = self.write().await?;
        lock(&mut tx, fence).await?;
        let open = "FROM integration_quarantine WHERE environment = $1 AND lifted_at IS NULL AND asked_back_at IS NULL";
        let which = format!(
            "q.environment = $1 AND q.lifted_at IS NULL AND q.asked_back_at IS NULL AND (q.integration_id = $2 \
             OR ($2::text IS NULL AND q.seeding = (SELECT max(seeding) {open}))) \
             AND ($3::text IS NULL OR q.checksum = $3)"
        );
        let rows = tx
            .rows(
                "reading what is asked back",
                &format!("{OPEN} AND {which} ORDER BY q.integration_id, q.checksum"),
                &[environment, Bind::Maybe(integration), Bind::Maybe(checksum)],
            )
            .await?;
        let asked = rows.iter().map(quarantined).collect::<Result<Vec<_>, _>>()?;
        if !asked.is_empty() {
            tx.run(
                "asking back what is kept out",
                &format!(
                    "UPDATE integration_quarantine AS q SET asked_back_at = $4::timestamptz, lifted_at = \
                     CASE WHEN q.checksum <> '' AND {NEVER_CARRIED} THEN $4::timestamptz END WHERE {which}"
                ),
                &[environment, Bind::Maybe(integration), Bind::Maybe(checksum), (&now).into()],
            )
            .await?;
            tx.run(
                "letting the next seeding look at everything",
                "UPDATE environments SET selection_hash = NULL, updated_at = $2::timestamptz WHERE name = $1",
                &[environment, (&now).into()],
            )
            .await?;
        }
        match answered {
            Some(Answered::Rollback(handled)) => {
                crate::rollback::note(&mut tx, &fence.environment, Some(handled), &now).await?;
            }
            Some(Answered::Command(_)) if asked.is_empty() => {}
            Some(Answered::Command(handled)) => {
                crate::rollouts::note(&mut tx, &fence.environment, Some(handled)).await?;
            }
            None => {}
        }
        tx.commit().await?;
        Ok(asked)
    }
}

fn quarantined(row: &Row) -> Result<Quarantined, StoreError> {
    Ok(Quarantined {
        environment: row.text(0)?,
        integration: row.text(1)?,
        checksum: row.text(2)?,
        version: row.maybe_text(3)?,
        reason: row.text(4)?,
        seeding: row.maybe_int(5)?,
        since: row.time(6)?,
        asked_back_at: row.maybe_time(7)?,
        merged: row.int(8)? > 0,
    })
}

/// Writes what changed. What is kept out is left behind by the seeding that is named.
pub(crate) async fn write(
    tx: &mut Tx,
    environment: &str,
    delta: &QuarantineDelta<'_>,
    seeding: Option<&str>,
    now: &str,
) -> Result<(), StoreError> {
    let QuarantineDelta { keep_out, reason, lift } = delta;
    for ids in lift.chunks(ROWS) {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        tx.run(
            "lifting what was kept out",
            "UPDATE integration_quarantine SET lifted_at = $3::timestamptz \
             WHERE environment = $1 AND integration_id = ANY($2) AND lifted_at IS NULL",
            &[environment.into(), Bind::Texts(&ids), now.into()],
        )
        .await?;
    }
    let Some(seeding) = seeding else { return Ok(()) };
    for chunk in keep_out.chunks(ROWS) {
        let text = |pick: fn(&KeptOut) -> Option<&str>| {
            Column::Text(chunk.iter().map(|out| pick(out).map(Cow::Borrowed)).collect())
        };
        let columns = vec![
            ("environment", Column::Same(environment)),
            ("integration_id", text(|out| Some(&out.integration))),
            ("checksum", text(|out| Some(&out.checksum))),
            ("version", text(|out| out.version.as_deref())),
            ("reason", Column::Same(reason)),
            ("seeding", Column::Same(seeding)),
            ("since", Column::Time(now)),
        ];
        let on_conflict = "(environment, integration_id, checksum) DO UPDATE SET version = excluded.version, \
             reason = excluded.reason, seeding = excluded.seeding, since = excluded.since, asked_back_at = NULL, \
             lifted_at = NULL";
        tx.bulk("keeping out", Bulk { table: "integration_quarantine", columns, on_conflict }).await?;
    }
    Ok(())
}

/// Ends that what a rollback makes current again is kept out: these contents, and the absence of these integrations.
pub(crate) async fn let_in(
    tx: &mut Tx,
    environment: &str,
    contents: &[(&str, &str)],
    absent: &[&str],
    now: &str,
) -> Result<(), StoreError> {
    let sql = "UPDATE integration_quarantine SET lifted_at = $4::timestamptz WHERE environment = $1 \
         AND integration_id = ANY($2) AND checksum = ANY($3) AND lifted_at IS NULL";
    for chunk in contents.chunks(ROWS) {
        // A checksum is that of one integration alone: the id is part of the content.
        let (ids, checksums): (Vec<&str>, Vec<&str>) = chunk.iter().copied().unzip();
        let binds = [environment.into(), Bind::Texts(&ids), Bind::Texts(&checksums), now.into()];
        tx.run("letting in", sql, &binds).await?;
    }
    for ids in absent.chunks(ROWS) {
        let binds = [environment.into(), Bind::Texts(ids), Bind::Texts(&[ABSENCE]), now.into()];
        tx.run("letting in", sql, &binds).await?;
    }
    Ok(())
}
