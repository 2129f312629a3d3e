//! Reading what environments hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use sower_core::plan::{Content, Current, State};
use sower_core::rows::Kind;
use sower_core::snapshot::Revision;

use crate::error::StoreError;
use crate::open::Store;
use crate::session::{Bind, Row, Tx};

/// What a plan stands on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Here {
    /// Our rows, and the ids of definitions that are not ours.
    pub state: State,
    /// Registry rows that are not ours, by registry and id. An integration that wants one of these ids is refused: see
    /// [`sower_core::rows::Rows::collides`].
    pub foreign_rows: BTreeSet<(Kind, String)>,
}

/// One line of a list of integrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The environment.
    pub environment: String,
    /// The integration.
    pub id: String,
    /// Display name.
    pub name: String,
    /// The version that is carried.
    pub version: String,
    /// draft, published or deprecated.
    pub status: String,
    /// Number of its actions.
    pub actions: i64,
    /// Number of its triggers.
    pub triggers: i64,
    /// The revision that wrote the row; absent: the row is not ours.
    pub revision: Option<Revision>,
    /// Number of the seeding that wrote the row.
    pub seeding: Option<i64>,
    /// Checksum of its manifest; absent: the row is not ours.
    pub checksum: Option<String>,
    /// Whether a conflict about it is open.
    pub in_conflict: bool,
}

/// One integration in whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its line in the list.
    pub listed: Listed,
    /// The canonical bytes.
    pub manifest: String,
    /// Name of its source; absent: the row is not ours.
    pub source: Option<String>,
    /// Path of its file.
    pub path: Option<String>,
    /// When it first came.
    pub created_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
    /// When the seeding that wrote it was committed.
    pub seeded_at: Option<Timestamp>,
}

const LISTED: &str = "d.environment, d.id, d.name, d.version, d.status, \
     (SELECT count(*) FROM action_registry a WHERE a.environment = d.environment AND a.integration_id = d.id), \
     (SELECT count(*) FROM trigger_registry t WHERE t.environment = d.environment AND t.integration_id = d.id), \
     d.revision, l.seq, d.checksum, \
     EXISTS (SELECT 1 FROM seeding_conflicts c WHERE c.environment = d.environment AND c.integration_id = d.id \
       AND c.resolved_at IS NULL)";

/// What was rolled out and never reached all: no seeding made it everybody's.
const TRIED: &str = "SELECT r.integration_id, r.to_checksum FROM integration_rollouts r \
     WHERE r.environment = $1 AND r.integration_id = ANY($2) AND r.to_checksum = ANY($3) \
     AND NOT EXISTS (SELECT 1 FROM seeding_changes c WHERE c.environment = r.environment \
       AND c.integration_id = r.integration_id AND c.to_checksum = r.to_checksum)";

