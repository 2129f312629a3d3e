//! Rollouts: what is under way, what came of it, and how one moves. They begin and end with seedings.

pub(crate) mod seal;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sower_core::plan::{Content, UnderWay};
use sower_core::rollout::machine::MOST_EVENTS;
use sower_core::rollout::{Event, Rollout, State};

use crate::environment::{Fence, lock};
use crate::error::StoreError;
use crate::open::Store;
use crate::session::{Bind, Row, Tx, parse, time, to_json};

/// Which rollouts are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which<'a> {
    /// Those under way.
    Active,
    /// Of every integration the one that began last.
    Latest,
    /// Of these, the ones that are under way, or ended and left the stable version in place, which is there still.
    Standing,
    /// Those of one integration, the latest first.
    Of(&'a str),
}

/// What a seeding begins and ends.
#[derive(Debug, Clone, Copy, Default)]
pub struct RolloutDelta<'a> {
    /// What begins; the log row's id is filled in. Its contents stand among the operations, or are known from earlier.
    pub begin: &'a [Rollout],
    /// What ends, as it is from now on.
    pub end: &'a [Rollout],
    /// What came of the command that it obeys.
    pub handled: Option<&'a HandledCommand>,
}

/// What gave the last command to the rollouts of an environment, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandledCommand {
    /// What was asked, as the annotation holds it.
    pub request: String,
    /// What came of it, in a sentence.
    pub message: String,
    /// It could not be done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}

/// The id and the salt of a new rollout.
#[must_use]
pub fn new_rollout() -> (String, String) {
    (crate::seeding::new_id(), uuid::Uuid::new_v4().simple().to_string())
}

// One that is under way is the last, whatever the clock of who began it said.
const LATEST: &str = "AND $2::text IS NULL AND (r.ended_at IS NULL OR NOT EXISTS (SELECT 1 FROM integration_rollouts l \
     WHERE l.environment = r.environment AND l.integration_id = r.integration_id AND (l.id > r.id OR l.ended_at IS NULL)))";
const STANDING: &str = "AND $2::text IS NULL AND (r.ended_at IS NULL OR (r.state IN ('Aborted', 'RolledBack') \
     AND EXISTS (SELECT 1 FROM integration_definitions d WHERE d.environment = r.environment \
       AND d.id = r.integration_id AND d.version = r.from_version AND d.status <> 'removed') \
     AND NOT EXISTS (SELECT 1 FROM integration_rollouts l WHERE l.environment = r.environment \
       AND l.integration_id = r.integration_id AND (l.id > r.id OR l.ended_at IS NULL))))";
/// Most rollouts of one integration that are told.
const MOST: i64 = 100;

const COLUMNS: &str = "r.id, r.environment, r.integration_id, r.from_version, r.from_checksum, r.to_version, r.to_checksum, \
     r.variants::text, r.salt, r.step, r.weight, r.state, r.reasons::text, r.strategy::text, r.analysis::text, \
     r.progress::text, r.source, r.path, r.revision, r.seeding, @time(r.started_at), @time(r.step_started_at), \
     @time(r.due_at), @time(r.ended_at)";

impl Store {
    /// Rollouts of one environment, or with `None` of every one, by environment and id.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn rollouts(
        &self,
        environment: Option<&str>,
        which: Which<'_>,
    ) -> Result<Vec<Rollout>, StoreError> {
        let (condition, integration) = match which {
            Which::Active => ("AND r.ended_at IS NULL AND $2::text IS NULL", None),
            Which::Latest => (LATEST, None),
            Which::Standing => (STANDING, None),
            Which::Of(id) => ("AND r.integration_id = $2", Some(id)),
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM integration_rollouts r WHERE ($1::text IS NULL OR r.environment = $1) {condition} \
             ORDER BY r.environment, r.integration_id, r.ended_at IS NOT NULL, r.id DESC LIMIT {}",
            if integration.is_some() { MOST } else { i64::from(i32::MAX) },
        );
        let mut tx = self.read().await?;
        let rows =
            tx.rows("reading rollouts", &sql, &[Bind::Maybe(environment), Bind::Maybe(integration)]).await?;
        tx.commit().await?;
        rows.iter().map(rollout).collect()
    }

    /// Moves a rollout that neither begins nor ends, where it is still as it was `before`; with what came of the command that
    /// moves it.
    ///
    /// # Errors
    /// As [`Store::begin`]; [`StoreError::Moved`] where it is another by now.
    pub async fn move_rollout(
        &self,
        fence: &Fence,
        before: &Rollout,
        after: &Rollout,
        handled: Option<&HandledCommand>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        lock(&mut tx, fence).await?;
        update(&mut tx, Some(&before.events), after, &time(Timestamp::now())).await?;
        reseal(&mut tx, before, after).await?;
        note(&mut tx, &fence.environment, handled).await?;
        tx.commit().await
    }

    /// What gave the last command, and what came of it.
    ///
    /// # Errors
    /// Where the database does not answer or the row cannot be read.
    pub async fn rollout_command(&self, environment: &str) -> Result<Option<HandledCommand>, StoreError> {
        let mut tx = self.read().await?;
        let sql = "SELECT rollout_command::text FROM environments WHERE name = $1";
        let row = tx.row("reading the last command", sql, &[environment.into()]).await?;
        tx.commit().await?;
        let text = row.map(|row| row.maybe_text(0)).transpose()?.flatten();
        text.map(|text| parse(&text, "what came of a command")).transpose()
    }

    /// Notes what came of a command that changes nothing else; or that there is none any more, so that the same may be given
    /// again.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn note_rollout_command(
        &self,
        fence: &Fence,
        handled: Option<&HandledCommand>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        lock(&mut tx, fence).await?;
        set(&mut tx, &fence.environment, handled).await?;
        tx.commit().await
    }
}

