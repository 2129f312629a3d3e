//! A push writes the rows that it changes, and a revert brings the old ones back.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use serde_json::Value;
use sower_tests::bed::Bed;
use sower_tests::catalog::path;
use sower_tests::tables::{Changed, Tables};

/// The catalog's rows without what says when and by which seeding they were written.
fn content(tables: &Tables) -> BTreeMap<(String, String), Value> {
    let mut rows = BTreeMap::new();
    for table in [
        "integration_definitions",
        "action_registry",
        "trigger_registry",
        "connection_registry",
        "event_registry",
    ] {
        for (key, row) in &tables.0[table] {
            let mut columns = row.columns.clone();
            for column in ["created_at", "updated_at", "seeding", "revision"] {
                columns[column] = Value::Null;
            }
            rows.insert((table.to_owned(), key.clone()), columns);
        }
    }
    rows
}

fn set(keys: &[&str]) -> BTreeSet<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

#[tokio::test]
async fn e2e_02_a_changed_action_changes_its_rows_alone_and_a_revert_brings_them_back() -> Result<()> {
    let bed = Bed::make("change").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "elm", "oak"])?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &first).await?;
    let before = bed.tables().await?;

    catalog.tree.replace(&path("oak"), "version: 1.0.0", "version: 1.1.0")?;
    catalog.tree.replace(&path("oak"), "Grows branch 2 of the oak.", "Grows another branch.")?;
    let second = catalog.push("Say it better")?;
    let seeded = bed.seeded("production", &second).await?;
    let after = bed.tables().await?;

    let mut changes = after.since(&before);
    let updated = |keys: &[&str]| Changed { updated: set(keys), ..Changed::default() };
    for (table, keys) in [
        ("integration_definitions", vec!["production oak"]),
        ("action_registry", vec!["production oak/branch-2"]),
        ("environments", vec!["production"]),
    ] {
        ensure!(
            changes.remove(table) == Some(updated(&keys)),
            "{table}: {:?}",
            after.since(&before).get(table)
        );
    }
    for table in ["seeding_logs", "integration_versions", "seeding_changes"] {
        let change = changes.remove(table).unwrap_or_default();
        ensure!(
            change.inserted.len() == 1 && change.updated.is_empty() && change.deleted.is_empty(),
            "{table}: {change:?}"
        );
    }
    let memory = changes.remove("integration_manifests").unwrap_or_default();
    ensure!(
        memory.updated.len() == 1 && memory.inserted.is_empty() && memory.deleted.is_empty(),
        "{memory:?}"
    );
    ensure!(changes.is_empty(), "more tables changed: {changes:?}");

    let (old, new) = (
        &before.0["action_registry"]["production oak/branch-2"],
        &after.0["action_registry"]["production oak/branch-2"],
    );
    ensure!(
        old.text("created_at") == new.text("created_at") && old.text("updated_at") < new.text("updated_at"),
        "{new:?}"
    );
    ensure!(new.columns["definition"]["description"] == "Grows another branch.", "{new:?}");
    let log = after.log("production");
    let last = log.last().map(|row| &row.columns).expect("a log row");
    ensure!(last["metadata"]["updated"] == 1 && last["metadata"]["created"] == 0, "{last}");
    ensure!(last["reason"] == "push: \"Say it better\" (Ada Sower)", "{last}");
    let status = seeded.status.unwrap_or_default();
    ensure!(status.revision.as_deref() == Some(&format!("main@{}", &second[..7])), "{:?}", status.revision);

    let third = catalog.tree.revert(&second)?;
    catalog.tree.push()?;
    bed.seeded("production", &third).await?;
    let reverted = bed.tables().await?;
    ensure!(content(&reverted) == content(&before), "{:?}", reverted.since(&before));
    ensure!(reverted.log("production").len() == 3, "{:?}", reverted.log("production"));
    ensure!(
        reverted.rows("seeding_conflicts").all(|row| !row.columns["resolved_at"].is_null()),
        "a revert is no conflict"
    );
    Ok(())
}

/// A force-push that goes back is taken as it is: an older content that the environment has carried is no conflict.
#[tokio::test]
async fn e2e_02_a_force_push_is_followed() -> Result<()> {
    let bed = Bed::make("force").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &first).await?;
    catalog.write("oak", "2.0.0")?;
    let second = catalog.push("Raise")?;
    bed.seeded("production", &second).await?;
    catalog.tree.git(&["reset", "--quiet", "--hard", &first])?;
    catalog.write("ash", "1.5.0")?;
    let third = catalog.tree.commit("Elsewhere")?;
    catalog.tree.force_push()?;
    bed.seeded("production", &third).await?;
    let carried = bed.tables().await?.carried("production");
    let wanted =
        [("ash", "1.5.0"), ("oak", "1.0.0")].map(|(id, version)| (id.to_owned(), version.to_owned()));
    ensure!(carried == wanted.into(), "{carried:?}");
    Ok(())
}