impl Store {
    /// All that a plan needs to know of an environment, in two statements over one state of the database.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn state(&self, environment: &str) -> Result<Here, StoreError> {
        let mut tx = self.read().await?;
        let here = here(&mut tx, environment, None).await?;
        tx.commit().await?;
        Ok(here)
    }

    /// Which of these contents (integration and checksum) the environment carried at some time.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn carried(
        &self,
        environment: &str,
        asked: &[(String, String)],
    ) -> Result<BTreeSet<(String, String)>, StoreError> {
        let sql = "SELECT integration_id, checksum FROM integration_versions \
             WHERE environment = $1 AND integration_id = ANY($2) AND checksum = ANY($3)";
        self.which_of(environment, asked, "reading earlier versions", sql).await
    }

    /// Which of these contents (integration and checksum) were rolled out at some time, and never reached all in any way.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn tried(
        &self,
        environment: &str,
        asked: &[(String, String)],
    ) -> Result<BTreeSet<(String, String)>, StoreError> {
        self.which_of(environment, asked, "reading earlier rollouts", TRIED).await
    }

    /// Which of them went back, too: one of their rollouts was aborted or rolled back, or they were kept out, and nobody asked
    /// them back.
    ///
    /// # Errors
    /// As [`Store::tried`].
    pub async fn went_back(
        &self,
        environment: &str,
        asked: &[(String, String)],
    ) -> Result<BTreeSet<(String, String)>, StoreError> {
        let sql = format!(
            "{TRIED} AND r.state IN ('Aborted', 'RolledBack') UNION \
             SELECT q.integration_id, q.checksum FROM integration_quarantine q WHERE q.environment = $1 \
             AND q.integration_id = ANY($2) AND q.checksum = ANY($3) AND q.asked_back_at IS NULL"
        );
        self.which_of(environment, asked, "reading earlier rollouts", &sql).await
    }

    async fn which_of(
        &self,
        environment: &str,
        asked: &[(String, String)],
        doing: &'static str,
        sql: &str,
    ) -> Result<BTreeSet<(String, String)>, StoreError> {
        if asked.is_empty() {
            return Ok(BTreeSet::new());
        }
        let ids: Vec<&str> = asked.iter().map(|(id, _)| id.as_str()).collect();
        let checksums: Vec<&str> = asked.iter().map(|(_, checksum)| checksum.as_str()).collect();
        let mut tx = self.read().await?;
        let rows =
            tx.rows(doing, sql, &[environment.into(), Bind::Texts(&ids), Bind::Texts(&checksums)]).await?;
        tx.commit().await?;
        let found = rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?)));
        let mut found = found.collect::<Result<BTreeSet<_>, StoreError>>()?;
        let asked: BTreeSet<&(String, String)> = asked.iter().collect();
        found.retain(|pair| asked.contains(pair));
        Ok(found)
    }

    /// The canonical bytes of what is carried now, by integration; ids that are not carried are left out.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn manifests(
        &self,
        environment: &str,
        ids: &[&str],
    ) -> Result<BTreeMap<String, Arc<str>>, StoreError> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "reading manifests",
                "SELECT id, manifest::text FROM integration_definitions WHERE environment = $1 AND id = ANY($2) \
                 AND status <> 'removed'",
                &[environment.into(), Bind::Texts(ids)],
            )
            .await?;
        tx.commit().await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?.into()))).collect()
    }

    /// What is carried whose manifest mentions an integration: id, version and manifest.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn mentioning(
        &self,
        environment: &str,
        id: &str,
    ) -> Result<Vec<(String, String, String)>, StoreError> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "reading what mentions an integration",
                "SELECT id, version, manifest::text FROM integration_definitions WHERE environment = $1 AND id <> $2 \
                 AND status <> 'removed' AND (manifest::text LIKE $3 OR manifest::text LIKE $4) ORDER BY id",
                &[
                    environment.into(),
                    id.into(),
                    (&format!("%\"{id}\"%")).into(),
                    (&format!("%\"{id}@%")).into(),
                ],
            )
            .await?;
        tx.commit().await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?, row.text(2)?))).collect()
    }

    /// The canonical bytes of contents (integration and checksum) that the environment carried at some time, by
    /// integration. Of several contents of one integration the last one named is answered.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn contents(
        &self,
        environment: &str,
        asked: &[(&str, &str)],
    ) -> Result<BTreeMap<String, Arc<str>>, StoreError> {
        if asked.is_empty() {
            return Ok(BTreeMap::new());
        }
        let (ids, checksums): (Vec<&str>, Vec<&str>) = asked.iter().copied().unzip();
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "reading earlier contents",
                "SELECT integration_id, checksum, manifest::text FROM integration_versions \
                 WHERE environment = $1 AND integration_id = ANY($2) AND checksum = ANY($3)",
                &[environment.into(), Bind::Texts(&ids), Bind::Texts(&checksums)],
            )
            .await?;
        tx.commit().await?;
        let mut contents = BTreeMap::new();
        for row in &rows {
            let (id, checksum) = (row.text(0)?, row.text(1)?);
            if asked.contains(&(id.as_str(), checksum.as_str())) {
                contents.insert(id, row.text(2)?.into());
            }
        }
        Ok(contents)
    }

    /// What one environment carries, or with `None` every environment, by environment and id.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn integrations(&self, environment: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        let sql = format!(
            "SELECT {LISTED} FROM integration_definitions d LEFT JOIN seeding_logs l ON l.id = d.seeding \
             WHERE d.status <> 'removed' AND ($1::text IS NULL OR d.environment = $1) ORDER BY d.environment, d.id"
        );
        let mut tx = self.read().await?;
        let rows = tx.rows("listing integrations", &sql, &[Bind::Maybe(environment)]).await?;
        tx.commit().await?;
        rows.iter().map(listed).collect()
    }

    /// One integration in whole, if the environment carries it.
    ///
    /// # Errors
    /// Where the database does not answer or the row cannot be read.
    pub async fn integration(&self, environment: &str, id: &str) -> Result<Option<Definition>, StoreError> {
        Ok(self.definitions(environment, &[id]).await?.pop())
    }

    /// Integrations in whole, by id; those that the environment does not carry are left out.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn definitions(&self, environment: &str, ids: &[&str]) -> Result<Vec<Definition>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {LISTED}, d.manifest::text, d.source, d.path, @time(d.created_at), @time(d.updated_at), \
             @time(l.completed_at) FROM integration_definitions d LEFT JOIN seeding_logs l ON l.id = d.seeding \
             WHERE d.status <> 'removed' AND d.environment = $1 AND d.id = ANY($2) ORDER BY d.id"
        );
        let mut tx = self.read().await?;
        let rows = tx.rows("reading integrations", &sql, &[environment.into(), Bind::Texts(ids)]).await?;
        tx.commit().await?;
        let definition = |row: &Row| {
            Ok(Definition {
                listed: listed(row)?,
                manifest: row.text(11)?,
                source: row.maybe_text(12)?,
                path: row.maybe_text(13)?,
                created_at: row.time(14)?,
                updated_at: row.time(15)?,
                seeded_at: row.maybe_time(16)?,
            })
        };
        rows.iter().map(definition).collect()
    }
}

