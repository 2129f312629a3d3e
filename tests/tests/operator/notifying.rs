//! Whoever pushed learns from the status of the commit what became of it.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sower_tests::bed::Bed;
use sower_tests::catalog::{path, with};
use sower_tests::forge::Forge;

const SECRET: &str = "forge";

#[tokio::test]
async fn a_commit_gets_a_status_once() -> Result<()> {
    let mut bed = Bed::make("notifying").await?;
    let forge = Forge::start("f0rge-t0ken").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    bed.namespace.secret(SECRET, &[("token", forge.token())]).await?;
    let notifications = json!({ "notifications": [
        { "name": "forge", "provider": "gitea", "url": forge.api(), "secretRef": { "name": SECRET } },
    ] });
    bed.environment("production", with(catalog.spec(), notifications)).await?;
    bed.seeded("production", &first).await?;
    let told = bed
        .until("the commit is told", async || {
            let told = forge.told();
            ensure!(told.len() == 1, "{told:?}");
            Ok(told[0].clone())
        })
        .await?;
    ensure!(told.path.ends_with(&format!("/statuses/{first}")), "{told:?}");
    let short = format!("main@{}", &first[..7]);
    let expect = json!({
        "state": "success", "context": "sower/production", "description": format!("Seeded {short}"),
    });
    ensure!(told.body == expect, "{told:?}");

    // Neither a reconcile nor a restart tells it again.
    bed.reconcile("production").await?;
    bed.restart().await?;
    let read = bed.reconcile("production").await?;
    let entries = read.status.context("a status")?.notifications;
    ensure!(entries.len() == 1 && entries[0].commit == first && entries[0].error.is_none(), "{entries:?}");
    ensure!(forge.told().len() == 1, "{:?}", forge.told());

    // A broken one fails, and says where.
    catalog.tree.replace(&path("oak"), "version: 1.0.0", "version: v2.1")?;
    let broken = catalog.push("Break")?;
    bed.reason("production", "ManifestsInvalid", &broken).await?;
    bed.until("the failure is told", async || {
        let told = forge.told();
        let last = told.last().context("none")?;
        ensure!(last.path.ends_with(&broken) && last.body["state"] == "failure", "{last:?}");
        let description = last.body["description"].as_str().unwrap_or_default();
        ensure!(description.contains(&format!("{}:3:10 bad-version", path("oak"))), "{last:?}");
        Ok(())
    })
    .await?;
    ensure!(forge.told().len() == 2, "{:?}", forge.told());
    ensure!(bed.leaks(&[forge.token()]).await?.is_empty(), "the token is shown");
    Ok(())
}

/// A server that refuses holds up nothing, and is asked again.
#[tokio::test]
async fn what_could_not_be_told_is_told_later() -> Result<()> {
    let bed = Bed::make("unheard").await?;
    let forge = Forge::start("f0rge-t0ken").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash"])?;
    bed.namespace.secret(SECRET, &[("token", "another")]).await?;
    let notifications = json!({ "notifications": [
        { "name": "forge", "provider": "gitea", "url": forge.api(), "secretRef": { "name": SECRET } },
    ] });
    bed.environment("production", with(catalog.spec(), notifications)).await?;
    bed.seeded("production", &first).await?;
    let expect = format!("forge: 127.0.0.1 rejected the token of the secret {SECRET}");
    bed.told("production", "NotificationFailed", &expect).await?;
    ensure!(forge.told().is_empty());
    bed.namespace.secret(SECRET, &[("token", forge.token())]).await?;
    bed.until("it is told", async || {
        bed.reconcile("production").await?;
        let told = forge.told();
        ensure!(told.len() == 1 && told[0].path.ends_with(&first), "{told:?}");
        Ok(())
    })
    .await
}
