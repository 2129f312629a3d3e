//! Environments side by side in one database, and who keeps them.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sower_tests::bed::{Bed, condition, ensure_with, environment, request, told};
use sower_tests::catalog::{path, spec, with};
use sower_tests::namespace::Namespace;
use sower_tests::repository::WorkTree;
use sower_tests::sower::Sower;

#[tokio::test]
async fn e2e_08_three_environments_hold_their_own_in_one_database() -> Result<()> {
    let bed = Bed::make("three").await?;
    let catalog = bed.catalog()?;
    let main = catalog.plant(&["ash", "elm", "oak"])?;
    catalog.tree.branch("next")?;
    catalog.write("oak", "2.0.0")?;
    catalog.write("yew", "1.0.0")?;
    let next = catalog.push("Grow")?;
    bed.environment("development", spec(catalog.source("next"))).await?;
    bed.environment(
        "production",
        with(catalog.spec(), json!({ "allowedIntegrations": ["oak", "ash"], "blockedIntegrations": ["a*"] })),
    )
    .await?;
    bed.environment("staging", with(catalog.spec(), json!({ "seedingStrategy": "incremental" }))).await?;
    bed.seeded("development", &next).await?;
    bed.seeded("production", &main).await?;
    bed.seeded("staging", &main).await?;
    let carries = async |environment: &str, wanted: &[&str]| -> Result<()> {
        let tables = bed.tables().await?;
        let carried: Vec<_> =
            tables.carried(environment).into_iter().map(|(id, version)| format!("{id} {version}")).collect();
        ensure!(carried == wanted, "{environment}: {carried:?}");
        let actions = tables.of_environment("action_registry", environment).count();
        ensure!(actions == 2 * wanted.len(), "{environment} has {actions} actions");
        Ok(())
    };
    carries("development", &["ash 1.0.0", "elm 1.0.0", "oak 2.0.0", "yew 1.0.0"]).await?;
    carries("production", &["oak 1.0.0"]).await?;
    carries("staging", &["ash 1.0.0", "elm 1.0.0", "oak 1.0.0"]).await?;

    // A push to one branch is nothing to the environments of the other.
    let before = bed.tables().await?;
    catalog.write("oak", "2.1.0")?;
    let next = catalog.push("Grow more")?;
    bed.seeded("development", &next).await?;
    bed.reconcile("production").await?;
    bed.reconcile("staging").await?;
    let after = bed.tables().await?;
    for (table, changed) in after.since(&before) {
        for key in changed.inserted.iter().chain(&changed.updated).chain(&changed.deleted) {
            let row = after.0[&table].get(key).or_else(|| before.0[&table].get(key)).context("a row")?;
            let owner = if table == "environments" { row.text("name") } else { row.text("environment") };
            ensure!(owner == "development", "{table}: {row:?}");
        }
    }

    // Deleting an Environment leaves its rows, and its metrics go.
    bed.namespace.kubectl(&["delete", "env", "staging"])?;
    bed.until("the metrics are gone", async || {
        let left: Vec<_> = bed
            .operator
            .metrics()
            .await?
            .into_keys()
            .filter(|name| name.contains("environment=\"staging\""))
            .collect();
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    carries("staging", &["ash 1.0.0", "elm 1.0.0", "oak 1.0.0"]).await
}

/// The operator watches two namespaces, whose Environments have one name and one database.
#[tokio::test]
async fn e2e_08_a_second_keeper_is_refused() -> Result<()> {
    let plane = sower_tests::control_plane::ControlPlane::with_crds().await?;
    let other: Namespace = plane.namespace("keeper-other").await?;
    let bed = Bed::with("keeper", &[]).await?;
    bed.upgrade(&[&format!("watchNamespaces={{{},{}}}", bed.namespace.name, other.name)])?;
    let mut bed = bed;
    bed.restart().await?;
    let catalog = bed.catalog()?;
    let commit = catalog.plant(&["ash", "oak"])?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &commit).await?;
    let before = bed.tables().await?;

    let credentials =
        [("username", sower_tests::git_server::USER), ("password", sower_tests::git_server::PASSWORD)];
    other.secret(sower_tests::catalog::GIT_SECRET, &credentials).await?;
    let second = with(catalog.spec(), json!({ "allowedIntegrations": ["oak"] }));
    environment(&other, "production", second).await?;
    let read = bed
        .until("KeptElsewhere", async || {
            let read = other.api::<sower_crds::environment::Environment>().get("production").await?;
            ensure!(
                condition(&read, "Ready").is_some_and(|ready| ready.reason == "KeptElsewhere"),
                "{}",
                told(&read)
            );
            Ok(read)
        })
        .await?;
    ensure_with(&read, Some("Stalled"))?;
    bed.reconcile("production").await?;
    ensure!(bed.tables().await? == before, "{:?}", bed.tables().await?.since(&before));

    // The command line is another keeper too.
    let tree = WorkTree::create()?;
    tree.write(&path("oak"), sower_tests::catalog::manifest("oak", "9.0.0", 1))?;
    tree.write(
        "environments/production.yaml",
        "apiVersion: sower.dev/v1alpha1\nkind: Environment\nmetadata: { name: production }\nspec: {}\n",
    )?;
    let seed = |more: &[&str]| {
        let url = bed.database.url();
        let mut args = vec!["seed", "-e", "production", "--source", ".", "--database", &url];
        args.extend(more);
        Sower::within(tree.folder())?.run(&args)
    };
    let refused = seed(&[])?.expect(4)?;
    ensure!(
        refused.err.contains("refused: production in this database is kept by cluster cluster"),
        "{}",
        refused.err
    );
    ensure!(
        refused.err.contains("Nothing was written.") && refused.err.contains("--take-over"),
        "{}",
        refused.err
    );
    ensure!(!refused.err.contains(sower_tests::postgres::PASSWORD), "{}", refused.err);
    ensure!(bed.tables().await? == before, "{:?}", bed.tables().await?.since(&before));

    // Taken over on purpose, by annotation.
    other.kubectl(&["annotate", "env/production", "sower.dev/take-over=true"])?;
    request(&other, "production").await?;
    bed.until("taken over", async || {
        let carried: Vec<_> = bed.tables().await?.carried("production").into_keys().collect();
        ensure!(carried == ["oak"], "{carried:?}");
        Ok(())
    })
    .await?;
    // Once: the annotation is spent, else whoever takes over later would be overruled.
    spent(&bed, &other).await?;
    bed.request("production").await?;
    bed.until("the first is refused now", async || {
        let read = bed.read("production").await?;
        ensure!(
            condition(&read, "Ready").is_some_and(|ready| ready.reason == "KeptElsewhere"),
            "{}",
            told(&read)
        );
        Ok(())
    })
    .await?;

    // And taken back.
    bed.namespace.kubectl(&["annotate", "env/production", "sower.dev/take-over=true"])?;
    bed.seeded("production", &commit).await?;
    spent(&bed, &bed.namespace).await?;
    let carried: Vec<_> = bed.tables().await?.carried("production").into_keys().collect();
    ensure!(carried == ["ash", "oak"], "{carried:?}");
    Ok(())
}

async fn spent(bed: &Bed, namespace: &Namespace) -> Result<()> {
    bed.until("the annotation is spent", async || {
        let read = namespace.api::<sower_crds::environment::Environment>().get("production").await?;
        let annotations = read.metadata.annotations.unwrap_or_default();
        ensure!(!annotations.contains_key("sower.dev/take-over"), "{annotations:?}");
        Ok(())
    })
    .await
}

/// `deletionPolicy: Delete` takes the environment's own rows along, and no other's.
#[tokio::test]
async fn e2e_08_a_deleted_environment_takes_its_rows_along_where_it_says_so() -> Result<()> {
    let bed = Bed::make("deletion").await?;
    let catalog = bed.catalog()?;
    let commit = catalog.plant(&["ash", "oak"])?;
    bed.environment("preview", with(catalog.spec(), json!({ "deletionPolicy": "Delete" }))).await?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("preview", &commit).await?;
    bed.seeded("production", &commit).await?;
    bed.namespace.kubectl(&["delete", "env", "preview", "--timeout=30s"])?;
    let tables = bed.tables().await?;
    ensure!(
        tables.carried("preview").is_empty()
            && tables.of_environment("action_registry", "preview").count() == 0
    );
    ensure!(tables.carried("production").len() == 2, "{:?}", tables.carried("production"));
    Ok(())
}

/// Suspended, nothing moves; resumed, it goes on.
#[tokio::test]
async fn e2e_08_a_suspended_environment_stays_as_it_is() -> Result<()> {
    let bed = Bed::make("suspend").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &first).await?;
    bed.environment("production", with(catalog.spec(), json!({ "suspend": true }))).await?;
    bed.until("Suspended", async || {
        let read = bed.read("production").await?;
        let ready = condition(&read, "Ready").context("Ready")?;
        ensure!(ready.reason == "Suspended" && ready.status == "True", "{}", told(&read));
        Ok(())
    })
    .await?;
    let before = bed.tables().await?;
    catalog.write("oak", "1.1.0")?;
    let second = catalog.push("Raise")?;
    bed.request("production").await?;
    sower_tests::wait::throughout("suspended", std::time::Duration::from_secs(2), async || {
        ensure!(bed.tables().await? == before, "{:?}", bed.tables().await?.since(&before));
        Ok(())
    })
    .await?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &second).await?;
    Ok(())
}
