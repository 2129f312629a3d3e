//! kill -9 at random instants of a pruning, a purge and a return: the old state or the new, never between.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sower_tests::bed::{Bed, LIMIT};
use sower_tests::catalog::with;
use sower_tests::operator::Operator;
use sower_tests::tables::Tables;
use sower_tests::wait::until;

use super::killing::Killing;

const STAYING: [&str; 2] = ["ash", "box"];
const COMING_AND_GOING: [&str; 4] = ["elm", "fir", "oak", "yew"];

/// How often it is killed, unless it is said.
const KILLS: u64 = 33;

/// All of those that come and go are there, or none of them; what is not carried has no row but its definition, and what is
/// purged nothing at all. Says whether they are there.
fn whole(tables: &Tables) -> Result<bool> {
    let carried: BTreeSet<String> = tables.carried("production").into_keys().collect();
    let there = COMING_AND_GOING.iter().filter(|id| carried.contains(**id)).count();
    ensure!(
        (there == 0 || there == COMING_AND_GOING.len()) && STAYING.iter().all(|id| carried.contains(*id)),
        "half a state: {carried:?}"
    );
    for (table, each) in
        [("action_registry", 2), ("trigger_registry", 1), ("connection_registry", 1), ("event_registry", 1)]
    {
        let rows: Vec<_> = tables.of_environment(table, "production").collect();
        ensure!(rows.len() == each * carried.len(), "{table}: {} rows, {carried:?}", rows.len());
        ensure!(rows.iter().all(|row| carried.contains(row.text("integration_id"))), "{table}: {rows:?}");
    }
    let definitions = tables.of_environment("integration_definitions", "production");
    let kept: BTreeSet<&str> =
        definitions.filter(|row| row.text("status") == "removed").map(|row| row.text("id")).collect();
    let parts: BTreeSet<&str> =
        tables.of_environment("removed_parts", "production").map(|row| row.text("integration_id")).collect();
    ensure!(parts == kept, "parts of {parts:?}, but {kept:?} are kept");
    ensure!(kept.is_empty() || kept.len() == COMING_AND_GOING.len(), "half a purge: {kept:?}");
    let completed = tables.log("production").iter().filter(|row| row.text("status") == "completed").count();
    let seq =
        tables.rows("environments").next().and_then(|row| row.columns["seq"].as_u64()).context("seq")?;
    ensure!(completed as u64 == seq, "{completed} completed log rows, but seq {seq}");
    Ok(there > 0)
}

#[tokio::test]
async fn a_killed_pruning_leaves_the_old_state_or_the_new() -> Result<()> {
    let mut killing = Killing::of(KILLS)?;
    let mut bed = Bed::with("kill-prune", &["leaderElection.enabled=false"]).await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&[&STAYING[..], &COMING_AND_GOING[..]].concat())?;
    // Every second round keeps nothing: the purge follows the seeding.
    let spec = |round: u64| {
        let removed = if round % 4 < 2 { "720h" } else { "0s" };
        with(catalog.spec(), json!({ "pruneLimit": "100%", "retention": { "removed": removed } }))
    };
    bed.environment("production", spec(0)).await?;
    bed.seeded("production", &first).await?;
    for round in killing.rounds().map(|number| number - 1) {
        let coming = round % 2 == 1;
        bed.environment("production", spec(round)).await?;
        for id in COMING_AND_GOING {
            if coming { catalog.write(id, "1.0.0")? } else { catalog.fell(id)? }
        }
        catalog.push(if coming { "Plant" } else { "Fell" })?;
        bed.request("production").await?;
        killing.kill(&bed).await?;
        let there = whole(&bed.tables().await?).with_context(|| format!("after kill {round}"))?;
        killing.left(there == coming);
        bed.operator = Operator::started(&bed.namespace, "sower-0").await?;
        until(&format!("convergence after kill {round}"), LIMIT, async || {
            let tables = bed.tables().await?;
            let running =
                tables.log("production").iter().filter(|row| row.text("status") == "running").count();
            ensure!(whole(&tables)? == coming && running == 0, "{running} running");
            let definitions = tables.of_environment("integration_definitions", "production").count();
            let purged = !coming && round % 4 == 2;
            ensure!(definitions == if purged { 2 } else { 6 }, "{definitions} definitions");
            Ok(())
        })
        .await
        .with_context(|| bed.operator.process.last_lines())?;
    }
    killing.end()
}
