//! Each test has its own database, and a crash keeps what was committed.

use anyhow::{Result, ensure};
use sower_tests::postgres::{Durability, Postgres};

#[tokio::test]
async fn databases_are_apart_and_can_be_copied() -> Result<()> {
    let server = Postgres::shared().await?;
    let (one, other) = (server.database().await?, server.database().await?);
    let pool = one.connect().await?;
    sqlx::query("CREATE TABLE seeds (id text PRIMARY KEY)").execute(&pool).await?;
    sqlx::query("INSERT INTO seeds VALUES ('oak')").execute(&pool).await?;
    pool.close().await;
    ensure!(sqlx::query("SELECT id FROM seeds").execute(&other.connect().await?).await.is_err());
    let copy = server.copy(&one).await?.connect().await?;
    let id: String = sqlx::query_scalar("SELECT id FROM seeds").fetch_one(&copy).await?;
    ensure!(id == "oak");
    Ok(())
}

#[tokio::test]
async fn the_owner_is_no_superuser_and_needs_its_password() -> Result<()> {
    let database = Postgres::shared().await?.database().await?;
    let query = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user";
    let superuser: bool = sqlx::query_scalar(query).fetch_one(&database.connect().await?).await?;
    ensure!(!superuser);
    let wrong = database.url().replace(sower_tests::postgres::PASSWORD, "wrong");
    ensure!(sqlx::PgPool::connect(&wrong).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_crash_keeps_what_was_committed() -> Result<()> {
    let mut server = Postgres::start(Durability::Fsync).await?;
    let database = server.database().await?;
    let pool = database.connect().await?;
    sqlx::query("CREATE TABLE seeds (id text)").execute(&pool).await?;
    let mut open = pool.begin().await?;
    sqlx::query("INSERT INTO seeds VALUES ('lost')").execute(&mut *open).await?;
    server.crash()?;
    ensure!(sqlx::query("SELECT 1").execute(&mut *open).await.is_err());
    server.resume().await?;
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM seeds").fetch_one(&database.connect().await?).await?;
    ensure!(count == 0);
    Ok(())
}
