//! kill -9 at random instants: the old state or the new, never between, and every restart goes on.

use anyhow::{Context, Result, ensure};
use sower_tests::bed::{Bed, LIMIT};
use sower_tests::catalog::Catalog;
use sower_tests::operator::Operator;
use sower_tests::tables::Tables;
use sower_tests::wait::until;

use super::killing::Killing;

const IDS: [&str; 5] = ["ash", "box", "elm", "oak", "yew"];
const KILLS: u64 = 50;

/// All integrations are at one version, with all of its actions, and the log says so.
fn whole(tables: &Tables) -> Result<String> {
    let carried = tables.carried("production");
    let version = carried.values().next().cloned().unwrap_or_default();
    ensure!(
        carried.len() == IDS.len() && carried.values().all(|other| *other == version),
        "half a state: {carried:?}"
    );
    for row in tables.rows("action_registry") {
        let said = row.columns["definition"]["description"].as_str().unwrap_or_default();
        ensure!(said.ends_with(&format!("at {version}.")), "{version}, but {row:?}");
    }
    ensure!(
        tables.rows("action_registry").count() == 2 * IDS.len(),
        "actions: {}",
        tables.rows("action_registry").count()
    );
    let completed = tables.log("production").iter().filter(|row| row.text("status") == "completed").count();
    let seq =
        tables.rows("environments").next().and_then(|row| row.columns["seq"].as_u64()).context("seq")?;
    ensure!(completed as u64 == seq, "{completed} completed log rows, but seq {seq}");
    Ok(version)
}

fn raise(catalog: &Catalog, number: u64) -> Result<String> {
    for id in IDS {
        catalog.write(id, &format!("1.{number}.0"))?;
        for branch in [1, 2] {
            let (from, to) =
                (format!("branch {branch} of the {id}."), format!("branch {branch} at 1.{number}.0."));
            catalog.tree.replace(&sower_tests::catalog::path(id), &from, &to)?;
        }
    }
    catalog.push(&format!("Raise to 1.{number}.0"))
}

#[tokio::test]
async fn e2e_09_fifty_kills_and_every_restart_converges() -> Result<()> {
    let mut killing = Killing::of(KILLS)?;
    let mut bed = Bed::with("kill", &["leaderElection.enabled=false"]).await?;
    let catalog = bed.catalog()?;
    let first = raise(&catalog, 0)?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &first).await?;
    for number in killing.rounds() {
        raise(&catalog, number)?;
        bed.request("production").await?;
        killing.kill(&bed).await?;
        let version = whole(&bed.tables().await?).with_context(|| format!("after kill {number}"))?;
        ensure!(
            version == format!("1.{}.0", number - 1) || version == format!("1.{number}.0"),
            "after kill {number}: {version}"
        );
        killing.left(version == format!("1.{number}.0"));
        bed.operator = Operator::started(&bed.namespace, "sower-0").await?;
        until(&format!("convergence after kill {number}"), LIMIT, async || {
            let tables = bed.tables().await?;
            let version = whole(&tables)?;
            let running =
                tables.log("production").iter().filter(|row| row.text("status") == "running").count();
            ensure!(version == format!("1.{number}.0") && running == 0, "{version}, {running} running");
            Ok(())
        })
        .await
        .with_context(|| bed.operator.process.last_lines())?;
    }
    let tables = bed.tables().await?;
    let versions = tables.rows("integration_versions").count() as u64;
    ensure!(versions == (killing.rounds().end() + 1) * IDS.len() as u64, "{versions} versions");
    killing.end()
}
