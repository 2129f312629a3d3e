//! Two operators, of which one writes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sower_tests::bed::Bed;
use sower_tests::catalog::Catalog;
use sower_tests::git_server::GitServer;
use sower_tests::operator::Operator;
use sower_tests::process::Signal;
use sower_tests::wait::until;

const IDS: [&str; 3] = ["ash", "elm", "oak"];
/// Short, and longer than a busy machine stalls.
const LEASE: [&str; 1] = ["leaderElection.leaseDuration=10"];

async fn holder(bed: &Bed) -> Result<String> {
    let lease = bed.namespace.api::<Lease>().get("sower").await?;
    let holder = lease.spec.and_then(|spec| spec.holder_identity).filter(|holder| !holder.is_empty());
    holder.context("nobody holds the Lease")
}

/// A new version of every integration, which a seeding takes whole or not at all.
/// The one version that all of an environment is at.
async fn version(bed: &Bed) -> Result<String> {
    let carried = bed.tables().await?.carried("production");
    let first = carried.values().next().cloned().unwrap_or_default();
    ensure!(
        carried.len() == IDS.len() && carried.values().all(|version| *version == first),
        "half a state: {carried:?}"
    );
    Ok(first)
}

/// Two replicas, the first of which leads; and an environment at version 1.0.0.
async fn pair(name: &str) -> Result<(Bed, Operator, Catalog)> {
    let bed = Bed::with(name, &LEASE).await?;
    let catalog = bed.catalog()?;
    let commit = catalog.plant(&IDS)?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &commit).await?;
    let second = Operator::replica(&bed.namespace, "sower-1").await?;
    let leader = holder(&bed).await?;
    ensure!(leader.contains("sower-0"), "{leader} leads");
    Ok((bed, second, catalog))
}

#[tokio::test]
async fn e2e_09_of_two_operators_one_writes_and_the_other_takes_over() -> Result<()> {
    let (mut bed, second, catalog) = pair("pair").await?;
    for minor in 1..=5 {
        let commit = catalog.raise(&IDS, &format!("1.{minor}.0"))?;
        bed.request("production").await?;
        bed.seeded("production", &commit).await?;
    }
    let tables = bed.tables().await?;
    let holders: std::collections::BTreeSet<_> =
        tables.log("production").iter().map(|row| row.text("holder").to_owned()).collect();
    ensure!(holders.len() == 1 && tables.log("production").len() == 6, "{:?}", tables.log("production"));
    ensure!(holders.iter().all(|holder| holder.contains("sower-0")), "{holders:?}");

    // Ended well, the Lease is given back; killed, it runs out.
    bed.operator.process.kill()?;
    let first = std::mem::replace(&mut bed.operator, second);
    drop(first);
    let commit = catalog.raise(&IDS, "2.0.0")?;
    bed.seeded("production", &commit).await?;
    ensure!(holder(&bed).await?.contains("sower-1"));
    let tables = bed.tables().await?;
    let last = tables.log("production").last().map(|row| row.text("holder").to_owned());
    ensure!(
        last.as_ref().is_some_and(|last| !holders.contains(last)),
        "{last:?} wrote, as before: {holders:?}"
    );
    let epoch = tables.rows("environments").next().and_then(|row| row.columns["epoch"].as_i64());
    ensure!(epoch.is_some_and(|epoch| epoch >= 2), "{epoch:?}");
    Ok(())
}

