//! Conflicts in a cluster: merged with what hands changed, told where they cannot be, and settled once on request.

use anyhow::{Context, Result, ensure};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sower_crds::RESOLVE;
use sower_crds::environment::Environment;
use sower_tests::bed::{Bed, condition, told};
use sower_tests::catalog::{Catalog, manifest, path, with};
use sower_tests::sower::Sower;

/// Pushes the oak under the same version, described so.
fn describe(catalog: &Catalog, words: &str) -> Result<String> {
    catalog.tree.write(&path("oak"), manifest("oak", "1.0.0", 2).replace("What the oak offers.", words))?;
    catalog.push(words)
}

async fn hand(bed: &Bed, statement: &'static str) -> Result<()> {
    ensure!(sqlx::query(statement).execute(&bed.pool).await?.rows_affected() == 1, "{statement}");
    Ok(())
}

async fn oak(bed: &Bed) -> Result<Value> {
    let text: String =
        sqlx::query_scalar("SELECT manifest::text FROM public.integration_definitions WHERE id = 'oak'")
            .fetch_one(&bed.pool)
            .await?;
    Ok(serde_json::from_str(&text)?)
}

#[tokio::test]
async fn what_hands_changed_is_merged_or_told_and_settled_once() -> Result<()> {
    let bed = Bed::make("merging").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["oak"])?;
    let spec = with(catalog.spec(), json!({ "conflicts": { "version": "merge" }, "interval": "1h" }));
    bed.environment("production", spec).await?;
    bed.seeded("production", &first).await?;

    hand(
        &bed,
        "UPDATE public.action_registry SET definition = jsonb_set(definition::jsonb, '{description}', '\"By hand\"')::json \
         WHERE id = 'oak/branch-1'",
    )
    .await?;
    let second = describe(&catalog, "New words.")?;
    bed.request("production").await?;
    let read = bed.seeded("production", &second).await?;
    let now = oak(&bed).await?;
    ensure!(now["description"] == "New words." && now["actions"][0]["description"] == "By hand", "{now}");
    let free = condition(&read, "ConflictFree").context("ConflictFree")?;
    ensure!(free.status == "True", "{free:?}");
    let resolved: Vec<(String, bool)> =
        sqlx::query_as("SELECT resolution, resolved_at IS NOT NULL FROM public.seeding_conflicts")
            .fetch_all(&bed.pool)
            .await?;
    ensure!(resolved == [("merge".to_owned(), true)], "{resolved:?}");

    // Both sides say something else of one thing.
    hand(
        &bed,
        "UPDATE public.integration_definitions SET manifest = \
         jsonb_set(manifest::jsonb, '{description}', '\"By hand\"')::json WHERE id = 'oak'",
    )
    .await?;
    let third = describe(&catalog, "Other words.")?;
    bed.request("production").await?;
    let read = bed.seeded("production", &third).await?;
    let free = condition(&read, "ConflictFree").context("ConflictFree")?;
    let expect = ("False", "ConflictsNotMerged", "1 conflict not merged: oak");
    ensure!((&*free.status, &*free.reason, &*free.message) == expect, "{free:?}");
    let ready = condition(&read, "Ready").context("Ready")?;
    ensure!(ready.message.ends_with("; 1 conflict not merged"), "{}", told(&read));
    ensure!(oak(&bed).await?["description"] == "By hand");
    let clashes: String =
        sqlx::query_scalar("SELECT detail::text FROM public.seeding_conflicts WHERE resolved_at IS NULL")
            .fetch_one(&bed.pool)
            .await?;
    ensure!(clashes.contains("\"clashes\":[\"/description\"]"), "{clashes}");
    bed.told("production", "ConflictsNotMerged", "").await?;
    let events = bed.events("Environment", "production").await?;
    let told = events.iter().filter(|(reason, _)| reason == "ConflictsNotMerged").count();
    ensure!(told == 1, "{events:?}");

    // What cannot be read is said, and nothing comes of it.
    let annotate = async |value: &str| -> Result<()> {
        let patch = json!({ "metadata": { "annotations": { RESOLVE: value } } });
        let api = bed.namespace.api::<Environment>();
        api.patch("production", &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    };
    annotate("oak:version=replace").await?;
    bed.reason("production", "InvalidSpec", &third).await?;
    ensure!(oak(&bed).await?["description"] == "By hand");

    // Once, by name: the annotation is spent.
    let folder = tempfile::tempdir()?;
    let sower = Sower::within(folder.path())?.env("KUBECONFIG", bed.plane.admin_kubeconfig());
    let namespace = &bed.namespace.name;
    let once =
        ["seed", "-e", "production", "-n", namespace, "--only", "oak", "--resolve", "version=override"];
    sower.run(&once)?.expect(0)?;
    let now = oak(&bed).await?;
    ensure!(now["description"] == "Other words.", "{now}");
    ensure!(now["actions"][0]["description"] == "Grows branch 1 of the oak.", "{now}");
    let read = bed
        .until("the annotation is spent", async || {
            let read = bed.read("production").await?;
            ensure!(!read.annotations().contains_key(RESOLVE), "{:?}", read.annotations());
            let free = condition(&read, "ConflictFree").context("ConflictFree")?;
            ensure!(free.status == "True", "{free:?}");
            Ok(read)
        })
        .await?;
    ensure!(read.spec.conflicts.version.as_str() == "merge");
    Ok(())
}
