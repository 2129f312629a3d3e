//! Rollouts under kill -9: what begins, completes or is aborted does so once and whole, or not yet.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sower_crds::ROLLOUT;
use sower_crds::environment::Environment;
use sower_tests::bed::{Bed, LIMIT};
use sower_tests::catalog::{Catalog, path, with};
use sower_tests::operator::Operator;
use sower_tests::tables::{Row, Tables};
use sower_tests::wait::until;

use super::killing::Killing;

const ID: &str = "ash";
/// How often each test kills, unless it is said.
const KILLS: u64 = 22;
/// Two actions, a trigger, a connection, an event.
const PARTS: [(&str, usize); 4] =
    [("action_registry", 2), ("trigger_registry", 1), ("connection_registry", 1), ("event_registry", 1)];

/// A version that does something else, and says so in each of its actions.
fn raise(catalog: &Catalog, version: &str) -> Result<String> {
    catalog.write(ID, version)?;
    for branch in [1, 2] {
        let from = format!("path: /branches/{branch}");
        catalog.tree.replace(&path(ID), &from, &format!("path: /{version}/branches/{branch}"))?;
    }
    catalog.push(&format!("Raise to {version}"))
}

/// Half of the consumers get it, until somebody says more.
fn spec(catalog: &Catalog) -> Value {
    let default = json!({ "type": "Staged", "steps": [{ "weight": 50, "pause": true }] });
    with(catalog.spec(), json!({ "rollout": { "default": default } }))
}

async fn bed(name: &str) -> Result<(Bed, Catalog)> {
    let bed = Bed::with(name, &["leaderElection.enabled=false"]).await?;
    let catalog = bed.catalog()?;
    let first = raise(&catalog, "1.0.0")?;
    bed.environment("production", spec(&catalog)).await?;
    bed.seeded("production", &first).await?;
    Ok((bed, catalog))
}

/// What there is of the integration.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// The version that all have.
    stable: String,
    /// The version that is rolled out, and its state.
    beside: Option<(String, String)>,
    /// The version and the state of what ended last.
    ended: Option<(String, String)>,
    /// Versions that are kept out.
    out: BTreeSet<String>,
    /// Seedings that completed.
    seedings: usize,
    /// Ends of rollouts among them.
    ends: usize,
}

/// The same state is told by every table; the error says where half of one is.
fn whole(tables: &Tables) -> Result<Seen> {
    let definition = tables.rows("integration_definitions").next().context("a definition")?;
    let stable = definition.text("version").to_owned();
    let speaks = |row: &Row, version: &str| {
        let path = row.columns["definition"]["request"]["path"].as_str().unwrap_or_default();
        path.starts_with(&format!("/{version}/"))
    };
    for (table, each) in PARTS {
        ensure!(tables.rows(table).count() == each, "{table}: {}", tables.rows(table).count());
    }
    for row in tables.rows("action_registry") {
        ensure!(speaks(row, &stable), "{stable} is carried, but {row:?}");
    }
    let mut rollouts: Vec<&Row> = tables.rows("integration_rollouts").collect();
    rollouts.sort_by_key(|row| row.text("id").to_owned());
    let told = |row: &&Row| (row.text("to_version").to_owned(), row.text("state").to_owned());
    let (over, active): (Vec<&Row>, Vec<&Row>) =
        rollouts.into_iter().partition(|row| row.columns["ended_at"].is_string());
    ensure!(active.len() <= 1, "{active:?}");
    let candidates: Vec<&Row> = tables.rows("registry_candidates").collect();
    match active.first() {
        None => ensure!(candidates.is_empty(), "rows without a rollout: {candidates:?}"),
        Some(rollout) => {
            let to = rollout.text("to_version");
            let all: usize = PARTS.iter().map(|(_, each)| each).sum();
            ensure!(
                candidates.len() == all && candidates.iter().all(|row| row.text("version") == to),
                "{to} is rolled out, but {candidates:?}"
            );
            let actions = candidates.iter().filter(|row| row.text("kind") == "action");
            ensure!(actions.clone().all(|row| speaks(row, to)), "{candidates:?}");
            let from = (rollout.text("from_version"), rollout.text("from_checksum"));
            ensure!(from == (&*stable, definition.text("checksum")), "from {from:?}, but {definition:?}");
        }
    }
    let known: BTreeSet<&str> = tables.rows("integration_versions").map(|row| row.text("version")).collect();
    let open = tables.rows("integration_quarantine").filter(|row| row.columns["lifted_at"].is_null());
    let log = tables.log("production");
    let completed: Vec<_> = log.iter().filter(|row| row.text("status") == "completed").collect();
    let seq = tables.rows("environments").next().and_then(|row| row.columns["seq"].as_u64());
    ensure!(seq == Some(completed.len() as u64), "{} completed log rows, but seq {seq:?}", completed.len());
    let seen = Seen {
        stable,
        beside: active.first().map(told),
        ended: over.last().map(told),
        out: open.map(|row| row.text("version").to_owned()).collect(),
        seedings: completed.len(),
        ends: completed.iter().filter(|row| row.columns["metadata"]["rollout"].is_object()).count(),
    };
    // What is superseded ends with the seeding of what comes after it.
    let ends = over.iter().filter(|row| row.text("state") != "Superseded").count();
    ensure!(seen.ends == ends, "{ends} rollouts ended: {seen:?}");
    for (version, _) in seen.beside.iter().chain(&seen.ended) {
        ensure!(known.contains(version.as_str()), "nobody knows {version}");
    }
    // What is kept out is let in with the next version.
    if let (Some((version, state)), None) = (&seen.ended, &seen.beside) {
        let back = state != "Completed";
        ensure!((seen.stable == *version) != back && seen.out.contains(version) == back, "{seen:?}");
    }
    Ok(seen)
}

