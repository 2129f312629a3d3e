//! What counting executions costs: rows per second of the store, beside COPY of the same rows into the same table.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use sower_core::usage::{Observed, Record};
use sower_store::{DatabaseUrl, Options, Store};
use sower_tests::postgres::Postgres;
use sqlx::PgPool;

const RUNS: usize = 5;
/// Records that a request may have.
const BATCH: usize = 10_000;
const INTEGRATIONS: usize = 100;
const ACTIONS: usize = 10;
const MINUTES: usize = 50;
/// All columns but those that the database computes.
const COLUMNS: &str = "id, integration_id, action_id, trigger_id, execution_count, last_used, created_at, environment, version, \
     resolution, minute, error_count, latency_ms, latency_count, ms_10, ms_25, ms_50, ms_100, ms_250, ms_500, ms_1000, ms_2500, \
     ms_5000, ms_10000, ms_30000, ms_above";

/// What is measured, and what came of it.
pub async fn run(postgres: &Postgres) -> Result<Vec<(&'static str, String)>> {
    let database = postgres.database().await?;
    let store = Store::open(&DatabaseUrl::parse(&database.url())?, &Options::default()).await?;
    let pool = database.connect().await?;
    let records = records();
    let (mut counted, mut added) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        empty(postgres, &pool).await?;
        counted.push(count(&store, &records).await?);
        added.push(count(&store, &records).await?);
    }
    let size: String =
        sqlx::query_scalar("SELECT pg_size_pretty(pg_total_relation_size('public.integration_usage'))")
            .fetch_one(&pool)
            .await?;
    let rows = copied_out(&pool).await?;
    ensure!(rows.iter().map(Vec::len).sum::<usize>() == records.len(), "a row a record");
    let mut copied = Vec::new();
    for _ in 0..RUNS {
        empty(postgres, &pool).await?;
        copied.push(copy(&pool, &rows).await?);
    }
    let [counted, added, copied] = [counted, added, copied].map(median);
    let rate = |time: Duration| format!("{:.0} rows/s", records.len() as f64 / time.as_secs_f64());
    let ratio = |time: Duration| format!("{:.2}", time.as_secs_f64() / copied.as_secs_f64());
    store.close().await;
    Ok(vec![
        ("usage: rows, in batches of", format!("{}, {BATCH}", records.len())),
        ("usage: COPY", rate(copied)),
        ("usage: new rows", rate(counted)),
        ("usage: new rows / COPY, time", ratio(counted)),
        ("usage: added to rows", rate(added)),
        ("usage: added to rows / COPY, time", ratio(added)),
        ("usage: size after both", size),
    ])
}

/// One record a row.
fn records() -> Vec<Record> {
    let now = Timestamp::now();
    let mut records = Vec::new();
    for minute in 0..MINUTES {
        let at = now - SignedDuration::from_mins(i64::try_from(minute).unwrap_or(0));
        for app in 0..INTEGRATIONS {
            for version in ["1.0.0", "1.1.0"] {
                for action in 0..ACTIONS {
                    records.push(Record {
                        environment: "production".to_owned(),
                        integration: format!("app-{app}"),
                        version: version.to_owned(),
                        action: Some(format!("action-{action}")),
                        trigger: None,
                        at,
                        observed: Observed::of(20, 1, Some(84)),
                    });
                }
            }
        }
    }
    records
}

/// Empties the table, and writes out what the server has in memory, so that no measurement pays for another.
async fn empty(postgres: &Postgres, pool: &PgPool) -> Result<()> {
    sqlx::query("TRUNCATE public.integration_usage").execute(pool).await?;
    sqlx::query("CHECKPOINT").execute(&mut postgres.admin("postgres").await?).await?;
    Ok(())
}

async fn count(store: &Store, records: &[Record]) -> Result<Duration> {
    let started = Instant::now();
    for batch in records.chunks(BATCH) {
        store.record_usage(batch).await?;
    }
    Ok(started.elapsed())
}

/// The rows as COPY writes them, in as many pieces as there were batches.
async fn copied_out(pool: &PgPool) -> Result<Vec<Vec<Vec<u8>>>> {
    use futures::TryStreamExt as _;

    let mut connection = pool.acquire().await?;
    let stream = connection
        .copy_out_raw(&format!(
            "COPY (SELECT {COLUMNS} FROM public.integration_usage ORDER BY minute DESC, id) TO STDOUT"
        ))
        .await?;
    let text = stream.try_fold(Vec::new(), |mut all, chunk| async move {
        all.extend_from_slice(&chunk);
        Ok(all)
    });
    let text: Vec<u8> = text.await?;
    let lines: Vec<Vec<u8>> = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    Ok(lines.chunks(BATCH).map(<[_]>::to_vec).collect())
}

async fn copy(pool: &PgPool, pieces: &[Vec<Vec<u8>>]) -> Result<Duration> {
    let pieces: Vec<Vec<u8>> = pieces.iter().map(|lines| lines.concat()).collect();
    let mut connection = pool.acquire().await?;
    let started = Instant::now();
    for piece in &pieces {
        let mut copy =
            connection.copy_in_raw(&format!("COPY public.integration_usage ({COLUMNS}) FROM STDIN")).await?;
        copy.send(piece.as_slice()).await?;
        copy.finish().await?;
    }
    Ok(started.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