/// Notes what came of a command, if one is obeyed.
pub(crate) async fn note(
    tx: &mut Tx,
    environment: &str,
    handled: Option<&HandledCommand>,
) -> Result<(), StoreError> {
    match handled {
        Some(_) => set(tx, environment, handled).await,
        None => Ok(()),
    }
}

async fn set(tx: &mut Tx, environment: &str, handled: Option<&HandledCommand>) -> Result<(), StoreError> {
    const WHAT: &str = "noting a command";
    let text = handled.map(|handled| to_json(handled, WHAT)).transpose()?;
    let sql = "UPDATE environments SET rollout_command = $2::json WHERE name = $1";
    tx.run(WHAT, sql, &[environment.into(), Bind::Maybe(text.as_deref())]).await?;
    Ok(())
}

/// The rollouts under way of an environment, or of some of its integrations, as a plan has to know them.
pub(crate) async fn under_way(
    tx: &mut Tx,
    environment: &str,
    ids: &[&str],
) -> Result<Vec<(String, UnderWay)>, StoreError> {
    let rows = tx
        .rows(
            "reading the rollouts under way",
            "SELECT integration_id, id, to_version, to_checksum, source, path FROM integration_rollouts \
             WHERE environment = $1 AND ended_at IS NULL AND integration_id = ANY($2)",
            &[environment.into(), Bind::Texts(ids)],
        )
        .await?;
    let one = |row: &Row| {
        let to = Content { version: row.text(2)?, checksum: row.text(3)? };
        let (source, path) = (row.text(4)?, row.text(5)?);
        Ok((row.text(0)?, UnderWay { id: row.text(1)?, to, source, path, stable: None }))
    };
    rows.iter().map(one).collect()
}

/// Writes down what begins with a seeding.
pub(crate) async fn begin(
    tx: &mut Tx,
    rollouts: &[Rollout],
    seeding: &str,
    now: &str,
) -> Result<(), StoreError> {
    const WHAT: &str = "beginning a rollout";
    for rollout in rollouts {
        tx.run(
            WHAT,
            "INSERT INTO integration_rollouts (id, environment, integration_id, from_version, from_checksum, to_version, \
             to_checksum, variants, salt, step, weight, state, reasons, strategy, progress, source, path, revision, seeding, \
             started_at, step_started_at, due_at, updated_at, row_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::json, $9, \
             $10, $11, $12, $13::json, $14::json, $15::json, $16, $17, $18, $19, $20::timestamptz, $21::timestamptz, \
             $22::timestamptz, $23::timestamptz, $24)",
            &[
                (&rollout.id).into(),
                (&rollout.environment).into(),
                (&rollout.integration).into(),
                (&rollout.from.version).into(),
                (&rollout.from.checksum).into(),
                (&rollout.to.version).into(),
                (&rollout.to.checksum).into(),
                (&to_json(&rollout.variants, WHAT)?).into(),
                (&rollout.salt).into(),
                i64::from(rollout.step).into(),
                i64::from(rollout.weight).into(),
                rollout.state.as_str().into(),
                (&to_json(&rollout.events, WHAT)?).into(),
                (&to_json(&rollout.strategy, WHAT)?).into(),
                (&to_json(&rollout.progress, WHAT)?).into(),
                (&rollout.source).into(),
                (&rollout.path).into(),
                (&rollout.revision).into(),
                seeding.into(),
                (&time(rollout.started_at)).into(),
                (&time(rollout.step_started_at)).into(),
                Bind::Maybe(rollout.due_at.map(time).as_deref()),
                now.into(),
                (&seal::seal(rollout)?).into(),
            ],
        )
        .await?;
    }
    Ok(())
}