async fn waits(bed: &Bed, version: &str) -> Result<Seen> {
    let what = format!("{version} waits for somebody");
    let seen = until(&what, LIMIT, async || {
        let tables = bed.tables().await?;
        let seen = whole(&tables)?;
        ensure!(seen.beside == Some((version.to_owned(), "Paused".to_owned())), "{seen:?}");
        let running = tables.log("production").iter().filter(|row| row.text("status") == "running").count();
        ensure!(running == 0, "{running} running");
        Ok(seen)
    });
    seen.await.with_context(|| bed.operator.process.last_lines())
}

async fn command(bed: &Bed, command: &str) -> Result<()> {
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { ROLLOUT: command } } }));
    bed.namespace.api::<Environment>().patch("production", &PatchParams::default(), &patch).await?;
    Ok(())
}

/// The rollout under way ends so, once.
async fn ended(bed: &Bed, version: &str, state: &str, request: &str, before: &Seen) -> Result<()> {
    until(&format!("{version} is {state}"), LIMIT, async || {
        let tables = bed.tables().await?;
        let seen = whole(&tables)?;
        ensure!(seen.beside.is_none(), "{seen:?}");
        ensure!(seen.ended == Some((version.to_owned(), state.to_owned())), "{seen:?}");
        ensure!(seen.ends == before.ends + 1, "{seen:?} after {before:?}");
        let running = tables.log("production").iter().filter(|row| row.text("status") == "running").count();
        ensure!(running == 0, "{running} running");
        // Who asked is answered, whoever did it.
        let environment = tables.rows("environments").next().context("an environment")?;
        ensure!(environment.columns["rollout_command"]["request"] == request, "{environment:?}");
        Ok(())
    })
    .await
    .with_context(|| bed.operator.process.last_lines())
}

/// Each beginning supersedes the rollout before it.
#[tokio::test]
async fn a_beginning_under_kill_is_whole_or_not_there() -> Result<()> {
    let mut killing = Killing::of(KILLS)?;
    let (mut bed, catalog) = bed("killbegin").await?;
    for number in killing.rounds() {
        let version = format!("1.{number}.0");
        let before = whole(&bed.tables().await?)?;
        raise(&catalog, &version)?;
        bed.request("production").await?;
        killing.kill(&bed).await?;
        let seen = whole(&bed.tables().await?).with_context(|| format!("after kill {number}"))?;
        let begun = seen.beside.as_ref().is_some_and(|(to, _)| *to == version);
        ensure!(begun || seen == before, "after kill {number}: {seen:?}, before: {before:?}");
        ensure!(seen.stable == "1.0.0", "{seen:?}");
        killing.left(begun);
        bed.operator = Operator::started(&bed.namespace, "sower-0").await?;
        let seen = waits(&bed, &version).await.with_context(|| format!("after kill {number}"))?;
        ensure!(seen.seedings == usize::try_from(number)? + 1, "{seen:?} after {number}");
    }
    killing.end()
}

/// Kills what is asked of a rollout that waits.
async fn told(name: &str, word: &str, state: &str) -> Result<()> {
    let mut killing = Killing::of(KILLS)?;
    let (mut bed, catalog) = bed(name).await?;
    for number in killing.rounds() {
        let version = format!("1.{number}.0");
        raise(&catalog, &version)?;
        bed.request("production").await?;
        let before = waits(&bed, &version).await?;
        let request = format!("{ID}={word} for the {number}. time");
        command(&bed, &request).await?;
        killing.kill(&bed).await?;
        let seen = whole(&bed.tables().await?).with_context(|| format!("after kill {number}"))?;
        let done = seen.beside.is_none();
        ensure!(done || seen == before, "after kill {number}: {seen:?}, before: {before:?}");
        killing.left(done);
        bed.operator = Operator::started(&bed.namespace, "sower-0").await?;
        ended(&bed, &version, state, &request, &before)
            .await
            .with_context(|| format!("after kill {number}"))?;
    }
    killing.end()
}

#[tokio::test]
async fn a_completion_under_kill_is_whole_or_not_there() -> Result<()> {
    told("killcomplete", "advance", "Completed").await
}

#[tokio::test]
async fn an_end_back_under_kill_is_whole_or_not_there() -> Result<()> {
    told("killabort", "abort", "Aborted").await
}
