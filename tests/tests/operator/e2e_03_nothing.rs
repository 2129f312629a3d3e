//! The same revision again writes nothing, however often it is asked for.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use kube::api::{WatchEvent, WatchParams};
use serde_json::Value;
use sower_crds::environment::Environment;
use sower_tests::bed::Bed;
use sower_tests::tables::{Counters, counters};

/// Everything of the resource but what a forced reconcile may change.
fn fixed(environment: &Environment) -> Result<Value> {
    let mut value = serde_json::to_value(environment)?;
    value["metadata"]["resourceVersion"] = Value::Null;
    value["metadata"]["managedFields"] = Value::Null;
    value["metadata"]["annotations"]["sower.dev/requestedAt"] = Value::Null;
    value["status"]["lastHandledReconcileAt"] = Value::Null;
    Ok(value)
}

#[tokio::test]
async fn e2e_03_same_revision_writes_nothing() -> Result<()> {
    let mut bed = Bed::make("nothing").await?;
    let catalog = bed.catalog()?;
    // What is excluded or refused is told each time in the same words.
    catalog.tree.write(
        "integrations/fir/integration.yaml",
        sower_tests::catalog::manifest("fir", "1.0.0", 1) + "lifecycle: draft\n",
    )?;
    let commit = catalog.plant(&["ash", "elm", "oak"])?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &commit).await?;
    catalog.tree.replace(&sower_tests::catalog::path("oak"), "version: 1.0.0", "version: v2.1")?;
    let broken = catalog.push("Break")?;
    let refused = bed.reason("production", "ManifestsInvalid", &broken).await?;
    // PostgreSQL counts what a process did when it has closed its connections.
    bed.restart().await?;
    let first = bed.reconcile("production").await?;
    ensure!(fixed(&first)? == fixed(&refused)?, "{:?} instead of {:?}", first.status, refused.status);
    bed.operator.process.stop()?;
    let (rows, counted) = (bed.tables().await?, counters(&bed.pool).await?);

    bed.operator = sower_tests::operator::Operator::replica(&bed.namespace, "sower-0").await?;
    let before = bed.reconcile("production").await?;
    ensure!(fixed(&first)? == fixed(&before)?, "a restart changed the status");
    let asked = bed.tables().await?;
    let version = before.metadata.resource_version.clone().context("a resourceVersion")?;
    for _ in 0..10 {
        let after = bed.reconcile("production").await?;
        ensure!(fixed(&after)? == fixed(&before)?, "{}", serde_json::to_string(&after.status)?);
    }
    let after = bed.read("production").await?;
    ensure!(bed.tables().await? == asked, "rows: {:?}", bed.tables().await?.since(&asked));
    writes_of_the_resource(&bed, &version, &after).await?;

    bed.operator.process.stop()?;
    let end = bed.tables().await?;
    let changed = end.since(&rows);
    ensure!(changed.keys().all(|table| table == "environments"), "{changed:?}");
    let ended = counters(&bed.pool).await?;
    for (table, now) in &ended {
        let before = counted.get(table).copied().unwrap_or_default();
        // Gaining the Lease raises the epoch, once.
        let epoch = i64::from(table == "environments" && changed.contains_key("environments"));
        let wanted = Counters { updated: before.updated + epoch, ..before };
        ensure!(*now == wanted, "{table}: {now:?} instead of {wanted:?}");
    }
    Ok(())
}

/// From `version` on, each of ten requests was one write of an annotation and one of lastHandledReconcileAt.
async fn writes_of_the_resource(bed: &Bed, version: &str, last: &Environment) -> Result<()> {
    let api = bed.namespace.api::<Environment>();
    let last_version = last.metadata.resource_version.clone().context("a resourceVersion")?;
    let mut watch = Box::pin(api.watch(&WatchParams::default().timeout(20), version).await?);
    let mut writes = BTreeMap::new();
    while let Some(event) = watch.try_next().await? {
        let WatchEvent::Modified(seen) = event else { anyhow::bail!("{event:?}") };
        let annotation =
            seen.metadata.annotations.as_ref().and_then(|all| all.get("sower.dev/requestedAt").cloned());
        let handled = seen.status.as_ref().and_then(|status| status.last_handled_reconcile_at.clone());
        *writes.entry(annotation == handled).or_insert(0) += 1;
        if seen.metadata.resource_version.as_ref() == Some(&last_version) {
            break;
        }
    }
    ensure!(
        writes == [(false, 10), (true, 10)].into(),
        "writes by whether they handled a request: {writes:?}"
    );
    Ok(())
}

/// A commit that changes no manifest moves the revision, and nothing else: no number, no log row.
#[tokio::test]
async fn e2e_03_a_commit_without_a_difference_moves_the_revision_alone() -> Result<()> {
    let bed = Bed::make("settle").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &first).await?;
    let before = bed.tables().await?;
    catalog.tree.write("README.md", "A catalog.\n")?;
    let second = catalog.push("Say what it is")?;
    bed.seeded("production", &second).await?;
    let changes = bed.tables().await?.since(&before);
    ensure!(changes.keys().collect::<Vec<_>>() == ["environments"], "{changes:?}");
    Ok(())
}