/// Writes down what ends with a seeding, and takes the rows that lived beside the stable ones.
pub(crate) async fn end(
    tx: &mut Tx,
    environment: &str,
    rollouts: &[Rollout],
    now: &str,
) -> Result<(), StoreError> {
    for rollout in rollouts {
        // An end adds one event to those there are, as long as not all of them are remembered.
        let known = rollout.events.split_last().map(|(_, known)| known);
        update(tx, known.filter(|known| known.len() + 1 < MOST_EVENTS), rollout, now).await?;
    }
    let ids: BTreeSet<&str> = rollouts.iter().map(|rollout| rollout.integration.as_str()).collect();
    if !ids.is_empty() {
        let ids: Vec<&str> = ids.into_iter().collect();
        tx.run(
            "taking the rows of rollouts that ended",
            "DELETE FROM registry_candidates WHERE environment = $1 AND integration_id = ANY($2)",
            &[environment.into(), Bind::Texts(&ids)],
        )
        .await?;
    }
    Ok(())
}

/// Writes the hash of what it is now, where it was what Sower had made of it: another's hand stays to be seen. A step that begins
/// writes anew how far it is, whatever a hand had made of that.
async fn reseal(tx: &mut Tx, before: &Rollout, after: &Rollout) -> Result<(), StoreError> {
    let (was, now) = (seal::seal(before)?, seal::seal(after)?);
    if was == now {
        return Ok(());
    }
    let kept = if before.step == after.step { &was } else { seal::what_stays(&was) };
    let sql = "UPDATE integration_rollouts SET row_hash = $3 WHERE id = $1 AND substr(row_hash, 1, length($2::text)) = $2";
    tx.run("sealing a rollout", sql, &[(&after.id).into(), kept.into(), (&now).into()]).await?;
    Ok(())
}

/// One that is under way, and to which nothing else happened than these events, where they are said.
async fn update(tx: &mut Tx, known: Option<&[Event]>, after: &Rollout, now: &str) -> Result<(), StoreError> {
    const WHAT: &str = "moving a rollout";
    let before = known.map(|known| to_json(&known, WHAT)).transpose()?;
    let analysis = after.verdict.as_ref().map(|verdict| to_json(verdict, WHAT)).transpose()?;
    let moved = tx
        .run(
            WHAT,
            "UPDATE integration_rollouts SET variants = $3::json, step = $4, weight = $5, state = $6, reasons = $7::json, \
             analysis = $8::json, progress = $9::json, step_started_at = $10::timestamptz, due_at = $11::timestamptz, \
             ended_at = $12::timestamptz, updated_at = $13::timestamptz \
             WHERE id = $1 AND ended_at IS NULL AND ($2::text IS NULL OR reasons::text = $2)",
            &[
                (&after.id).into(),
                Bind::Maybe(before.as_deref()),
                (&to_json(&after.variants, WHAT)?).into(),
                i64::from(after.step).into(),
                i64::from(after.weight).into(),
                after.state.as_str().into(),
                (&to_json(&after.events, WHAT)?).into(),
                Bind::Maybe(analysis.as_deref()),
                (&to_json(&after.progress, WHAT)?).into(),
                (&time(after.step_started_at)).into(),
                Bind::Maybe(after.due_at.map(time).as_deref()),
                Bind::Maybe(after.ended_at.map(time).as_deref()),
                now.into(),
            ],
        )
        .await?;
    match moved {
        0 => Err(StoreError::Moved { environment: after.environment.clone() }),
        _ => Ok(()),
    }
}

fn rollout(row: &Row) -> Result<Rollout, StoreError> {
    const WHAT: &str = "a rollout";
    let number = |index: usize| Ok::<_, StoreError>(u32::try_from(row.int(index)?).unwrap_or(0));
    let state: State = parse(&format!("\"{}\"", row.text(11)?), WHAT)?;
    Ok(Rollout {
        id: row.text(0)?,
        environment: row.text(1)?,
        integration: row.text(2)?,
        from: Content { version: row.text(3)?, checksum: row.text(4)? },
        to: Content { version: row.text(5)?, checksum: row.text(6)? },
        variants: row.json(7, WHAT)?,
        salt: row.text(8)?,
        step: number(9)?,
        weight: number(10)?,
        state,
        events: row.json(12, WHAT)?,
        strategy: row.json(13, WHAT)?,
        verdict: row.maybe_text(14)?.map(|text| parse(&text, WHAT)).transpose()?,
        progress: row.json(15, WHAT)?,
        source: row.text(16)?,
        path: row.text(17)?,
        revision: row.text(18)?,
        seeding: row.text(19)?,
        started_at: row.time(20)?,
        step_started_at: row.time(21)?,
        due_at: row.maybe_time(22)?,
        ended_at: row.maybe_time(23)?,
    })
}
