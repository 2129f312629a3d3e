//! How the operator behaves towards the cluster: what it notices, what it lets go, what it forgets.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sower_crds::environment::Environment;
use sower_tests::bed::{Bed, condition, told};
use sower_tests::catalog::with;
use sower_tests::git_server::{PASSWORD, USER};

/// A Secret with the label is watched: a new credential is used at once, not at the next interval.
#[tokio::test]
async fn a_watched_secret_is_noticed() -> Result<()> {
    let bed = Bed::with("watched", &["watchSecrets=true"]).await?;
    let catalog = bed.catalog()?;
    let commit = catalog.plant(&["ash"])?;
    let secrets = bed.namespace.api::<Secret>();
    let patch = |password: &str| {
        json!({ "metadata": { "labels": { "sower.dev/watch": "" } },
                "stringData": { "username": USER, "password": password } })
    };
    let put = async |password: &str| {
        secrets.patch("catalog-git", &PatchParams::default(), &Patch::Merge(patch(password))).await
    };
    put("wrong").await?;
    let slow = json!({ "interval": "1h", "retryInterval": "1h" });
    bed.environment("production", with(catalog.spec(), slow)).await?;
    let stalled = bed
        .until("the credentials are rejected", async || {
            let read = bed.read("production").await?;
            let ready = condition(&read, "Ready").with_context(|| told(&read))?;
            ensure!(ready.reason == "AuthenticationFailed", "{}", told(&read));
            Ok(read)
        })
        .await?;
    let ready = condition(&stalled, "Ready").context("Ready")?;
    ensure!(ready.message == "Credentials rejected by 127.0.0.1 (secret catalog-git)", "{}", ready.message);
    let next = stalled.status.as_ref().and_then(|status| status.next.clone()).unwrap_or_default();
    ensure!(next.contains("create secret generic catalog-git"), "{next}");
    put(PASSWORD).await?;
    bed.seeded("production", &commit).await.map(drop)
}

/// Nobody watches Secrets, and who makes the missing one does not wait for the interval.
#[tokio::test]
async fn a_missing_database_secret_is_noticed_when_it_comes() -> Result<()> {
    let bed = Bed::make("awaited").await?;
    let catalog = bed.catalog()?;
    let commit = catalog.plant(&["ash"])?;
    let fields = json!({
        "interval": "1h", "retryInterval": "1s", "database": { "secretRef": { "name": "own-database" } },
    });
    bed.environment("preview", with(catalog.spec(), fields)).await?;
    bed.until("the Secret is missed", async || {
        let read = bed.read("preview").await?;
        let ready = condition(&read, "Ready").with_context(|| told(&read))?;
        let stalled = condition(&read, "Stalled").with_context(|| told(&read))?;
        ensure!(ready.reason == "InvalidSpec" && ready.message.contains("own-database"), "{}", told(&read));
        ensure!(stalled.message == "Waits for the Secret, or for a change of the spec", "{stalled:?}");
        Ok(())
    })
    .await?;
    bed.namespace.secret("own-database", &[("url", &bed.database.url())]).await?;
    bed.seeded("preview", &commit).await.map(drop)
}

/// Without the database's Secret no row can be deleted: the finalizer is released, and an Event says that rows stay.
#[tokio::test]
async fn a_missing_secret_releases_the_finalizer_with_an_event() -> Result<()> {
    let bed = Bed::make("released").await?;
    let catalog = bed.catalog()?;
    let commit = catalog.plant(&["ash"])?;
    bed.namespace.secret("own-database", &[("url", &bed.database.url())]).await?;
    let fields =
        json!({ "deletionPolicy": "Delete", "database": { "secretRef": { "name": "own-database" } } });
    bed.environment("preview", with(catalog.spec(), fields)).await?;
    let seeded = bed.seeded("preview", &commit).await?;
    ensure!(
        seeded.metadata.finalizers == Some(vec!["sower.dev/rows".into()]),
        "{:?}",
        seeded.metadata.finalizers
    );
    let series = "sower_reconciles_total{namespace=\"";
    ensure!(bed.operator.get("/metrics").await?.1.contains(series));
    bed.namespace.api::<Secret>().delete("own-database", &Default::default()).await?;
    bed.namespace.kubectl(&["delete", "env", "preview", "--timeout=30s"])?;
    ensure!(!bed.tables().await?.carried("preview").is_empty());
    let events = bed.events("Environment", "preview").await?;
    let told =
        events.iter().find(|(reason, _)| reason == "RowsRetained").with_context(|| format!("{events:?}"))?;
    ensure!(told.1.contains("own-database"), "{told:?}");
    bed.until("its series are gone", async || {
        let (_, metrics) = bed.operator.get("/metrics").await?;
        ensure!(!metrics.contains("environment=\"preview\""), "{metrics}");
        Ok(())
    })
    .await
}

