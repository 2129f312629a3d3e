//! Writing again what drifted, from the content that is kept, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use sower_core::catalog::Place;
use sower_core::drift::{Drifted, Ignored, Left, Mend, correctable};
use sower_core::plan::{Operation, Verb};
use sower_store::{Applied, StoreError, Write};

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(
    rows_that_drifted_are_written_as_they_were,
    a_definition_that_went_comes_back_with_its_rows,
    what_is_ignored_or_a_default_is_no_drift,
);

async fn drifted(bed: &Bed, ignored: &[&str]) -> Vec<Drifted> {
    let ignored: Vec<String> = ignored.iter().map(|field| (*field).to_owned()).collect();
    bed.store.drift(ENV, &Ignored::of(&ignored)).await.unwrap().rows
}

/// `kind id what` of each row.
fn told(rows: &[Drifted]) -> Vec<String> {
    rows.iter().map(|row| format!("{} {} {:?}", row.kind(), row.id, row.what)).collect()
}

/// Writes what drifted as the database says that it was.
async fn mend(bed: &Bed) -> Result<Applied, StoreError> {
    let rows = correctable(&drifted(bed, &[]).await);
    let ids: BTreeSet<&str> = rows.iter().map(|row| row.integration.as_str()).collect();
    let left = bed.store.left(ENV, &ids).await?;
    let operations: Vec<(Operation, Option<Arc<str>>)> = left.iter().map(again).collect();
    let mend = Mend::of(&rows);
    let seeding = bed.begin().await?;
    let applied = applied("a");
    bed.store.apply(&seeding, Write { mend: &mend, ..write(&operations, &applied, &Value::Null) }).await
}

fn again((id, left): (&String, &Left)) -> (Operation, Option<Arc<str>>) {
    let Left { content, source, path, revision, prune_disabled } = left.clone();
    let operation = Operation {
        id: id.clone(),
        verb: Verb::Update,
        from: Some(content.clone()),
        to: Some(content),
        place: Some(Place { source: source.clone(), path, document: 0 }),
        revision: Some(revision),
        source,
        revert: false,
        prune_disabled,
        staged: false,
    };
    (operation, None)
}

async fn rows_that_drifted_are_written_as_they_were(bed: Bed) {
    let (slack, stripe) = (manifest("slack", "1.0.0", 3), manifest("stripe", "1.0.0", 1));
    let first = bed.seed(vec![create("slack", &slack), create("stripe", &stripe)]).await.unwrap();
    // Neither row_hash nor checksum tell of it.
    bed.run("UPDATE action_registry SET name = 'by hand', definition = '{}' WHERE id = 'slack/act-1'").await;
    bed.run("DELETE FROM action_registry WHERE id = 'slack/act-2'").await;
    bed.run("UPDATE integration_definitions SET manifest = '{\"id\":\"stripe\"}', version = '9.9.9' WHERE id = 'stripe'")
        .await;
    bed.run(
        "INSERT INTO connection_registry (id, integration_id, identifier, name, definition, environment) \
         VALUES ('slack/mine', 'slack', 'mine', 'by hand', '{}', 'production')",
    )
    .await;
    let second = mend(&bed).await.unwrap();
    assert_eq!(told(&drifted(&bed, &[]).await), ["connection slack/mine Foreign(Beside)"]);
    // Only the rows that differed were written.
    assert_eq!(second.counts.rows_written, 3);
    let of = async |table: &str, seeding: &str| -> Vec<String> {
        bed.ask(&format!("SELECT id FROM {table} WHERE seeding = '{seeding}' ORDER BY id")).await
    };
    assert_eq!(of("action_registry", &second.id).await, ["slack/act-1", "slack/act-2"]);
    assert_eq!(of("integration_definitions", &second.id).await, ["stripe"]);
    assert_eq!(of("integration_definitions", &first.id).await, ["slack"]);
    let manifest: Vec<String> =
        bed.ask("SELECT manifest FROM integration_definitions WHERE id = 'stripe'").await;
    assert_eq!(manifest[0].as_str(), &*stripe);
    assert_eq!(bed.count("seeding_changes").await, 4);

    // A row that only claims to be ours goes.
    let columns = "integration_id, identifier, name, category, definition, environment, source, revision, path, checksum, row_hash, seeding";
    bed.run(&format!(
        "INSERT INTO action_registry (id, {columns}) SELECT 'slack/copy', {columns} FROM action_registry WHERE id = 'slack/act-0'"
    ))
    .await;
    mend(&bed).await.unwrap();
    assert_eq!(told(&drifted(&bed, &[]).await), ["connection slack/mine Foreign(Beside)"]);
}

