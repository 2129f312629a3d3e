//! Earlier states of an environment, and what asked for one of them last.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sower_core::plan::Content;
use sower_core::report::Failure;
use sower_core::rollback::Then;

use crate::environment::{AppliedSource, Fence, lock};
use crate::error::StoreError;
use crate::history::{LOGGED, Logged, logged};
use crate::open::Store;
use crate::session::{Bind, Tx, time, to_json};

/// Most seedings of one revision that are looked at.
const MOST_AT_A_REVISION: i64 = 200;

/// What asked for the last rollback of an environment, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandledRollback {
    /// What was asked, as the annotation holds it.
    pub request: String,
    /// Number of the seeding that did it; absent where nothing was to be written, or nothing could be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeding: Option<i64>,
    /// What came of it, in a sentence.
    pub message: String,
    /// It could not be done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}

/// A rollback that cannot be done, for the log.
#[derive(Debug, Clone)]
pub struct Refused<'a> {
    /// What it would have stood on.
    pub fence: &'a Fence,
    /// The process that would have written.
    pub holder: &'a str,
    /// `rollback to 99 by AUTHOR`.
    pub reason: &'a str,
    /// Why not.
    pub message: &'a str,
    /// What the environment holds, by source.
    pub applied: &'a BTreeMap<String, AppliedSource>,
    /// What is noted as the answer; absent where nobody has to be told twice.
    pub handled: Option<&'a HandledRollback>,
}

