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

async fn carried(bed: &Bed, id: &str) -> Result<String> {
    let tables = bed.tables().await?;
    Ok(tables.carried("production").get(id).with_context(|| format!("no {id}"))?.clone())
}

/// Ready and free of open work: what is merged is in, and the conflict is told with how it was settled.
async fn settled(bed: &Bed, kind: &str) -> Result<String> {
    let sql =
        "SELECT detail::text FROM public.seeding_conflicts WHERE conflict_type = $1 AND resolved_at IS NULL";
    let open: Vec<String> = sqlx::query_scalar(sql).bind(kind).fetch_all(&bed.pool).await?;
    ensure!(open.len() == 1, "{open:?}");
    Ok(open[0].clone())
}

#[tokio::test]
async fn a_dependency_is_the_highest_version_that_all_can_have() -> Result<()> {
    let bed = Bed::make("needing").await?;
    let catalog = bed.catalog()?;
    catalog.write("ash", "1.0.0")?;
    catalog.tree.write(&path("oak"), manifest("oak", "1.0.0", 2) + "dependencies: [\"ash@^1.0.0\"]\n")?;
    let first = catalog.push("Plant")?;
    let spec = with(catalog.spec(), json!({ "conflicts": { "dependency": "merge" }, "interval": "1h" }));
    bed.environment("production", spec).await?;
    bed.seeded("production", &first).await?;
    catalog.write("ash", "1.1.0")?;
    let second = catalog.push("ash: better")?;
    bed.request("production").await?;
    bed.seeded("production", &second).await?;

    catalog.write("ash", "2.0.0")?;
    let third = catalog.push("ash: too new for the oak")?;
    bed.request("production").await?;
    bed.seeded("production", &third).await?;
    ensure!(carried(&bed, "ash").await? == "1.1.0" && carried(&bed, "oak").await? == "1.0.0");
    let detail = settled(&bed, "dependency").await?;
    let told = "needs ash@^1.0.0, and git has ash 2.0.0; ash 1.1.0 is for all that need it";
    ensure!(detail.contains(told), "{detail}");

    // Once the oak can do with it, it comes.
    catalog.tree.write(&path("oak"), manifest("oak", "1.1.0", 2) + "dependencies: [\"ash@>=1.0.0\"]\n")?;
    let fourth = catalog.push("oak: takes any")?;
    bed.request("production").await?;
    bed.seeded("production", &fourth).await?;
    ensure!(carried(&bed, "ash").await? == "2.0.0" && carried(&bed, "oak").await? == "1.1.0");
    let open: i64 =
        sqlx::query_scalar("SELECT count(*) FROM public.seeding_conflicts WHERE resolved_at IS NULL")
            .fetch_one(&bed.pool)
            .await?;
    ensure!(open == 0, "{open} open");
    Ok(())
}

#[tokio::test]
async fn duplicates_are_united() -> Result<()> {
    let bed = Bed::make("uniting").await?;
    let catalog = bed.catalog()?;
    catalog.write("oak", "2.0.0")?;
    let theirs = manifest("oak", "1.1.0", 3);
    catalog.tree.write("community/oak/integration.yaml", theirs)?;
    let commit = catalog.push("Plant twice")?;
    let mut other = catalog.source("main");
    (other["name"], other["path"]) = (json!("community"), json!("community"));
    let fields = json!({
        "conflicts": { "duplicate": "merge" }, "interval": "1h", "sources": [catalog.source("main"), other],
    });
    bed.environment("production", with(catalog.spec(), fields)).await?;
    bed.seeded("production", &commit).await?;
    ensure!(carried(&bed, "oak").await? == "2.0.0+with.community.1.1.0");
    let actions: Vec<String> =
        sqlx::query_scalar("SELECT id FROM public.action_registry WHERE integration_id = 'oak' ORDER BY id")
            .fetch_all(&bed.pool)
            .await?;
    ensure!(actions == ["oak/branch-1", "oak/branch-2", "oak/branch-3"], "{actions:?}");
    settled(&bed, "duplicate").await?;
    Ok(())
}
