//! Resources and a git source become rows that say what the manifests say.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, ensure};
use sower_tests::bed::{Bed, condition, ensure_with};
use sower_tests::catalog::manifest;
use sower_tests::expected;

const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The shipped catalog, and a manifest in the envelope.
#[tokio::test]
async fn e2e_01_rows_equal_the_manifests_field_by_field() -> Result<()> {
    let bed = Bed::make("rows").await?;
    let catalog = bed.catalog()?;
    catalog.tree.copy_from(&Path::new(CHECKOUT).join("integrations"), "integrations")?;
    let acme = std::fs::read_to_string(Path::new(CHECKOUT).join("crds/testdata/acme.yaml"))?;
    catalog.tree.write("integrations/acme/integration.yaml", acme)?;
    let task = "{ type: object, properties: { id: { type: string }, title: { type: string } } }";
    for schema in ["task", "task.completed"] {
        catalog.tree.write(&format!("integrations/acme/schemas/{schema}.json"), to_json(task)?)?;
    }
    catalog.tree.write("integrations/oak/integration.yaml", manifest("oak", "1.0.0", 3))?;
    catalog.tree.write("integrations/README.md", "No manifest.\n")?;
    let commit = catalog.push("Plant")?;
    bed.namespace.apply(&format!(
        "apiVersion: sower.dev/v1alpha1
kind: Environment
metadata: {{ name: production }}
spec:
  interval: 1s
  featureFlags: {{ betaFeatures: true, experimentalFeatures: true }}
  sources:
  - name: catalog
    git: {{ url: \"{}\", ref: {{ branch: main }}, path: integrations, secretRef: {{ name: catalog-git }} }}
",
        catalog.url
    ))?;
    let seeded = bed.seeded("production", &commit).await?;
    bed.namespace.kubectl(&["wait", "--for=condition=Ready", "env/production", "--timeout=10s"])?;
    ensure_with(&seeded, None)?;

    let mut wanted = BTreeMap::new();
    for id in ["acme", "monday", "oak", "slack", "stripe", "wordpress"] {
        let file = catalog.tree.folder().join(format!("integrations/{id}/integration.yaml"));
        wanted.extend(expected::rows(&file)?);
    }
    let tables = bed.tables().await?;
    expected::ensure_same(&wanted, &expected::stored(&tables, "production")?)?;

    let status = seeded.status.unwrap_or_default();
    ensure!(status.revision.as_deref() == Some(&format!("main@{}", &commit[..7])), "{:?}", status.revision);
    ensure!(
        status.last_applied_revision == Some(format!("main@sha1:{commit}")),
        "{:?}",
        status.last_applied_revision
    );
    ensure!(status.counts.is_some_and(|counts| counts.integrations == 6), "{:?}", status.counts);
    provenance(&tables, &commit)
}

/// Where a row comes from has one answer.
fn provenance(tables: &sower_tests::tables::Tables, commit: &str) -> Result<()> {
    let log = tables.log("production");
    ensure!(log.len() == 1 && log[0].text("status") == "completed", "{log:?}");
    ensure!(log[0].columns["integrations_processed"] == 6, "{:?}", log[0]);
    for table in [
        "integration_definitions",
        "action_registry",
        "trigger_registry",
        "connection_registry",
        "event_registry",
    ] {
        for row in tables.rows(table) {
            let id = row.text("integration_id");
            let id = if id.is_empty() { row.text("id") } else { id };
            ensure!(row.text("seeding") == log[0].text("id"), "{table}: {row:?}");
            ensure!(row.text("source") == "catalog", "{table}: {row:?}");
            ensure!(row.text("revision").contains(commit), "{table}: {row:?}");
            ensure!(row.text("path") == format!("integrations/{id}/integration.yaml"), "{table}: {row:?}");
            ensure!(
                row.text("checksum").starts_with("v1:") && row.text("row_hash").len() == 66,
                "{table}: {row:?}"
            );
        }
    }
    Ok(())
}

/// What kubectl shows: the columns of the transcript.
#[tokio::test]
async fn e2e_01_kubectl_get_shows_the_columns() -> Result<()> {
    let bed = Bed::make("columns").await?;
    let catalog = bed.catalog()?;
    let commit = catalog.plant(&["ash", "oak"])?;
    bed.environment("development", catalog.spec()).await?;
    let seeded = bed.seeded("development", &commit).await?;
    let revision = format!("main@{}", &commit[..7]);
    let shown = bed.namespace.kubectl(&["get", "env"])?;
    let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    ensure!(
        lines[0] == ["NAME", "READY", "REVISION", "INTEGRATIONS", "CONFLICTS", "ROLLOUTS", "AGE", "STATUS"],
        "{shown}"
    );
    ensure!(lines[1][..6] == ["development", "True", &revision, "2", "0", "0"], "{shown}");
    ensure!(shown.trim_end().ends_with(&format!("Seeded {revision}")), "{shown}");
    for (kind, reason) in [("SourceReady", "Fetched"), ("ConflictFree", "NoConflicts")] {
        let seen =
            condition(&seeded, kind).map(|condition| (condition.status.as_str(), condition.reason.as_str()));
        ensure!(seen == Some(("True", reason)), "{kind}: {seen:?}");
    }
    let events = bed
        .until("the event", async || {
            let events = bed.events("Environment", "development").await?;
            ensure!(events.iter().any(|(reason, _)| reason == "Seeded"), "{events:?}");
            Ok(events)
        })
        .await?;
    let note = format!("Seeding 1 of {revision}: 2 created, 0 updated, 0 deleted, 0 unchanged");
    ensure!(events.iter().any(|(reason, text)| reason == "Seeded" && *text == note), "{events:?}");
    Ok(())
}

fn to_json(yaml: &str) -> Result<String> {
    Ok(serde_saphyr::from_str::<serde_json::Value>(yaml)?.to_string())
}