/// Tells what is kept out from registry rows.
const QUARANTINE: &str = "quarantine";
/// The same, what is being rolled out.
const ROLLOUT: &str = "rollout";
/// What was merged into a definition.
const MERGED: &str = "LEFT JOIN integration_merges m ON m.environment = d.environment AND m.integration_id = d.id \
     AND m.checksum = d.checksum";

/// [`Store::state`]; with `ids`, only their definitions.
pub(crate) async fn here(tx: &mut Tx, environment: &str, ids: Option<&[&str]>) -> Result<Here, StoreError> {
    let some = if ids.is_some() { " AND d.id = ANY($2)" } else { "" };
    let sql = format!(
        "SELECT d.id, d.version, d.checksum, d.source, d.path, d.status = 'removed', e.seq, d.prune IS NOT NULL, m.base \
         FROM environments e LEFT JOIN integration_definitions d ON d.environment = e.name{some} {MERGED} \
         WHERE e.name = $1 \
         UNION ALL SELECT d.id, d.version, d.checksum, d.source, d.path, d.status = 'removed', 0, d.prune IS NOT NULL, \
         m.base FROM integration_definitions d {MERGED} WHERE d.environment = $1{some} \
         AND NOT EXISTS (SELECT 1 FROM environments e WHERE e.name = $1)"
    );
    let binds: Vec<Bind<'_>> = [environment.into()].into_iter().chain(ids.map(Bind::Texts)).collect();
    let definitions = tx.rows("reading the definitions", &sql, &binds).await?;
    let registries = Kind::ALL.map(|kind| {
        let (name, table) = (kind.as_str(), kind.table());
        format!("SELECT '{name}', id, '', false FROM {table} WHERE environment = $1 AND seeding IS NULL")
    });
    let some = if ids.is_some() { " AND integration_id = ANY($2)" } else { "" };
    let kept_out = format!(
        "SELECT '{QUARANTINE}', integration_id, checksum, asked_back_at IS NOT NULL FROM integration_quarantine \
         WHERE environment = $1 AND lifted_at IS NULL{some}"
    );
    let rolled_out = format!(
        "SELECT '{ROLLOUT}', integration_id, '', false FROM integration_rollouts \
         WHERE environment = $1 AND ended_at IS NULL{some}"
    );
    let sql = format!("{} UNION ALL {kept_out} UNION ALL {rolled_out}", registries.join(" UNION ALL "));
    let beside = tx.rows("reading foreign rows, what is kept out, and rollouts", &sql, &binds).await?;

    let mut here = Here::default();
    for row in &definitions {
        here.state.base = row.int(6)?;
        let Some(id) = row.maybe_text(0)? else { continue };
        match (row.maybe_text(2)?, row.maybe_text(3)?, row.maybe_text(4)?) {
            (Some(checksum), Some(source), Some(path)) => {
                let content = Content { version: row.text(1)?, checksum };
                let (removed, prune_disabled) = (row.flag(5)?, row.flag(7)?);
                let current = Current { id: id.clone(), content, source, path, removed, prune_disabled };
                here.state.merged.extend(row.maybe_text(8)?.map(|base| (id.clone(), base)));
                here.state.rows.insert(id, current);
            }
            _ => {
                here.state.foreign.insert(id);
            }
        }
    }
    let mut rolled_out = Vec::new();
    for row in &beside {
        let kind = row.text(0)?;
        if kind == ROLLOUT {
            rolled_out.push(row.text(1)?);
            continue;
        }
        if kind == QUARANTINE {
            let (id, checksum) = (row.text(1)?, row.text(2)?);
            match row.flag(3)? {
                true => here.state.quarantine.ask_back(id, checksum),
                false => here.state.quarantine.keep_out(id, checksum),
            }
            continue;
        }
        if let Some(kind) = Kind::ALL.into_iter().find(|known| known.as_str() == kind) {
            here.foreign_rows.insert((kind, row.text(1)?));
        }
    }
    if !rolled_out.is_empty() {
        let ids: Vec<&str> = rolled_out.iter().map(String::as_str).collect();
        here.state.rollouts = crate::rollouts::under_way(tx, environment, &ids).await?.into_iter().collect();
    }
    Ok(here)
}

fn listed(row: &Row) -> Result<Listed, StoreError> {
    Ok(Listed {
        environment: row.text(0)?,
        id: row.text(1)?,
        name: row.text(2)?,
        version: row.text(3)?,
        status: row.text(4)?,
        actions: row.int(5)?,
        triggers: row.int(6)?,
        revision: row.maybe_text(7)?.as_deref().and_then(Revision::parse),
        seeding: row.maybe_int(8)?,
        checksum: row.maybe_text(9)?,
        in_conflict: row.flag(10)?,
    })
}