/// The leader is in the middle of its transaction when somebody else gets the Lease.
#[tokio::test]
async fn e2e_09_a_lease_taken_away_in_the_middle_of_a_seeding_rolls_it_back() -> Result<()> {
    let (bed, second, catalog) = pair("taken").await?;
    let before = bed.tables().await?;
    // Nobody may write definitions until this ends: the seeding stands still inside its transaction.
    let mut gate = bed.pool.begin().await?;
    sqlx::query("LOCK TABLE integration_definitions IN SHARE MODE").execute(&mut *gate).await?;
    let commit = catalog.raise(&IDS, "2.0.0")?;
    bed.request("production").await?;
    let blocked =
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'integration_definitions'::regclass";
    bed.until("the seeding waits for the lock", async || {
        let waiting: i64 = sqlx::query_scalar(blocked).fetch_one(&bed.pool).await?;
        ensure!(waiting == 1, "{waiting} wait");
        Ok(())
    })
    .await?;

    let now = MicroTime(Timestamp::now());
    let stolen = json!({ "spec": { "holderIdentity": "thief", "leaseDurationSeconds": 4, "renewTime": now, "acquireTime": now } });
    bed.namespace.api::<Lease>().patch("sower", &PatchParams::default(), &Patch::Merge(stolen)).await?;
    bed.until("the leader lets go", async || {
        let waiting: i64 = sqlx::query_scalar(blocked).fetch_one(&bed.pool).await?;
        ensure!(waiting == 0, "{waiting} wait still");
        Ok(())
    })
    .await?;
    let during = bed.tables().await?;
    ensure!(during.carried("production") == before.carried("production"), "{:?}", during.since(&before));
    gate.commit().await?;

    // The stolen Lease runs out, one of the two gets it, and what was begun is made whole.
    bed.seeded("production", &commit).await?;
    ensure!(version(&bed).await? == "2.0.0");
    let tables = bed.tables().await?;
    let ended: Vec<_> = tables.log("production").iter().map(|row| row.text("status").to_owned()).collect();
    // Who leads next may be cut short, too, while the thief's Lease runs out.
    let (cut, last) = (&ended[1..ended.len() - 1], ended.last());
    ensure!(ended[0] == "completed" && last.is_some_and(|last| last == "completed"), "{ended:?}");
    ensure!(!cut.is_empty() && cut.iter().all(|status| status == "failed"), "{ended:?}");
    drop(second);
    Ok(())
}

/// A leader that was frozen while it fetched wakes up after another has taken over: it may not write any more.
#[tokio::test]
async fn e2e_09_a_leader_that_wakes_up_late_writes_nothing() -> Result<()> {
    let bed = Bed::with("late", &LEASE).await?;
    let server = GitServer::start().await?;
    let catalog = Catalog::create(&server, "late")?;
    let commit = catalog.plant(&IDS)?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &commit).await?;
    let second = Operator::replica(&bed.namespace, "sower-1").await?;

    catalog.raise(&IDS, "2.0.0")?;
    server.process().signal(Signal::STOP)?;
    bed.request("production").await?;
    let pid = bed.operator.process.pid();
    bed.until("a fetch hangs", async || {
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let threads = std::fs::read_dir(format!("/proc/{pid}/task"))?;
        let any = threads.filter_map(Result::ok).any(|thread| {
            std::fs::read_to_string(thread.path().join("children"))
                .is_ok_and(|children| !children.trim().is_empty())
        });
        ensure!(any || !children.is_empty(), "no child");
        Ok(())
    })
    .await?;
    bed.operator.process.signal(Signal::STOP)?;
    server.process().signal(Signal::CONT)?;
    until("the other leads and has seeded", Duration::from_secs(45), async || {
        ensure!(version(&bed).await? == "2.0.0");
        Ok(())
    })
    .await
    .with_context(|| second.process.last_lines())?;
    let before = bed.tables().await?;
    bed.operator.process.signal(Signal::CONT)?;
    // It has looked at the Lease, and dropped what it was about, when it says that it leads no longer, or has ended.
    until("the late one is back", Duration::from_secs(30), async || {
        let process = &bed.operator.process;
        ensure!(process.exited().is_some() || process.log().contains("leads no longer"));
        Ok(())
    })
    .await?;
    sower_tests::wait::throughout("nothing more is written", Duration::from_secs(3), async || {
        let now = bed.tables().await?;
        ensure!(now == before, "{:?}", now.since(&before));
        Ok(())
    })
    .await?;
    let log = before
        .log("production")
        .iter()
        .map(|row| (row.text("status").to_owned(), row.text("holder").to_owned()))
        .collect::<Vec<_>>();
    let completed: Vec<_> =
        log.iter().filter(|(status, _)| status == "completed").map(|(_, holder)| holder).collect();
    ensure!(completed.len() == 2 && completed[0] != completed[1], "{log:?}");
    Ok(())
}
