//! Sources that fail, are empty, or lose most of what they had: nothing is pruned by accident.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sower_crds::environment::Environment;
use sower_tests::bed::{Bed, condition, ensure_with, told};
use sower_tests::catalog::{Catalog, GIT_SECRET, source, spec, with};
use sower_tests::git_server::{self, GitServer};
use sower_tests::tables::Tables;
use sower_tests::{postgres, process};

const IDS: [&str; 6] = ["ash", "box", "elm", "fir", "oak", "yew"];

/// An environment that holds [`IDS`].
async fn planted(name: &str) -> Result<(Bed, Catalog, String, Tables)> {
    let bed = Bed::make(name).await?;
    let catalog = bed.catalog()?;
    let commit = catalog.plant(&IDS)?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &commit).await?;
    let tables = bed.tables().await?;
    Ok((bed, catalog, commit, tables))
}

/// Waits for a reason of Ready that comes without a new revision.
async fn fails(bed: &Bed, reason: &str, with: &str) -> Result<Environment> {
    let read = bed
        .until(reason, async || {
            let read = bed.read("production").await?;
            let ready = condition(&read, "Ready").context("no condition")?;
            let current =
                read.status.as_ref().is_some_and(|s| s.observed_generation == read.metadata.generation);
            ensure!(ready.reason == reason && ready.status == "False" && current, "{}", told(&read));
            Ok(read)
        })
        .await?;
    ensure_with(&read, Some(with))?;
    Ok(read)
}

async fn catalog_is_kept(bed: &Bed, before: &Tables) -> Result<()> {
    let changes = bed.tables().await?.since(before);
    let touched: Vec<_> = changes
        .keys()
        .filter(|table| table.ends_with("_registry") || table.ends_with("_definitions"))
        .collect();
    ensure!(touched.is_empty(), "{changes:?}");
    Ok(())
}

#[tokio::test]
async fn e2e_06_rejected_credentials_stall_and_stay_secret() -> Result<()> {
    const WRONG: &str = "wrong-password-to-be-kept";
    let (bed, catalog, _, before) = planted("rejected").await?;
    bed.namespace.secret(GIT_SECRET, &[("username", git_server::USER), ("password", WRONG)]).await?;
    catalog.write("oak", "1.1.0")?;
    let commit = catalog.push("Raise")?;
    let read = fails(&bed, "AuthenticationFailed", "Stalled").await?;
    let message = &condition(&read, "Ready").context("Ready")?.message;
    ensure!(
        message.contains("Credentials rejected by 127.0.0.1") && message.contains(GIT_SECRET),
        "{message}"
    );
    catalog_is_kept(&bed, &before).await?;
    let credentials = [("username", git_server::USER), ("password", git_server::PASSWORD)];
    bed.namespace.secret(GIT_SECRET, &credentials).await?;
    bed.request("production").await?;
    bed.seeded("production", &commit).await?;
    let leaks = bed.leaks(&[WRONG, git_server::PASSWORD, postgres::PASSWORD]).await?;
    ensure!(leaks.is_empty(), "{leaks:?}");
    Ok(())
}

#[tokio::test]
async fn e2e_06_a_missing_secret_stalls() -> Result<()> {
    let (bed, _, _, before) = planted("no-secret").await?;
    bed.namespace.kubectl(&["delete", "secret", GIT_SECRET])?;
    let read = fails(&bed, "AuthenticationFailed", "Stalled").await?;
    ensure!(told(&read).contains(GIT_SECRET), "{}", told(&read));
    catalog_is_kept(&bed, &before).await
}

#[tokio::test]
async fn e2e_06_an_unreachable_source_is_tried_again() -> Result<()> {
    let (bed, catalog, _, before) = planted("unreachable").await?;
    let away = format!("http://127.0.0.1:{}/git/catalog.git", process::free_port()?);
    bed.environment("production", spec(source(&away, "main"))).await?;
    fails(&bed, "FetchFailed", "Reconciling").await?;
    catalog_is_kept(&bed, &before).await?;
    bed.environment("production", catalog.spec()).await?;
    catalog.write("oak", "1.1.0")?;
    let commit = catalog.push("Raise")?;
    bed.seeded("production", &commit).await?;
    Ok(())
}

