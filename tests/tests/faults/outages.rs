//! What the operator needs goes away, and comes back.

use anyhow::{Result, ensure};
use sower_tests::bed::Bed;
use sower_tests::control_plane::ControlPlane;
use sower_tests::postgres::Postgres;
use sower_tests::wait::until;
use sqlx::AssertSqlSafe;

/// While the API server is away nothing is written, since the Lease may have gone to another; then it goes on.
#[tokio::test]
async fn an_api_server_that_comes_back_is_used_again() -> Result<()> {
    let plane = ControlPlane::leaked().await?;
    plane.apply_crds()?;
    let bed = Bed::on(plane, "outage", &["leaderElection.leaseDuration=10"]).await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &first).await?;
    let before = bed.tables().await?;
    // A seeding stands still inside its transaction when the API server goes.
    let mut gate = bed.pool.begin().await?;
    sqlx::query("LOCK TABLE integration_definitions IN SHARE MODE").execute(&mut *gate).await?;
    catalog.write("oak", "1.1.0")?;
    let second = catalog.push("Raise")?;
    bed.request("production").await?;
    let waiting = async |expect: i64| -> Result<()> {
        let blocked = "SELECT count(*) FROM pg_locks \
             WHERE NOT granted AND relation = 'integration_definitions'::regclass";
        let waiting: i64 = sqlx::query_scalar(blocked).fetch_one(&bed.pool).await?;
        ensure!(waiting == expect, "{waiting} wait");
        Ok(())
    };
    bed.until("the seeding waits for the lock", async || waiting(1).await).await?;
    plane.stop_api_server()?;
    bed.until("the leader lets go of it", async || waiting(0).await).await?;
    ensure!(bed.operator.process.log().contains("leads no longer"), "its log does not say so");
    gate.commit().await?;
    let now = bed.tables().await?;
    ensure!(now.carried("production") == before.carried("production"), "{:?}", now.since(&before));
    plane.start_api_server().await?;
    until("the push is taken", std::time::Duration::from_secs(90), async || {
        bed.seeded("production", &second).await.map(drop)
    })
    .await
}

/// A database that breaks the connection in the middle of a seeding: nothing is written, then all of it.
#[tokio::test]
async fn a_database_that_breaks_off_loses_nothing() -> Result<()> {
    let mut server = sower_tests::postgres::Postgres::start(sower_tests::postgres::Durability::Lax).await?;
    let own = server.database().await?;
    let bed = Bed::make("broken-off").await?;
    sower_tests::bed::database_secret(&bed.namespace, &own).await?;
    let mut bed = bed;
    bed.restart().await?;
    bed.pool = own.connect().await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &first).await?;
    let before = bed.tables().await?.carried("production");
    let mut gate = bed.pool.begin().await?;
    sqlx::query("LOCK TABLE public.action_registry IN SHARE MODE").execute(&mut *gate).await?;
    catalog.tree.replace("integrations/oak/integration.yaml", "Grows branch 1", "Grows twig 1")?;
    catalog.tree.replace("integrations/oak/integration.yaml", "version: 1.0.0", "version: 1.1.0")?;
    let second = catalog.push("Raise")?;
    let blocked =
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'public.action_registry'::regclass";
    bed.until("the seeding waits for the lock", async || {
        let waiting: i64 = sqlx::query_scalar(blocked).fetch_one(&bed.pool).await?;
        ensure!(waiting == 1, "{waiting} wait");
        Ok(())
    })
    .await?;
    server.crash()?;
    drop(gate);
    server.resume().await?;
    bed.pool = own.connect().await?;
    let carried = bed.tables().await?.carried("production");
    ensure!(carried == before || carried["oak"] == "1.1.0", "{carried:?}");
    bed.seeded("production", &second).await?;
    ensure!(bed.tables().await?.carried("production")["oak"] == "1.1.0");
    Ok(())
}

/// A database that is dropped and made anew under a running operator: its tables are made again, and all rows come back.
#[tokio::test]
async fn a_database_that_is_made_anew_is_filled_again() -> Result<()> {
    let server = Postgres::shared().await?;
    let own = server.database().await?;
    let mut bed = Bed::make("made-anew").await?;
    sower_tests::bed::database_secret(&bed.namespace, &own).await?;
    bed.restart().await?;
    bed.pool = own.connect().await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &first).await?;
    let before = bed.tables().await?.carried("production");

    bed.pool.close().await;
    let mut admin = server.admin("postgres").await?;
    let owner = "SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = $1";
    let owner: String = sqlx::query_scalar(owner).bind(&own.name).fetch_one(&mut admin).await?;
    for sql in [
        format!("DROP DATABASE {} WITH (FORCE)", own.name),
        format!("CREATE DATABASE {} OWNER {owner} TEMPLATE template0", own.name),
    ] {
        sqlx::query(AssertSqlSafe(sql)).execute(&mut admin).await?;
    }
    bed.pool = own.connect().await?;
    catalog.write("oak", "1.1.0")?;
    let second = catalog.push("Raise")?;
    bed.seeded("production", &second).await?;
    let after = bed.tables().await?.carried("production");
    ensure!(after.keys().eq(before.keys()) && after["oak"] == "1.1.0", "{after:?}");
    Ok(())
}
