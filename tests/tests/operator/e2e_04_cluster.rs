//! Integration resources of the cluster, selected by their labels.

use anyhow::{Context, Result, ensure};
use kube::api::DeleteParams;
use serde_json::json;
use sower_crds::integration::Integration;
use sower_tests::bed::Bed;

fn resource(name: &str, label: &str, version: &str, action: &str) -> String {
    format!(
        "apiVersion: sower.dev/v1alpha1
kind: Integration
metadata: {{ name: {name}, labels: {{ tier: {label} }} }}
spec:
  name: {name}
  version: {version}
  author: Ada Sower
  license: Apache-2.0
  description: Applied to the cluster.
  category: [trees]
  baseUrl: https://{name}.example
  actions:
  - {{ id: grow, name: {action}, inputSchema: {{ type: object }}, outputSchema: {{ type: object }}, request: {{ method: POST, path: /grow }} }}
"
    )
}

fn spec() -> serde_json::Value {
    json!({ "interval": "10m", "sources": [{ "name": "cluster", "cluster": { "selector": { "matchLabels": { "tier": "gold" } } } }] })
}

#[tokio::test]
async fn e2e_04_a_cluster_source_follows_apply_edit_and_delete() -> Result<()> {
    let bed = Bed::make("cluster").await?;
    bed.environment("production", spec()).await?;
    bed.namespace.apply(&resource("acme", "gold", "1.4.0", "Grow"))?;
    bed.namespace.apply(&resource("brass", "tin", "1.0.0", "Grow"))?;
    let carried = async |wanted: &[(&str, &str)]| {
        let wanted = wanted.iter().map(|(id, version)| ((*id).to_owned(), (*version).to_owned())).collect();
        bed.until("the rows", async || {
            let carried = bed.tables().await?.carried("production");
            ensure!(carried == wanted, "{carried:?} instead of {wanted:?}");
            Ok(())
        })
        .await
    };
    carried(&[("acme", "1.4.0")]).await?;
    reported(&bed, "acme", "True", "Carried by production", "1.4.0", 1).await?;

    bed.namespace.apply(&resource("acme", "gold", "1.5.0", "Grow taller"))?;
    carried(&[("acme", "1.5.0")]).await?;
    reported(&bed, "acme", "True", "Carried by production", "1.5.0", 1).await?;
    let tables = bed.tables().await?;
    let action = tables.rows("action_registry").next().context("an action")?;
    ensure!(action.text("name") == "Grow taller", "{action:?}");
    ensure!(tables.log("production").len() == 2, "{:?}", tables.log("production"));

    bed.namespace.api::<Integration>().delete("acme", &DeleteParams::default()).await?;
    carried(&[]).await?;
    let tables = bed.tables().await?;
    ensure!(tables.rows("action_registry").next().is_none(), "actions are left: {tables}");
    let emptied = bed.until("Ready again, with nothing", async || {
        let read = bed.read("production").await?;
        let ready = sower_tests::bed::condition(&read, "Ready").map(|c| c.reason.clone());
        ensure!(ready.as_deref() == Some("Seeded"), "{}", sower_tests::bed::told(&read));
        let status = read.status.unwrap_or_default();
        ensure!(status.counts.as_ref().is_some_and(|counts| counts.integrations == 0), "{:?}", status.counts);
        Ok(status)
    });
    let status = emptied.await?;
    ensure!(status.revision.is_some_and(|revision| revision.starts_with("cluster@")));
    Ok(())
}

/// An Integration's own status: Ready, its message, the version and the number of environments.
async fn reported(
    bed: &Bed,
    name: &str,
    ready: &str,
    message: &str,
    version: &str,
    environments: usize,
) -> Result<()> {
    bed.until(&format!("the status of {name}"), async || {
        let columns = "custom-columns=R:.status.conditions[?(@.type==\"Ready\")].status,M:.status.conditions[?(@.type==\"Ready\")].message";
        let shown = bed.namespace.kubectl(&["get", "intg", name, "--no-headers", "-o", columns])?;
        let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(shown == format!("{ready} {message}"), "{shown}");
        let table = bed.namespace.kubectl(&["get", "intg", name, "--no-headers"])?;
        let cells: Vec<_> = table.split_whitespace().collect();
        ensure!(cells[..4] == [name, ready, version, &environments.to_string()], "{table}");
        Ok(())
    })
    .await
}

/// Changing the labels takes an Integration out of the source as deleting it would.
#[tokio::test]
async fn e2e_04_an_integration_that_loses_its_label_is_pruned() -> Result<()> {
    let bed = Bed::make("label").await?;
    for id in ["ash", "oak"] {
        bed.namespace.apply(&resource(id, "gold", "1.0.0", "Grow"))?;
    }
    bed.environment("production", spec()).await?;
    let carried = async |wanted: &[&str]| {
        bed.until("the rows", async || {
            let carried: Vec<_> = bed.tables().await?.carried("production").into_keys().collect();
            ensure!(carried == wanted, "{carried:?} instead of {wanted:?}");
            Ok(())
        })
        .await
    };
    carried(&["ash", "oak"]).await?;
    bed.namespace.kubectl(&["label", "--overwrite", "intg/oak", "tier=tin"])?;
    carried(&["ash"]).await
}

/// Deleting all of them is one plan, however long it takes: `pruneLimit` holds it, and nothing went in slices before.
#[tokio::test]
async fn e2e_04_a_bulk_deletion_is_held_as_a_whole() -> Result<()> {
    let bed = Bed::make("bulk").await?;
    let ids = ["ash", "box", "elm", "fir", "oak", "yew"];
    for id in ids {
        bed.namespace.apply(&resource(id, "gold", "1.0.0", "Grow"))?;
    }
    bed.environment("production", spec()).await?;
    let all = bed.until("the rows", async || {
        let tables = bed.tables().await?;
        ensure!(tables.carried("production").len() == ids.len(), "{tables}");
        Ok(tables.carried("production"))
    });
    let all = all.await?;
    // One after the other on a timetable that no answer delays: longer than a burst is gathered for, shorter than quiet.
    let begun = tokio::time::Instant::now();
    let deletions = ids.iter().zip(0..).map(|(id, turn)| {
        let api = bed.namespace.api::<Integration>();
        async move {
            tokio::time::sleep_until(begun + std::time::Duration::from_millis(700) * turn).await;
            api.delete(id, &DeleteParams::default()).await
        }
    });
    futures::future::try_join_all(deletions).await?;
    bed.until("held", async || {
        let read = bed.read("production").await?;
        let ready = sower_tests::bed::condition(&read, "Ready").context("Ready")?;
        ensure!(ready.reason == "PruneLimitExceeded", "{}", sower_tests::bed::told(&read));
        let plan = read.status.and_then(|status| status.plan).context("a plan")?;
        ensure!(plan.delete == i32::try_from(ids.len())?, "{plan:?}");
        Ok(())
    })
    .await?;
    let carried = bed.tables().await?.carried("production");
    ensure!(carried == all, "{carried:?}");
    Ok(())
}
