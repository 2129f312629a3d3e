//! What goes from its source: taken out at once, kept for a while, brought back as it was; what an annotation keeps; what a
//! source owned that is taken out.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use kube::api::DeleteParams;
use serde_json::{Value, json};
use sower_crds::integration::Integration;
use sower_tests::bed::{Bed, condition, told};
use sower_tests::catalog::{Catalog, manifest, path, with};
use sower_tests::tables::Tables;

const IDS: [&str; 6] = ["ash", "box", "elm", "fir", "oak", "yew"];

async fn planted(name: &str, fields: Value) -> Result<(Bed, Catalog, Value)> {
    let bed = Bed::make(name).await?;
    let catalog = bed.catalog()?;
    let commit = catalog.plant(&IDS)?;
    let spec = with(catalog.spec(), fields);
    bed.environment("production", spec.clone()).await?;
    bed.seeded("production", &commit).await?;
    Ok((bed, catalog, spec))
}

/// The rows of an integration that programs read, without what says which seeding wrote them.
fn rows(tables: &Tables, id: &str) -> BTreeMap<String, Value> {
    let mut rows = BTreeMap::new();
    for table in [
        "integration_definitions",
        "action_registry",
        "trigger_registry",
        "connection_registry",
        "event_registry",
    ] {
        for row in tables.of_environment(table, "production") {
            let of = if table == "integration_definitions" { "id" } else { "integration_id" };
            if row.text(of) == id {
                let mut columns = row.columns.clone();
                for column in ["seeding", "revision", "updated_at"] {
                    columns[column] = Value::Null;
                }
                rows.insert(format!("{table} {}", row.text("id")), columns);
            }
        }
    }
    rows
}

fn status_of<'a>(tables: &'a Tables, id: &str) -> Option<&'a str> {
    let mut rows = tables.of_environment("integration_definitions", "production");
    rows.find(|row| row.text("id") == id).map(|row| row.text("status"))
}

#[tokio::test]
async fn what_is_taken_out_is_kept_and_comes_back_as_it_was() -> Result<()> {
    let (bed, catalog, spec) = planted("restored", json!({})).await?;
    let before = rows(&bed.tables().await?, "oak");
    catalog.fell("oak")?;
    let gone = catalog.push("Fell the oak")?;
    let read = bed.seeded("production", &gone).await?;
    let counts = read.status.as_ref().and_then(|status| status.counts).context("counts")?;
    ensure!(counts.integrations == 5, "{counts:?}");
    let tables = bed.tables().await?;
    ensure!(
        !tables.carried("production").contains_key("oak") && status_of(&tables, "oak") == Some("removed")
    );
    ensure!(rows(&tables, "oak").len() == 1, "the definition alone: {:?}", rows(&tables, "oak"));

    catalog.write("oak", "1.0.0")?;
    let back = catalog.push("Plant it again")?;
    bed.seeded("production", &back).await?;
    let tables = bed.tables().await?;
    ensure!(rows(&tables, "oak") == before, "{:?}\n{before:?}", rows(&tables, "oak"));
    let operations: Vec<_> = tables
        .of_environment("seeding_changes", "production")
        .filter(|row| row.text("integration_id") == "oak")
        .map(|row| row.text("operation"))
        .collect();
    ensure!(operations == ["create", "remove", "restore"], "{operations:?}");

    // Gone again, and for good: a retention of nothing is looked at without a seeding, once.
    catalog.fell("oak")?;
    let gone = catalog.push("Fell it again")?;
    bed.seeded("production", &gone).await?;
    let seedings = bed.tables().await?.log("production").len();
    bed.environment("production", with(spec, json!({ "retention": { "removed": "0s" } }))).await?;
    bed.until("the oak is purged", async || {
        ensure!(status_of(&bed.tables().await?, "oak").is_none());
        Ok(())
    })
    .await?;
    let purged = bed.tables().await?;
    ensure!(purged.log("production").len() == seedings && purged.rows("removed_parts").next().is_none());
    let told: Vec<_> = purged.rows("seeding_retention").map(|row| row.columns["purged"].clone()).collect();
    ensure!(told == [json!(["oak"])], "{told:?}");
    bed.reconcile("production").await?;
    let after = bed.tables().await?.since(&purged);
    ensure!(after.is_empty(), "{after:?}");
    Ok(())
}