impl Store {
    /// What an environment held after a seeding, of each integration that any seeding ever touched, or of one; none where
    /// it was not there. What is no longer told of the time before is told by the first change after it.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn held_at(
        &self,
        environment: &str,
        seq: i64,
        integration: Option<&str>,
    ) -> Result<BTreeMap<String, Option<Then>>, StoreError> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "reading an earlier state",
                "SELECT c.integration_id, \
                 CASE WHEN c.seq <= $2 THEN c.to_version ELSE c.from_version END, \
                 CASE WHEN c.seq <= $2 THEN c.to_checksum ELSE c.from_checksum END, \
                 CASE WHEN c.seq <= $2 THEN c.source END, CASE WHEN c.seq <= $2 THEN c.path END, \
                 CASE WHEN c.seq <= $2 THEN c.revision END, v.source, v.path, v.revision \
                 FROM (SELECT integration_id, max(CASE WHEN seq <= $2 THEN seq END) AS last, min(seq) AS first \
                   FROM seeding_changes WHERE environment = $1 AND ($3::text IS NULL OR integration_id = $3) \
                   GROUP BY integration_id) p \
                 JOIN seeding_changes c ON c.environment = $1 AND c.integration_id = p.integration_id \
                   AND c.seq = coalesce(p.last, p.first) \
                 LEFT JOIN integration_versions v ON v.environment = c.environment \
                   AND v.integration_id = c.integration_id \
                   AND v.version = (CASE WHEN c.seq <= $2 THEN c.to_version ELSE c.from_version END) \
                   AND v.checksum = (CASE WHEN c.seq <= $2 THEN c.to_checksum ELSE c.from_checksum END)",
                &[environment.into(), Bind::Int(seq), Bind::Maybe(integration)],
            )
            .await?;
        tx.commit().await?;
        let mut held = BTreeMap::new();
        for row in &rows {
            let then = match (row.maybe_text(1)?, row.maybe_text(2)?) {
                (Some(version), Some(checksum)) => {
                    // What was noted with the change; else where the content first came from.
                    let of = |column: usize| {
                        Ok::<_, StoreError>(match row.maybe_text(column)? {
                            Some(text) => Some(text),
                            None => row.maybe_text(column + 3)?,
                        })
                    };
                    Some(Then {
                        content: Content { version, checksum },
                        source: of(3)?.unwrap_or_default(),
                        path: of(4)?.unwrap_or_default(),
                        revision: of(5)?.unwrap_or_default(),
                    })
                }
                _ => None,
            };
            held.insert(row.text(0)?, then);
        }
        Ok(held)
    }

    /// The seedings of an environment in whose revision these hex digits are found, newest first.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn seedings_at(&self, environment: &str, digits: &str) -> Result<Vec<Logged>, StoreError> {
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Vec::new());
        }
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "looking for a revision in the log",
                &format!(
                    "{LOGGED} WHERE environment = $1 AND seq IS NOT NULL AND revision::text LIKE $2 \
                     ORDER BY seq DESC LIMIT $3"
                ),
                &[environment.into(), (&format!("%{digits}%")).into(), Bind::Int(MOST_AT_A_REVISION)],
            )
            .await?;
        tx.commit().await?;
        rows.iter().map(logged).collect()
    }

    /// The contents of some integrations that were last found in the sources.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn offered(
        &self,
        environment: &str,
        integrations: &[&str],
    ) -> Result<BTreeMap<String, Vec<Content>>, StoreError> {
        let mut offered: BTreeMap<String, Vec<Content>> = BTreeMap::new();
        if integrations.is_empty() {
            return Ok(offered);
        }
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "reading what the sources offered",
                "SELECT integration_id, version, checksum FROM integration_manifests WHERE environment = $1 \
                 AND integration_id = ANY($2) AND version IS NOT NULL AND checksum IS NOT NULL",
                &[environment.into(), Bind::Texts(integrations)],
            )
            .await?;
        tx.commit().await?;
        for row in &rows {
            let content = Content { version: row.text(1)?, checksum: row.text(2)? };
            offered.entry(row.text(0)?).or_default().push(content);
        }
        Ok(offered)
    }

    /// Notes in the log that a rollback cannot be done, and whose wish that was. Nothing of the catalog is written.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn refuse_rollback(&self, refused: Refused<'_>) -> Result<(), StoreError> {
        let Refused { fence, holder, reason, message, applied, handled } = refused;
        let now = time(Timestamp::now());
        let what = "noting a rollback that cannot be done";
        let failure = [Failure {
            integration: None,
            code: "RollbackFailed".to_owned(),
            location: None,
            message: message.to_owned(),
        }];
        let revisions: BTreeMap<&str, String> =
            applied.iter().map(|(name, source)| (name.as_str(), source.revision.full())).collect();
        let metadata: Map<String, Value> =
            [("code".to_owned(), "RollbackFailed".into())].into_iter().collect();
        let mut tx = self.write().await?;
        lock(&mut tx, fence).await?;
        tx.run(
            what,
            "INSERT INTO seeding_logs (id, environment, started_at, completed_at, status, errors, metadata, created_at, \
             epoch, holder, revision, reason) VALUES ($1, $2, $3::timestamptz, $3::timestamptz, 'failed', $4::json, \
             $5::json, $3::timestamptz, $6, $7, $8::json, $9)",
            &[
                (&crate::seeding::new_id()).into(),
                (&fence.environment).into(),
                (&now).into(),
                (&to_json(&failure, what)?).into(),
                (&to_json(&metadata, what)?).into(),
                fence.epoch.into(),
                holder.into(),
                (&to_json(&revisions, what)?).into(),
                reason.into(),
            ],
        )
        .await?;
        if let Some(handled) = handled {
            note(&mut tx, &fence.environment, Some(handled), &now).await?;
        }
        tx.commit().await
    }

    /// Notes what came of a rollback for which nothing was to be written; or with `None`, that nobody asks for one any
    /// more.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn note_rollback(
        &self,
        fence: &Fence,
        handled: Option<&HandledRollback>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        lock(&mut tx, fence).await?;
        note(&mut tx, &fence.environment, handled, &time(Timestamp::now())).await?;
        tx.commit().await
    }
}

/// Writes what came of a rollback into the environment's row, which is locked.
pub(crate) async fn note(
    tx: &mut Tx,
    environment: &str,
    handled: Option<&HandledRollback>,
    now: &str,
) -> Result<(), StoreError> {
    let what = "noting what came of a rollback";
    let handled = handled.map(|handled| to_json(handled, what)).transpose()?;
    tx.run(
        what,
        "UPDATE environments SET rollback = $2::json, updated_at = $3::timestamptz WHERE name = $1",
        &[environment.into(), Bind::Maybe(handled.as_deref()), now.into()],
    )
    .await?;
    Ok(())
}
