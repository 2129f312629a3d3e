//! The way of one integration through the seedings of an environment, and every content it had there.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use sower_core::snapshot::Revision;

use crate::error::StoreError;
use crate::open::Store;
use crate::session::Bind;

/// What one seeding did with an integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The seeding's number.
    pub seq: i64,
    /// create, update, move, remove, …
    pub operation: String,
    /// The version that was there afterwards; absent: the integration was not.
    pub version: Option<String>,
    /// The checksum of what was there afterwards.
    pub checksum: Option<String>,
    /// The seeding itself; absent: its log row is forgotten.
    pub seeding: Option<Turned>,
    /// Where the rows came from since; absent: it is not known, or they went.
    pub came_from: Option<CameFrom>,
}

/// Where rows came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameFrom {
    /// Name of the source.
    pub source: String,
    /// Path of the file.
    pub path: String,
    /// The revision in the rows.
    pub revision: Option<Revision>,
}

/// What the log says of the seeding of a [`Turn`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turned {
    /// Id of the log row.
    pub id: String,
    /// Why, for people.
    pub reason: String,
    /// When it was committed.
    pub completed_at: Timestamp,
    /// What was read, by source.
    pub revisions: BTreeMap<String, Revision>,
}

/// What one seeding changed of one integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The integration.
    pub integration: String,
    /// The version before; absent: it was not there.
    pub from: Option<String>,
    /// The version since; absent: it went.
    pub to: Option<String>,
}

/// A content that an environment carried, without its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its version.
    pub version: String,
    /// Its checksum.
    pub checksum: String,
    /// The source that it first came from.
    pub source: String,
    /// The revision at which it was first read.
    pub revision: Option<Revision>,
    /// The path of its file then.
    pub path: String,
    /// Id of the log row of the seeding that first brought it.
    pub seeding: String,
}

impl Store {
    /// What every seeding of an environment did with an integration, oldest first; nothing where none ever touched it.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn trail(&self, environment: &str, id: &str) -> Result<Vec<Turn>, StoreError> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "reading the changes of an integration",
                "SELECT c.seq, c.operation, c.to_version, c.to_checksum, l.id, l.reason, @time(l.completed_at), \
                 l.revision::text, c.source, c.path, c.revision FROM seeding_changes c \
                 LEFT JOIN seeding_logs l ON l.environment = c.environment AND l.seq = c.seq \
                 WHERE c.environment = $1 AND c.integration_id = $2 ORDER BY c.seq",
                &[environment.into(), id.into()],
            )
            .await?;
        tx.commit().await?;
        let turn = |row: &crate::session::Row| {
            let seeding = match (row.maybe_text(4)?, row.maybe_time(6)?) {
                (Some(id), Some(completed_at)) => {
                    let revisions: BTreeMap<String, String> = row.json(7, "the revision of a log row")?;
                    let parsed =
                        revisions.into_iter().filter_map(|(n, full)| Some((n, Revision::parse(&full)?)));
                    Some(Turned { id, reason: row.text(5)?, completed_at, revisions: parsed.collect() })
                }
                _ => None,
            };
            let came_from = match (row.maybe_text(8)?, row.maybe_text(9)?) {
                (Some(source), Some(path)) => {
                    let revision = row.maybe_text(10)?.as_deref().and_then(Revision::parse);
                    Some(CameFrom { source, path, revision })
                }
                _ => None,
            };
            Ok(Turn {
                seq: row.int(0)?,
                operation: row.text(1)?,
                version: row.maybe_text(2)?,
                checksum: row.maybe_text(3)?,
                seeding,
                came_from,
            })
        };
        rows.iter().map(turn).collect()
    }

    /// What one seeding changed, what went last, each by id.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn changed_by(&self, environment: &str, seq: i64) -> Result<Vec<Changed>, StoreError> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "reading what a seeding changed",
                "SELECT integration_id, from_version, to_version FROM seeding_changes \
                 WHERE environment = $1 AND seq = $2 ORDER BY to_version IS NULL, integration_id",
                &[environment.into(), Bind::Int(seq)],
            )
            .await?;
        tx.commit().await?;
        let changed = |row: &crate::session::Row| {
            Ok(Changed { integration: row.text(0)?, from: row.maybe_text(1)?, to: row.maybe_text(2)? })
        };
        rows.iter().map(changed).collect()
    }

    /// Every content of an integration that is kept, by version and checksum as text.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn versions(&self, environment: &str, id: &str) -> Result<Vec<Version>, StoreError> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "reading the versions of an integration",
                "SELECT version, checksum, source, revision, path, seeding FROM integration_versions \
                 WHERE environment = $1 AND integration_id = $2 ORDER BY version, checksum",
                &[environment.into(), id.into()],
            )
            .await?;
        tx.commit().await?;
        let version = |row: &crate::session::Row| {
            Ok(Version {
                version: row.text(0)?,
                checksum: row.text(1)?,
                source: row.text(2)?,
                revision: Revision::parse(&row.text(3)?),
                path: row.text(4)?,
                seeding: row.text(5)?,
            })
        };
        rows.iter().map(version).collect()
    }

    /// The canonical bytes of contents of one integration, by checksum; those that are not kept are left out.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn version_manifests(
        &self,
        environment: &str,
        id: &str,
        checksums: &[&str],
    ) -> Result<BTreeMap<String, Arc<str>>, StoreError> {
        if checksums.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "reading earlier contents of an integration",
                "SELECT checksum, manifest::text FROM integration_versions \
                 WHERE environment = $1 AND integration_id = $2 AND checksum = ANY($3)",
                &[environment.into(), id.into(), Bind::Texts(checksums)],
            )
            .await?;
        tx.commit().await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?.into()))).collect()
    }
}
