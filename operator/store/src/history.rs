//! The log: what every seeding did, newest first.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};
use sower_core::report::Failure;
use sower_core::snapshot::Revision;

use crate::error::StoreError;
use crate::open::Store;
use crate::session::{Bind, Row};

/// How a seeding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStatus {
    /// It began.
    Running,
    /// Its rows are there.
    Completed,
    /// Nothing of it is.
    Failed,
}

impl LogStatus {
    /// As the column holds it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    /// Its id.
    pub id: String,
    /// The environment.
    pub environment: String,
    /// Its number in the environment; absent unless completed.
    pub seq: Option<i64>,
    /// How it stands.
    pub status: LogStatus,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// What was read, by source.
    pub revisions: BTreeMap<String, Revision>,
    /// Why, for people.
    pub reason: String,
    /// Integrations that were selected.
    pub processed: i64,
    /// Action rows that were not there before.
    pub actions_created: i64,
    /// Trigger rows that were not there before.
    pub triggers_created: i64,
    /// Connection rows that were not there before.
    pub connections_created: i64,
    /// What did not come in.
    pub errors: Vec<Failure>,
    /// What has no column: `created`, `updated`, `deleted`, and what the writer added.
    pub metadata: Map<String, Value>,
}

impl Logged {
    /// A count from the metadata: `created`, `updated` or `deleted`.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.metadata.get(name).and_then(Value::as_u64).unwrap_or(0)
    }
}

impl Store {
    /// The last seedings of one environment, or with `None` of all, newest first.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn history(&self, environment: Option<&str>, limit: u32) -> Result<Vec<Logged>, StoreError> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "reading the log",
                &format!(
                    "{LOGGED} WHERE ($1::text IS NULL OR environment = $1) ORDER BY started_at DESC, id DESC LIMIT $2"
                ),
                &[Bind::Maybe(environment), Bind::Int(i64::from(limit))],
            )
            .await?;
        tx.commit().await?;
        rows.iter().map(logged).collect()
    }

    /// A seeding by its number; none where it was none, or is forgotten.
    ///
    /// # Errors
    /// Where the database does not answer or the row cannot be read.
    pub async fn numbered(&self, environment: &str, seq: i64) -> Result<Option<Logged>, StoreError> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "reading a seeding of the log",
                &format!("{LOGGED} WHERE environment = $1 AND seq = $2"),
                &[environment.into(), Bind::Int(seq)],
            )
            .await?;
        tx.commit().await?;
        rows.first().map(logged).transpose()
    }
}

/// What [`logged`] reads.
pub(crate) const LOGGED: &str = "SELECT id, environment, seq, status, @time(started_at), @time(completed_at), revision::text, reason, \
     integrations_processed, actions_created, triggers_created, connections_created, errors::text, metadata::text \
     FROM seeding_logs";

pub(crate) fn logged(row: &Row) -> Result<Logged, StoreError> {
    let revisions: BTreeMap<String, String> = row.json(6, "the revision of a log row")?;
    let status = match &*row.text(3)? {
        "running" => LogStatus::Running,
        "completed" => LogStatus::Completed,
        _ => LogStatus::Failed,
    };
    Ok(Logged {
        id: row.text(0)?,
        environment: row.text(1)?,
        seq: row.maybe_int(2)?,
        status,
        started_at: row.time(4)?,
        completed_at: row.maybe_time(5)?,
        revisions: revisions
            .into_iter()
            .filter_map(|(name, full)| Some((name, Revision::parse(&full)?)))
            .collect(),
        reason: row.text(7)?,
        processed: row.int(8)?,
        actions_created: row.int(9)?,
        triggers_created: row.int(10)?,
        connections_created: row.int(11)?,
        errors: row.json(12, "the errors of a log row")?,
        metadata: row.json(13, "the metadata of a log row")?,
    })
}