/// The finalizer comes and goes with the policy.
#[tokio::test]
async fn a_finalizer_follows_the_policy() -> Result<()> {
    let bed = Bed::make("policy").await?;
    let catalog = bed.catalog()?;
    let commit = catalog.plant(&["ash"])?;
    for (policy, finalizers) in [("Retain", 0), ("Delete", 1), ("Retain", 0)] {
        bed.environment("preview", with(catalog.spec(), json!({ "deletionPolicy": policy }))).await?;
        let read: Environment = bed.seeded("preview", &commit).await?;
        bed.until(policy, async || {
            let read = bed.read("preview").await?;
            let found = read.metadata.finalizers.unwrap_or_default();
            ensure!(found.len() == finalizers, "{found:?}");
            Ok(())
        })
        .await?;
        drop(read);
    }
    bed.namespace.kubectl(&["delete", "env", "preview", "--timeout=30s"])?;
    ensure!(!bed.tables().await?.carried("preview").is_empty(), "the rows went although they were to stay");
    Ok(())
}

/// Told to end, it ends soon, and gives the Lease back.
#[tokio::test]
async fn it_ends_soon_and_gives_the_lease_back() -> Result<()> {
    let bed = Bed::make("ending").await?;
    let catalog = bed.catalog()?;
    let commit = catalog.plant(&["ash"])?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &commit).await?;
    let started = Instant::now();
    let status = bed.operator.process.stop()?;
    ensure!(
        status.success() && started.elapsed() < Duration::from_secs(30),
        "{status} after {:?}",
        started.elapsed()
    );
    let lease = bed.namespace.api::<k8s_openapi::api::coordination::v1::Lease>().get("sower").await?;
    let holder = lease.spec.and_then(|spec| spec.holder_identity);
    ensure!(holder.is_none(), "{holder:?} still holds the Lease");
    Ok(())
}

/// A Lease that somebody deleted is made again, and leading begins anew.
#[tokio::test]
async fn a_deleted_lease_is_made_again() -> Result<()> {
    let bed = Bed::make("lease").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash"])?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &first).await?;
    bed.namespace.kubectl(&["delete", "lease", "sower"])?;
    bed.until("it leads again", async || {
        let tables = bed.tables().await?;
        let epoch = tables.rows("environments").next().and_then(|row| row.columns["epoch"].as_i64());
        ensure!(epoch.is_some_and(|epoch| epoch >= 2), "{epoch:?}");
        Ok(())
    })
    .await?;
    catalog.write("ash", "1.1.0")?;
    let second = catalog.push("Raise")?;
    bed.seeded("production", &second).await.map(drop)
}

/// Two namespaces with Roles of their own, one operator: an Environment of two sources in one, and in the other one
/// without sources, which takes the Integrations beside it.
#[tokio::test]
async fn two_namespaces_are_watched_and_two_sources_read() -> Result<()> {
    let mut bed = Bed::make("first").await?;
    let other = bed.plane.namespace("second").await?;
    let both = format!("watchNamespaces={{{},{}}}", bed.namespace.name, other.name);
    bed.upgrade(&[&both])?;
    bed.restart().await?;
    let catalog = bed.catalog()?;
    let commit = catalog.plant(&["ash"])?;
    let resource = |name: &str| {
        format!(
            "apiVersion: sower.dev/v1alpha1
kind: Integration
metadata: {{ name: {name} }}
spec: {{ name: {name}, version: 1.0.0, author: A, license: MIT, description: D, category: [c], baseUrl: \"https://{name}.example\" }}
"
        )
    };
    bed.namespace.apply(&resource("elm"))?;
    other.apply(&resource("oak"))?;
    let spec =
        json!({ "interval": "1s", "sources": [catalog.source("main"), { "name": "local", "cluster": {} }] });
    bed.environment("production", spec).await?;
    sower_tests::bed::environment(&other, "staging", json!({ "interval": "10m" })).await?;
    bed.until("both hold their own", async || {
        let tables = bed.tables().await?;
        let ids = |name: &str| tables.carried(name).into_keys().collect::<Vec<_>>();
        ensure!(ids("production") == ["ash", "elm"] && ids("staging") == ["oak"], "{:?}", tables.0.keys());
        Ok(())
    })
    .await?;
    bed.until("the short revision names both sources", async || {
        let read = bed.read("production").await?;
        let revision = read.status.as_ref().and_then(|status| status.revision.clone()).unwrap_or_default();
        ensure!(
            revision.starts_with(&format!("catalog=main@{},local=cluster@", &commit[..7])),
            "{}",
            told(&read)
        );
        Ok(())
    })
    .await?;
    // Nothing new: what is said of several sources stays as it is.
    let before = bed.reconcile("production").await?;
    let after = bed.reconcile("production").await?;
    let (mut before, after) = (before.status.context("status")?, after.status.context("status")?);
    before.last_handled_reconcile_at.clone_from(&after.last_handled_reconcile_at);
    ensure!(before == after, "{before:?} became {after:?}");
    let integrations = other.api::<sower_crds::integration::Integration>();
    bed.until("the Integration says who carries it", async || {
        let status = integrations.get("oak").await?.status.unwrap_or_default();
        ensure!(
            status.environments.iter().any(|by| by.name == "staging" && by.version == "1.0.0"),
            "{status:?}"
        );
        Ok(())
    })
    .await
}
