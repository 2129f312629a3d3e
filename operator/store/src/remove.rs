//! Rows that go, and come back. Only ours do. What is taken out leaves its registries at once; its definition stays as
//! `removed`, until retention purges it and no foreign row hangs on it any more.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sower_core::rows::Kind;

use crate::apply::{ROWS, Writing};
use crate::environment::{Fence, lock};
use crate::error::StoreError;
use crate::open::Store;
use crate::session::{Bind, Tx, time};

/// What is left of an integration that was taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Number of the seeding that took it out; none where its log row is forgotten.
    pub seeding: Option<i64>,
    /// When.
    pub at: Timestamp,
    /// Rows that are not ours hang on it still.
    pub foreign: bool,
}

/// No registry row hangs on the definition any more.
pub(crate) fn unreferenced() -> String {
    Kind::ALL
        .map(|kind| {
            let table = kind.table();
            format!("NOT EXISTS (SELECT 1 FROM {table} r WHERE r.environment = d.environment AND r.integration_id = d.id)")
        })
        .join(" AND ")
}

/// Takes integrations out; says how many rows were touched.
pub(crate) async fn integrations(
    tx: &mut Tx,
    writing: &Writing<'_>,
    ids: &[&str],
) -> Result<u64, StoreError> {
    let mut touched = 0;
    for chunk in ids.chunks(ROWS) {
        let binds = [Bind::Text(writing.environment), Bind::Texts(chunk)];
        for kind in Kind::ALL {
            let (name, table) = (kind.as_str(), kind.table());
            let ours = "WHERE environment = $1 AND integration_id = ANY($2) AND seeding IS NOT NULL";
            let noted = format!(
                "INSERT INTO removed_parts (environment, kind, id, integration_id, created_at) \
                 SELECT environment, '{name}', id, integration_id, created_at FROM {table} {ours} \
                 ON CONFLICT (environment, kind, id) DO UPDATE SET integration_id = excluded.integration_id, \
                 created_at = excluded.created_at"
            );
            if tx.run("noting when registry rows came", &noted, &binds).await? > 0 {
                touched +=
                    tx.run("deleting registry rows", &format!("DELETE FROM {table} {ours}"), &binds).await?;
            }
        }
        touched += tx
            .run(
                "marking definitions as removed",
                "UPDATE integration_definitions SET status = 'removed', removed_at = $3::timestamptz, \
                 updated_at = $3::timestamptz, seeding = $4 \
                 WHERE environment = $1 AND id = ANY($2) AND seeding IS NOT NULL AND status <> 'removed'",
                &[binds[0], binds[1], writing.now.into(), writing.seeding.into()],
            )
            .await?;
    }
    if touched > 0 {
        tx.run(
            "asking for a look at the retention",
            "UPDATE environments SET retain_at = $2::timestamptz WHERE name = $1",
            &[writing.environment.into(), writing.now.into()],
        )
        .await?;
    }
    Ok(touched)
}

/// Those of these integrations that were taken out, and are kept.
pub(crate) async fn kept(
    tx: &mut Tx,
    writing: &Writing<'_>,
    ids: &[&str],
) -> Result<BTreeSet<String>, StoreError> {
    let mut kept = BTreeSet::new();
    for chunk in ids.chunks(ROWS) {
        let rows = tx
            .rows(
                "reading what was taken out",
                "SELECT id FROM integration_definitions \
                 WHERE environment = $1 AND status = 'removed' AND seeding IS NOT NULL AND id = ANY($2)",
                &[writing.environment.into(), Bind::Texts(chunk)],
            )
            .await?;
        for row in &rows {
            kept.insert(row.text(0)?);
        }
    }
    Ok(kept)
}

