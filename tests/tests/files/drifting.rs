//! `run --standalone` on PostgreSQL: what another hand does is noticed at once, and corrected where the environment says so.

use std::time::Duration;

use anyhow::{Result, ensure};
use sower_tests::postgres::Postgres;
use sower_tests::sower::standalone;
use sower_tests::wait::until;

use super::e2e_11_standalone::checkout;

const LIMIT: Duration = Duration::from_secs(45);

#[tokio::test]
async fn another_s_hand_is_noticed_at_once() -> Result<()> {
    let tree = checkout()?;
    tree.replace("environments/staging.yaml", "spec:\n", "spec:\n  drift: { mode: Correct }\n")?;
    let database = Postgres::shared().await?.database().await?;
    let pool = database.connect().await?;
    let process = standalone("drifting", tree.folder())?
        .env("SOWER_LOG_FORMAT", "text")
        .env("SOWER_DATABASE_URL", database.url())
        .start()?;
    let says = async |what: &str| {
        process
            .ready(LIMIT, async || {
                ensure!(process.log().contains(what), "no `{what}`");
                Ok(())
            })
            .await
    };
    says("Watching.").await?;
    let name = |environment: &str| {
        format!(
            "SELECT name FROM action_registry WHERE environment = '{environment}' AND id = 'stripe/create-refund'"
        )
    };
    let before: String = sqlx::query_scalar(sqlx::AssertSqlSafe(name("staging"))).fetch_one(&pool).await?;
    sqlx::query("UPDATE action_registry SET name = 'By hand' WHERE id = 'stripe/create-refund'")
        .execute(&pool)
        .await?;
    says("drift: 1 changed row since seeding 1: stripe").await?;
    says("1.0.0: as it was seeded").await?;
    until("the row is as it was", LIMIT, async || {
        let now: String = sqlx::query_scalar(sqlx::AssertSqlSafe(name("staging"))).fetch_one(&pool).await?;
        ensure!(now == before, "{now}");
        Ok(())
    })
    .await?;
    // It is told in the two others.
    until("it is told twice", LIMIT, async || {
        let log = process.log();
        ensure!(log.matches("drift: 1 changed row since seeding 1: stripe").count() == 2, "{log}");
        Ok(())
    })
    .await
}
