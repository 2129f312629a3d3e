//! What could not be faster: COPY of the same rows into the same tables, in one transaction.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::TryStreamExt;
use sower_tests::postgres::{Database, Postgres};
use sqlx::postgres::PgPoolCopyExt;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// In the order of the foreign keys.
const TABLES: [&str; 11] = [
    "environments",
    "integration_definitions",
    "action_registry",
    "trigger_registry",
    "connection_registry",
    "event_registry",
    "integration_versions",
    "integration_manifests",
    "integration_links",
    "seeding_changes",
    "seeding_logs",
];
const CHUNK: usize = 64 << 10;

/// Copies all of a database's rows into the emptied tables of a copy of it, `runs` times; the times, COMMIT included.
pub async fn copy(server: &Postgres, of: &Database, runs: usize) -> Result<Vec<Duration>> {
    let pool = of.connect().await?;
    let mut rows = Vec::new();
    for table in TABLES {
        let mut stream = pool.copy_out_raw(&format!("COPY public.{table} TO STDOUT")).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        drop(stream);
        rows.push((table, bytes));
    }
    pool.close().await;
    let other = server.copy(of).await?;
    let mut connection = PgConnection::connect(&other.url()).await?;
    let mut times = Vec::new();
    for _ in 0..runs {
        sqlx::query(AssertSqlSafe(format!("TRUNCATE public.{}", TABLES.join(", public."))))
            .execute(&mut connection)
            .await?;
        settle(server).await?;
        let started = Instant::now();
        let mut tx = connection.begin().await?;
        for (table, bytes) in &rows {
            let mut copy = tx.copy_in_raw(&format!("COPY public.{table} FROM STDIN")).await?;
            for chunk in bytes.chunks(CHUNK) {
                copy.send(chunk).await?;
            }
            copy.finish().await?;
        }
        tx.commit().await?;
        times.push(started.elapsed());
    }
    Ok(times)
}

/// Writes out what the server has in memory, so that no measurement pays for another.
pub async fn settle(server: &Postgres) -> Result<()> {
    sqlx::query("CHECKPOINT").execute(&mut server.admin("postgres").await?).await?;
    Ok(())
}

/// One transaction, as another program would make it: it connects, writes the rows of one changed integration again, and
/// waits for the disk.
pub async fn transaction(database: &Database, integration: &str) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..9 {
        let started = Instant::now();
        let mut connection = PgConnection::connect(&database.url()).await?;
        let mut tx = connection.begin().await?;
        for (table, key) in [
            ("environments", "name = 'bench' OR name"),
            ("integration_definitions", "id"),
            ("integration_manifests", "integration_id"),
            ("action_registry", "identifier = 'branch-7' AND integration_id"),
        ] {
            let update = format!("UPDATE public.{table} SET updated_at = now() WHERE {key} = $1");
            sqlx::query(AssertSqlSafe(update)).bind(integration).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        times.push(started.elapsed());
        connection.close().await?;
    }
    Ok(super::median(times))
}