async fn a_definition_that_went_comes_back_with_its_rows(bed: Bed) {
    let (slack, other) = (manifest("slack", "1.0.0", 1), manifest("other", "1.0.0", 1));
    bed.seed(vec![create("slack", &slack), create("other", &other)]).await.unwrap();
    let tables = ["action_registry", "trigger_registry", "connection_registry", "event_registry"];
    for table in tables {
        bed.run(&format!("DELETE FROM {table} WHERE integration_id = 'slack'")).await;
    }
    bed.run("DELETE FROM integration_definitions WHERE id = 'slack'").await;
    assert_eq!(drifted(&bed, &[]).await.len(), 5);
    assert_eq!(mend(&bed).await.unwrap().counts.rows_written, 5);
    assert_eq!(told(&drifted(&bed, &[]).await), [""; 0]);

    // A row that strayed comes back to its integration.
    bed.run("UPDATE action_registry SET integration_id = 'other' WHERE id = 'slack/act-0'").await;
    mend(&bed).await.unwrap();
    assert_eq!(told(&drifted(&bed, &[]).await), [""; 0]);

    // What was taken out has nothing to come back to.
    bed.seed(vec![remove("slack", &slack)]).await.unwrap();
    assert_eq!(
        bed.store.left(ENV, &["slack", "other"].into()).await.unwrap().into_keys().collect::<Vec<_>>(),
        ["other"]
    );

    // Somebody else's row in the place of one is not touched.
    bed.run("DELETE FROM action_registry WHERE id = 'other/act-0'").await;
    bed.run(
        "INSERT INTO action_registry (id, integration_id, identifier, name, definition, environment) \
         VALUES ('other/act-0', 'other', 'act-0', 'by hand', '{}', 'production')",
    )
    .await;
    let found = drifted(&bed, &[]).await;
    assert_eq!(
        (told(&found), correctable(&found).len()),
        (vec!["action other/act-0 Foreign(InPlace)".to_owned()], 0)
    );
}

async fn what_is_ignored_or_a_default_is_no_drift(bed: Bed) {
    let action = json!({"id": "post", "name": "Post", "request": {"method": "GET", "path": "/a"}});
    let slack = canonical(&json!({"id": "slack", "name": "Slack", "version": "1.0.0", "actions": [action]}));
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    let write = async |definition: &Value| {
        bed.run(&format!("UPDATE action_registry SET definition = '{definition}'")).await;
    };
    let mut written = action.clone();
    (written["effect"], written["scopes"]) = (json!("write"), json!([]));
    write(&written).await;
    assert_eq!(told(&drifted(&bed, &[]).await), [""; 0]);
    written["description"] = json!("By hand");
    write(&written).await;
    bed.run("UPDATE action_registry SET name = 'By hand'").await;
    let left: BTreeMap<&[&str], &[&str]> = [
        (&[][..], &["action slack/post Changed([\"name\", \"definition\"])"][..]),
        (&["name"], &["action slack/post Changed([\"definition\"])"]),
        (&["/description"], &["action slack/post Changed([\"name\"])"]),
        (&["name", "/description"], &[]),
        (&["name", "/effect"], &["action slack/post Changed([\"definition\"])"]),
    ]
    .into();
    for (ignored, found) in left {
        assert_eq!(told(&drifted(&bed, ignored).await), found, "{ignored:?}");
    }
    // What is missing is missing.
    bed.run("DELETE FROM action_registry").await;
    assert_eq!(told(&drifted(&bed, &["name", "definition", "/*"]).await), ["action slack/post Missing"]);
}
