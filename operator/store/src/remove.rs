//! Rows that go. Only ours do; a definition on which foreign rows hang stays, as `removed`.

use jiff::Timestamp;
use sower_core::rows::Kind;

use crate::apply::{ROWS, Writing};
use crate::environment::{Fence, lock};
use crate::error::StoreError;
use crate::open::Store;
use crate::session::{Bind, Tx, time};

/// No registry row hangs on the definition any more.
fn unreferenced() -> String {
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
            let sql = format!(
                "DELETE FROM {} WHERE environment = $1 AND integration_id = ANY($2) AND seeding IS NOT NULL",
                kind.table()
            );
            touched += tx.run("deleting registry rows", &sql, &binds).await?;
        }
        let sql = format!(
            "DELETE FROM integration_definitions AS d WHERE d.environment = $1 AND d.id = ANY($2) \
             AND d.seeding IS NOT NULL AND {}",
            unreferenced()
        );
        touched += tx.run("deleting definitions", &sql, &binds).await?;
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
    Ok(touched)
}

impl Store {
    /// What took an integration out whose definition stays as `removed`: the seeding's number, if its log row is known,
    /// and when. None where it is not there, or was not taken out.
    ///
    /// # Errors
    /// Where the database does not answer or the row cannot be read.
    pub async fn removed_by(
        &self,
        environment: &str,
        id: &str,
    ) -> Result<Option<(Option<i64>, Timestamp)>, StoreError> {
        let mut tx = self.read().await?;
        let row = tx
            .row(
                "reading what removed an integration",
                "SELECT l.seq, @time(d.removed_at) FROM integration_definitions d \
                 LEFT JOIN seeding_logs l ON l.id = d.seeding \
                 WHERE d.environment = $1 AND d.id = $2 AND d.removed_at IS NOT NULL",
                &[environment.into(), id.into()],
            )
            .await?;
        tx.commit().await?;
        row.map(|row| Ok((row.maybe_int(0)?, row.time(1)?))).transpose()
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
            "seeding_conflicts",
            "seeding_changes",
            "seeding_logs",
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
