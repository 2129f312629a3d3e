//! An approval under kill -9: exactly that plan, once and whole, or not yet.

use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sower_crds::APPROVE;
use sower_crds::environment::Environment;
use sower_tests::bed::{Bed, LIMIT};
use sower_tests::catalog::with;
use sower_tests::operator::Operator;
use sower_tests::tables::Tables;
use sower_tests::wait::until;

use super::killing::Killing;

const IDS: [&str; 5] = ["ash", "box", "elm", "oak", "yew"];
/// How often it is killed, unless it is said.
const KILLS: u64 = 34;

/// The plan that waits for this commit.
async fn waiting(bed: &Bed, commit: &str) -> Result<String> {
    let read = bed.reason("production", "ApprovalRequired", commit).await?;
    Ok(read.status.and_then(|status| status.plan).context("a plan")?.hash)
}

async fn approve(bed: &Bed, hash: &str) -> Result<()> {
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { APPROVE: hash } } }));
    bed.namespace.api::<Environment>().patch("production", &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Whether all of an approved plan is there; the error says that half of it is.
fn applied(tables: &Tables, version: &str, hash: &str) -> Result<bool> {
    let carried = tables.carried("production");
    let at = carried.values().filter(|other| *other == version).count();
    ensure!([0, IDS.len()].contains(&at), "half a state: {carried:?}");
    let done = at > 0;
    let plans = tables.rows("seeding_plans").filter(|row| row.text("hash").starts_with(hash));
    let spent =
        plans.filter(|row| row.text("status") == "applied" && row.columns["seeding"].is_string()).count();
    let completed = tables.log("production").iter().filter(|row| row.text("status") == "completed").count();
    let row = tables.rows("environments").next().context("an environment")?;
    ensure!((spent == 1) == done, "rows {done}, but {spent} plans spent");
    ensure!(
        row.columns["seq"] == completed,
        "{completed} completed log rows, but seq {}",
        row.columns["seq"]
    );
    Ok(done)
}

#[tokio::test]
async fn e2e_09_an_approval_under_kill_is_obeyed_once_and_whole() -> Result<()> {
    let mut killing = Killing::of(KILLS)?;
    let mut bed = Bed::with("killapprove", &["leaderElection.enabled=false"]).await?;
    let catalog = bed.catalog()?;
    let first = catalog.raise(&IDS, "1.0.0")?;
    bed.environment("production", with(catalog.spec(), json!({ "approval": "Manual" }))).await?;
    let hash = waiting(&bed, &first).await?;
    approve(&bed, &hash).await?;
    bed.seeded("production", &first).await?;
    for number in killing.rounds() {
        let version = format!("1.{number}.0");
        let commit = catalog.raise(&IDS, &version)?;
        bed.request("production").await?;
        let hash = waiting(&bed, &commit).await?;
        approve(&bed, &hash).await?;
        killing.kill(&bed).await?;
        let done =
            applied(&bed.tables().await?, &version, &hash).with_context(|| format!("after kill {number}"))?;
        killing.left(done);
        bed.operator = Operator::started(&bed.namespace, "sower-0").await?;
        until(&format!("the approval after kill {number}"), LIMIT, async || {
            let tables = bed.tables().await?;
            ensure!(applied(&tables, &version, &hash)?, "not yet");
            let log = tables.log("production");
            let completed = log.iter().filter(|row| row.text("status") == "completed").count() as u64;
            ensure!(completed == number + 1, "{completed} seedings for {number} approvals");
            let running = log.iter().filter(|row| row.text("status") == "running").count();
            ensure!(running == 0, "{running} running");
            Ok(())
        })
        .await
        .with_context(|| bed.operator.process.last_lines())?;
        bed.seeded("production", &commit).await?;
    }
    killing.end()
}