#[tokio::test]
async fn e2e_06_a_server_that_hangs_is_given_up() -> Result<()> {
    let bed = Bed::make("hanging").await?;
    let server = GitServer::start().await?;
    let catalog = Catalog::create(&server, "hanging")?;
    let commit = catalog.plant(&IDS)?;
    bed.environment("production", with(catalog.spec(), json!({ "timeout": "2s" }))).await?;
    bed.seeded("production", &commit).await?;
    let before = bed.tables().await?;
    server.process().signal(process::Signal::STOP)?;
    fails(&bed, "FetchFailed", "Reconciling").await?;
    catalog_is_kept(&bed, &before).await?;
    server.process().signal(process::Signal::CONT)?;
    bed.seeded("production", &commit).await?;
    Ok(())
}

#[tokio::test]
async fn e2e_06_a_repository_or_branch_that_is_gone_stalls() -> Result<()> {
    let (bed, catalog, commit, before) = planted("gone").await?;
    catalog.repository.hide(true)?;
    fails(&bed, "SourceNotFound", "Stalled").await?;
    catalog_is_kept(&bed, &before).await?;
    catalog.repository.hide(false)?;
    bed.request("production").await?;
    bed.seeded("production", &commit).await?;

    catalog.tree.branch("next")?;
    catalog.tree.push()?;
    bed.environment("production", spec(catalog.source("next"))).await?;
    bed.seeded("production", &commit).await?;
    let before = bed.tables().await?;
    catalog.tree.delete_branch("next")?;
    let read = fails(&bed, "SourceNotFound", "Stalled").await?;
    ensure!(told(&read).contains("next"), "{}", told(&read));
    catalog_is_kept(&bed, &before).await
}

#[tokio::test]
async fn e2e_06_an_empty_source_prunes_nothing() -> Result<()> {
    let (bed, catalog, _, before) = planted("empty").await?;
    catalog.tree.remove("integrations")?;
    catalog.tree.write("integrations/README.md", "Nothing is left.\n")?;
    catalog.push("Remove everything")?;
    fails(&bed, "SourceEmpty", "Stalled").await?;
    catalog_is_kept(&bed, &before).await?;
    // A folder that was renamed is as empty as one whose manifests went.
    catalog.tree.remove("integrations")?;
    catalog.push("Remove the folder")?;
    bed.reconcile("production").await?;
    catalog_is_kept(&bed, &before).await
}

#[tokio::test]
async fn e2e_06_a_commit_that_deletes_most_is_held_whole() -> Result<()> {
    let (bed, catalog, first, before) = planted("prune").await?;
    for id in &IDS[..4] {
        catalog.fell(id)?;
    }
    catalog.write("oak", "1.1.0")?;
    catalog.write("new", "1.0.0")?;
    let commit = catalog.push("Tidy up")?;
    let read = bed.reason("production", "PruneLimitExceeded", &commit).await?;
    ensure_with(&read, Some("Stalled"))?;
    // The plan is kept for whoever approves it, under the lock of the environment's row; nothing else is written.
    let mut changes = bed.tables().await?.since(&before);
    changes.retain(|table, _| !table.starts_with("seeding_plan") && table != "environments");
    ensure!(changes.is_empty(), "a held plan wrote: {changes:?}");
    let status = read.status.clone().unwrap_or_default();
    ensure!(
        status.last_applied_revision.as_deref().is_some_and(|at| at.ends_with(&first)),
        "{}",
        told(&read)
    );
    let plan = status.plan.context("no plan in the status")?;
    ensure!((plan.create, plan.update, plan.delete) == (1, 1, 4) && plan.hash.len() == 12, "{plan:?}");
    let approve = format!("sower.dev/approve={}", plan.hash);
    ensure!(status.next.as_deref().is_some_and(|next| next.ends_with(&approve)), "{:?}", status.next);
    let message = &condition(&read, "Ready").context("Ready")?.message;
    ensure!(
        *message == format!("Plan {} would delete 4 of 6 integrations; pruneLimit is 20%", plan.hash),
        "{message}"
    );
    bed.until("the event", async || {
        let events = bed.events("Environment", "production").await?;
        let told = events.iter().any(|(reason, text)| {
            reason == "PruneLimitExceeded" && text.contains("ash") && text.contains("fir")
        });
        ensure!(told, "{events:?}");
        Ok(())
    })
    .await?;

    bed.environment("production", with(catalog.spec(), json!({ "pruneLimit": 4 }))).await?;
    let read = bed.seeded("production", &commit).await?;
    ensure!(
        read.status.as_ref().is_some_and(|status| status.plan.is_none() && status.next.is_none()),
        "{:?}",
        read.status
    );
    let carried: Vec<_> = bed
        .tables()
        .await?
        .carried("production")
        .into_iter()
        .map(|(id, version)| format!("{id} {version}"))
        .collect();
    ensure!(carried == ["new 1.0.0", "oak 1.1.0", "yew 1.0.0"], "{carried:?}");
    Ok(())
}