/// Gives registry rows that came back the time at which they came first.
pub(crate) async fn restore(
    tx: &mut Tx,
    writing: &Writing<'_>,
    ids: &BTreeSet<String>,
) -> Result<(), StoreError> {
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    for chunk in ids.chunks(ROWS) {
        let binds = [Bind::Text(writing.environment), Bind::Texts(chunk)];
        for kind in Kind::ALL {
            let (name, table) = (kind.as_str(), kind.table());
            let came = format!(
                "SELECT p.created_at FROM removed_parts p \
                 WHERE p.environment = r.environment AND p.kind = '{name}' AND p.id = r.id"
            );
            let sql = format!(
                "UPDATE {table} AS r SET created_at = ({came}) WHERE r.environment = $1 \
                 AND r.integration_id = ANY($2) AND r.seeding IS NOT NULL AND EXISTS ({came})"
            );
            tx.run("restoring when registry rows came", &sql, &binds).await?;
        }
        tx.run(
            "forgetting when registry rows came",
            "DELETE FROM removed_parts WHERE environment = $1 AND integration_id = ANY($2)",
            &binds,
        )
        .await?;
    }
    Ok(())
}

impl Store {
    /// What is left of an integration that was taken out. None where it is not there, or was not taken out.
    ///
    /// # Errors
    /// Where the database does not answer or the row cannot be read.
    pub async fn removal(&self, environment: &str, id: &str) -> Result<Option<Removal>, StoreError> {
        let sql = format!(
            "SELECT l.seq, @time(d.removed_at), NOT ({}) FROM integration_definitions d \
             LEFT JOIN seeding_logs l ON l.id = d.seeding \
             WHERE d.environment = $1 AND d.id = $2 AND d.removed_at IS NOT NULL",
            unreferenced()
        );
        let mut tx = self.read().await?;
        let row =
            tx.row("reading what removed an integration", &sql, &[environment.into(), id.into()]).await?;
        tx.commit().await?;
        row.map(|row| Ok(Removal { seeding: row.maybe_int(0)?, at: row.time(1)?, foreign: row.flag(2)? }))
            .transpose()
    }

    /// Deletes an environment and all that Sower wrote for it, history included. Rows of others stay, and with them, as
    /// `removed`, the definitions they hang on.
    ///
    /// # Errors
    /// As [`Store::begin`]; nothing was deleted then.
    pub async fn delete_environment(&self, fence: &Fence) -> Result<(), StoreError> {
        let environment = Bind::Text(&fence.environment);
        let now = time(Timestamp::now());
        let mut tx = self.write().await?;
        lock(&mut tx, fence).await?;
        for kind in Kind::ALL {
            let sql = format!("DELETE FROM {} WHERE environment = $1 AND seeding IS NOT NULL", kind.table());
            tx.run("deleting registry rows", &sql, &[environment]).await?;
        }
        let sql = format!(
            "DELETE FROM integration_definitions AS d WHERE d.environment = $1 AND d.seeding IS NOT NULL AND {}",
            unreferenced()
        );
        tx.run("deleting definitions", &sql, &[environment]).await?;
        tx.run(
            "marking definitions as removed",
            "UPDATE integration_definitions SET status = 'removed', removed_at = $2::timestamptz, \
             updated_at = $2::timestamptz WHERE environment = $1 AND seeding IS NOT NULL AND status <> 'removed'",
            &[environment, (&now).into()],
        )
        .await?;
        for table in [
            "integration_versions",
            "integration_manifests",
            "removed_parts",
            "seeding_conflicts",
            "integration_quarantine",
            "integration_merges",
            "integration_rollouts",
            "registry_candidates",
            "promotion_offers",
            "promotion_admissions",
            "seeding_plan_contents",
            "seeding_plan_operations",
            "seeding_plans",
            "seeding_changes",
            "seeding_logs",
            "seeding_retention",
            "integration_usage",
        ] {
            tx.run(
                "deleting history",
                &format!("DELETE FROM {table} WHERE environment = $1"),
                &[environment],
            )
            .await?;
        }
        tx.run("deleting the environment", "DELETE FROM environments WHERE name = $1", &[environment])
            .await?;
        tx.commit().await
    }
}
