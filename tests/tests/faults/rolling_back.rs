//! A rollback under kill -9, and for whoever leads next: done once and whole, or not at all.

use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sower_crds::ROLLBACK;
use sower_crds::environment::Environment;
use sower_tests::bed::{Bed, LIMIT};
use sower_tests::operator::Operator;
use sower_tests::tables::Tables;
use sower_tests::wait::until;

use super::killing::Killing;

const IDS: [&str; 5] = ["ash", "box", "elm", "oak", "yew"];
/// How often it is killed, unless it is said.
const KILLS: u64 = 33;

async fn ask(bed: &Bed, wish: &str) -> Result<()> {
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { ROLLBACK: wish } } }));
    bed.namespace.api::<Environment>().patch("production", &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Whether all of a rollback from `version` is there; the error says that half of it is.
fn rolled_back(tables: &Tables, version: &str, wish: &str) -> Result<bool> {
    let carried = tables.carried("production");
    let at = carried.values().filter(|other| *other == version).count();
    ensure!(carried.len() == IDS.len() && [0, IDS.len()].contains(&at), "half a state: {carried:?}");
    let done = at == 0;
    let out = tables
        .rows("integration_quarantine")
        .filter(|row| row.text("version") == version && row.columns["lifted_at"].is_null())
        .count();
    let row = tables.rows("environments").next().context("an environment")?;
    let answered = row.columns["rollback"]["request"] == wish;
    let log = tables.log("production");
    let logged = log
        .iter()
        .filter(|row| row.text("status") == "completed" && row.columns["metadata"]["rollback"].is_object())
        .filter(|row| row.columns["seq"] == tables_seq(tables))
        .count();
    ensure!(
        out == at.abs_diff(IDS.len()) && answered == done && (logged == 1) == done,
        "rows {done}, {out} kept out, answered {answered}, logged {logged}"
    );
    let completed = log.iter().filter(|row| row.text("status") == "completed").count() as u64;
    ensure!(
        row.columns["seq"] == completed,
        "{completed} completed log rows, but seq {}",
        row.columns["seq"]
    );
    Ok(done)
}

fn tables_seq(tables: &Tables) -> serde_json::Value {
    tables.rows("environments").next().map(|row| row.columns["seq"].clone()).unwrap_or_default()
}

#[tokio::test]
async fn e2e_09_a_rollback_under_kill_is_whole_or_not_there() -> Result<()> {
    let mut killing = Killing::of(KILLS)?;
    let mut bed = Bed::with("killback", &["leaderElection.enabled=false"]).await?;
    let catalog = bed.catalog()?;
    let first = catalog.raise(&IDS, "1.0.0")?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &first).await?;
    for number in killing.rounds() {
        let version = format!("1.{number}.0");
        let commit = catalog.raise(&IDS, &version)?;
        bed.request("production").await?;
        bed.seeded("production", &commit).await?;
        let wish = format!("1 for the {number}. time");
        ask(&bed, &wish).await?;
        killing.kill(&bed).await?;
        let done = rolled_back(&bed.tables().await?, &version, &wish)
            .with_context(|| format!("after kill {number}"))?;
        killing.left(done);
        bed.operator = Operator::started(&bed.namespace, "sower-0").await?;
        until(&format!("the rollback after kill {number}"), LIMIT, async || {
            let tables = bed.tables().await?;
            ensure!(rolled_back(&tables, &version, &wish)?, "not yet");
            let log = tables.log("production");
            let running = log.iter().filter(|row| row.text("status") == "running").count();
            ensure!(running == 0, "{running} running");
            let status = bed.read("production").await?.status.context("a status")?;
            let told = status.rollback.is_some_and(|told| told.last_handled == wish && !told.failed);
            ensure!(told, "not told yet");
            let done = |row: &&&sower_tests::tables::Row| {
                row.text("status") == "completed" && row.columns["metadata"]["rollback"].is_object()
            };
            let times = log.iter().filter(done).count() as u64;
            ensure!(times == number, "{times} rollbacks for {number} requests");
            Ok(())
        })
        .await
        .with_context(|| bed.operator.process.last_lines())?;
    }
    killing.end()
}

#[tokio::test]
async fn e2e_09_a_new_leader_keeps_to_a_rollback() -> Result<()> {
    let mut bed = Bed::with("backlead", &["leaderElection.leaseDuration=3"]).await?;
    let catalog = bed.catalog()?;
    let first = catalog.raise(&IDS, "1.0.0")?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &first).await?;
    let second = catalog.raise(&IDS, "1.1.0")?;
    bed.seeded("production", &second).await?;
    let follower = Operator::replica(&bed.namespace, "sower-1").await?;
    ask(&bed, "1").await?;
    bed.until("the rollback", async || {
        ensure!(rolled_back(&bed.tables().await?, "1.1.0", "1")?, "not yet");
        Ok(())
    })
    .await?;
    bed.operator.process.kill()?;
    drop(std::mem::replace(&mut bed.operator, follower));
    // The annotation is there still; what it asked for was done by another.
    bed.reconcile("production").await?;
    let tables = bed.tables().await?;
    ensure!(rolled_back(&tables, "1.1.0", "1")?, "{:?}", tables.carried("production"));
    ensure!(tables.log("production").len() == 3, "{:?}", tables.log("production"));
    let third = catalog.raise(&IDS, "1.2.0")?;
    bed.seeded("production", &third).await?;
    ensure!(bed.tables().await?.carried("production").values().all(|version| version == "1.2.0"));
    Ok(())
}