#[tokio::test]
async fn what_an_annotation_keeps_stays_from_git_and_from_the_cluster() -> Result<()> {
    let (bed, catalog, _) = planted("annotated", json!({ "pruneLimit": "100%" })).await?;
    let oak = manifest("oak", "1.0.0", 2);
    let spec: String = oak.lines().map(|line| format!("  {line}\n")).collect();
    let enveloped = format!(
        "apiVersion: sower.dev/v1alpha1\nkind: Integration\nmetadata: {{ name: oak, annotations: {{ sower.dev/prune: disabled }} }}\nspec:\n{spec}"
    );
    let before = rows(&bed.tables().await?, "oak");
    catalog.tree.write(&path("oak"), &enveloped)?;
    bed.seeded("production", &catalog.push("Keep the oak")?).await?;
    ensure!(bed.tables().await?.log("production").len() == 1, "an annotation is no content");
    catalog.fell("oak")?;
    catalog.fell("yew")?;
    let read = bed.seeded("production", &catalog.push("Fell both")?).await?;
    let ready = condition(&read, "Ready").context("Ready")?;
    ensure!(ready.message.ends_with("; 1 gone and kept"), "{}", told(&read));
    let counts = read.status.as_ref().and_then(|status| status.counts).context("counts")?;
    ensure!((counts.integrations, counts.prune_disabled) == (5, 1), "{counts:?}");
    let tables = bed.tables().await?;
    let mut after = rows(&tables, "oak");
    ensure!(!tables.carried("production").contains_key("yew"));
    if let Some(definition) = after.get_mut("integration_definitions oak") {
        definition["prune"] = Value::Null;
    }
    ensure!(after == before, "{after:?}");

    // The same on a resource, where an annotation raises no generation.
    let cluster =
        json!({ "interval": "10m", "sources": [{ "name": "cluster", "cluster": {} }], "pruneLimit": "100%" });
    bed.environment("staging", cluster).await?;
    let resource = |name: &str, annotations: &str| {
        format!(
            "apiVersion: sower.dev/v1alpha1\nkind: Integration\nmetadata: {{ name: {name}, annotations: {annotations} }}\nspec:\n{}",
            spec.replace("id: oak\n", &format!("id: {name}\n")).replace("The oak", &format!("The {name}"))
        )
    };
    for name in ["acme", "brass"] {
        bed.namespace.apply(&resource(name, "{}"))?;
    }
    let carries = async |wanted: &[&str]| {
        bed.until("staging", async || {
            let carried = bed.tables().await?.carried("staging");
            ensure!(carried.keys().eq(wanted), "{carried:?} instead of {wanted:?}");
            Ok(())
        })
        .await
    };
    carries(&["acme", "brass"]).await?;
    bed.namespace.apply(&resource("acme", "{ sower.dev/prune: disabled }"))?;
    bed.until("the annotation is remembered", async || {
        let tables = bed.tables().await?;
        let mut rows = tables.of_environment("integration_definitions", "staging");
        ensure!(rows.any(|row| row.text("id") == "acme" && row.text("prune") == "disabled"));
        Ok(())
    })
    .await?;
    for name in ["acme", "brass"] {
        bed.namespace.api::<Integration>().delete(name, &DeleteParams::default()).await?;
    }
    carries(&["acme"]).await
}

#[tokio::test]
async fn a_source_that_is_taken_out_takes_what_it_owned_and_a_file_that_moves_takes_nothing() -> Result<()> {
    let (bed, catalog, _) = planted("owned", json!({ "pruneLimit": "100%" })).await?;
    let other = Catalog::create(bed.git, &format!("{}-other", bed.namespace.name))?;
    let commit = other.plant(&["pine"])?;
    let named = |name: &str, catalog: &Catalog| with(catalog.source("main"), json!({ "name": name }));
    let spec = |sources: Value| with(catalog.spec(), json!({ "sources": sources, "pruneLimit": "100%" }));
    bed.environment("production", spec(json!([named("catalog", &catalog), named("other", &other)]))).await?;
    bed.until("pine", async || {
        let read = bed.read("production").await?;
        let applied = read.status.as_ref().and_then(|s| s.last_applied_revision.clone()).unwrap_or_default();
        ensure!(applied.contains(&commit), "{}", told(&read));
        Ok(())
    })
    .await?;

    // Moved inside its source, with other content at once.
    catalog.tree.remove("integrations/oak")?;
    catalog.tree.write("integrations/trees/oak.integration.yaml", manifest("oak", "1.1.0", 2))?;
    catalog.push("Move the oak, and raise it")?;
    bed.until("the oak has moved", async || {
        let carried = bed.tables().await?.carried("production");
        ensure!(carried.get("oak").is_some_and(|version| version == "1.1.0"), "{carried:?}");
        Ok(())
    })
    .await?;
    let before = bed.tables().await?;
    let created = |tables: &Tables, id: &str| {
        let mut rows = tables.of_environment("integration_definitions", "production");
        rows.find(|row| row.text("id") == id).map(|row| row.columns["created_at"].clone())
    };

    // The source has another name, then the environment names it no longer.
    bed.environment("production", spec(json!([named("trees", &catalog), named("other", &other)]))).await?;
    bed.until("the rows are those of the renamed source", async || {
        let tables = bed.tables().await?;
        let renamed = tables.of_environment("integration_definitions", "production");
        let of = renamed.filter(|row| row.text("source") == "trees").count();
        ensure!(of == IDS.len() && tables.carried("production").len() == IDS.len() + 1, "{of}");
        Ok(())
    })
    .await?;
    let tables = bed.tables().await?;
    ensure!(created(&tables, "oak") == created(&before, "oak") && created(&tables, "oak").is_some());
    let operations = |tables: &Tables, id: &str| -> Vec<String> {
        let changes = tables.of_environment("seeding_changes", "production");
        let of = changes.filter(|row| row.text("integration_id") == id);
        let mut of: Vec<_> =
            of.map(|row| (row.columns["seq"].as_i64(), row.text("operation").to_owned())).collect();
        of.sort();
        of.into_iter().map(|(_, operation)| operation).collect()
    };
    ensure!(operations(&tables, "oak") == ["create", "update", "move"], "{:?}", operations(&tables, "oak"));
    ensure!(operations(&tables, "ash") == ["create", "move"], "{:?}", operations(&tables, "ash"));
    bed.environment("production", spec(json!([named("other", &other)]))).await?;
    bed.until("only the pine is left", async || {
        let carried = bed.tables().await?.carried("production");
        ensure!(carried.keys().eq(&["pine"]), "{carried:?}");
        Ok(())
    })
    .await
}