/// What Sower did not write is not Sower's: it stays, and an integration that wants its id waits.
#[tokio::test]
async fn e2e_06_rows_of_others_are_never_touched() -> Result<()> {
    let (bed, catalog, _, _) = planted("foreign").await?;
    sqlx::query("INSERT INTO public.integration_definitions (id, name, version, manifest, environment) VALUES ('theirs', 'Theirs', '9.0.0', '{}', 'production')")
        .execute(&bed.pool)
        .await?;
    let before = bed.tables().await?;
    catalog.write("theirs", "1.0.0")?;
    catalog.write("oak", "1.1.0")?;
    catalog.push("Want their id")?;
    bed.until("the others are in", async || {
        let carried = bed.tables().await?.carried("production");
        ensure!(carried["oak"] == "1.1.0", "{carried:?}");
        Ok(())
    })
    .await?;
    let after = bed.tables().await?;
    let key = "production theirs";
    ensure!(
        after.0["integration_definitions"][key] == before.0["integration_definitions"][key],
        "their row was touched"
    );
    bed.until("the refusal", async || {
        let read = bed.read("production").await?;
        let failures = read.status.as_ref().map(|status| status.failures.clone()).unwrap_or_default();
        ensure!(
            failures.iter().any(|f| f.code == "foreign-row" && f.integration.as_deref() == Some("theirs")),
            "{}",
            told(&read)
        );
        Ok(())
    })
    .await
}

/// A database that goes away is said so, is no reason to restart, and is used again when it is back.
#[tokio::test]
async fn e2e_06_a_database_that_is_gone_is_waited_for() -> Result<()> {
    let (bed, catalog, _, _) = planted("database").await?;
    let mut server = postgres::Postgres::start(postgres::Durability::Lax).await?;
    let own = server.database().await?;
    bed.namespace.secret("own-database", &[("url", &own.url())]).await?;
    let fields = json!({ "database": { "secretRef": { "name": "own-database" } } });
    bed.environment("qa", with(catalog.spec(), fields)).await?;
    let commit = catalog.tree.head()?;
    bed.seeded("qa", &commit).await?;
    server.crash()?;
    catalog.write("oak", "1.1.0")?;
    let commit = catalog.push("Raise")?;
    bed.request("qa").await?;
    let read = bed
        .until("DatabaseUnavailable", async || {
            let read = bed.read("qa").await?;
            ensure!(
                condition(&read, "Ready").is_some_and(|ready| ready.reason == "DatabaseUnavailable"),
                "{}",
                told(&read)
            );
            Ok(read)
        })
        .await?;
    ensure_with(&read, Some("Reconciling"))?;
    ensure!(bed.operator.get("/readyz").await?.0 == 200, "a restart would not help");
    bed.seeded("production", &commit).await?;
    server.resume().await?;
    bed.seeded("qa", &commit).await?;
    Ok(())
}
