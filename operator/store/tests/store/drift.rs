//! Rows that no longer are what the last seeding wrote.

use std::sync::Arc;

use serde_json::json;
use sower_core::drift::Ignored;
use sower_store::{Drift, Engine};

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(
    what_was_seeded_hashes_to_what_was_stored,
    a_large_catalog_is_looked_through_by_pages,
    an_update_a_delete_and_an_insert_are_told_apart,
    a_definition_that_went_is_missing_with_its_rows,
    a_row_that_strayed_is_changed_and_not_missing,
    what_claims_a_seeding_is_foreign,
    a_manifest_of_any_form_is_looked_at,
    what_was_taken_out_has_not_drifted,
    an_environment_that_was_never_seeded_has_foreign_rows_alone,
);

/// `kind id what` of each row.
async fn found(bed: &Bed) -> Vec<String> {
    let drift = bed.store.drift(ENV, &Ignored::default()).await.unwrap();
    drift.rows.iter().map(|row| format!("{} {} {:?}", row.kind(), row.id, row.what)).collect()
}

/// Everything that a hash may stumble over: absent columns, empty texts, escapes, other scripts, numbers of every form.
fn odd(id: &str) -> Arc<str> {
    canonical(&json!({
        "id": id, "name": "Grüße, 世界 \u{1f331} e\u{301}", "version": "1.0.0-rc.1+build.5", "lifecycle": "deprecated",
        "actions": [
            {"id": "a", "name": "", "request": {"body": {
                "numbers": [0, -0.0, 1.0, 0.1, 1e21, 1.5e-7, 5e-324, 1.7976931348623157e308, -9007199254740993_i64, 18446744073709551615_u64],
                "text": "\"\\/\u{8}\u{c}\n\r\t\u{1f}\u{7f}\u{2028}\u{ffff}\u{10ffff}", "none": null, "": {}, "list": [[], {}, true, false]}}},
            {"category": "", "id": "b", "name": " \t"},
        ],
        "events": [{"eventType": "x.y"}, {"eventType": "x.y", "version": "2"}, {"eventType": "z"}],
    }))
}

async fn what_was_seeded_hashes_to_what_was_stored(bed: Bed) {
    let bare = canonical(&json!({"id": "bare", "name": "Bare", "version": "0.1.0"}));
    let slack = manifest("slack", "1.0.0", 3);
    bed.seed(vec![create("odd", &odd("odd")), create("bare", &bare), create("slack", &slack)]).await.unwrap();
    let compared = if bed.url.engine() == Engine::Postgres { 0 } else { 3 };
    let drift = bed.store.drift(ENV, &Ignored::default()).await.unwrap();
    assert_eq!(drift, Drift { seeding: Some(1), integrations: 3, compared, rows: Vec::new() });

    // Rust's hashes agree with the database's where every row is read, too.
    bed.run("UPDATE integration_definitions SET checksum = 'v1:0'").await;
    let drift = bed.store.drift(ENV, &Ignored::default()).await.unwrap();
    assert_eq!((drift.integrations, drift.compared), (3, 3));
    assert_eq!(
        found(&bed).await,
        ["bare", "odd", "slack"].map(|id| format!("integration {id} Changed([\"checksum\"])"))
    );
}

async fn a_large_catalog_is_looked_through_by_pages(bed: Bed) {
    let operations: Vec<_> =
        (0..1203).map(|n| format!("app-{n:04}")).map(|id| create(&id, &manifest(&id, "1.0.0", 1))).collect();
    bed.seed(operations).await.unwrap();
    bed.run("UPDATE action_registry SET name = 'by hand' WHERE id IN ('app-0499/act-0', 'app-0500/act-0', 'app-1202/act-0')")
        .await;
    bed.run("DELETE FROM event_registry WHERE integration_id = 'app-0999'").await;
    let drift = bed.store.drift(ENV, &Ignored::default()).await.unwrap();
    let all = if bed.url.engine() == Engine::Postgres { 4 } else { 1203 };
    assert_eq!((drift.integrations, drift.compared), (1203, all));
    assert_eq!(
        found(&bed).await,
        [
            "action app-0499/act-0 Changed([\"name\"])",
            "action app-0500/act-0 Changed([\"name\"])",
            "event app-0999/task.completed Missing",
            "action app-1202/act-0 Changed([\"name\"])",
        ]
    );
}

async fn an_update_a_delete_and_an_insert_are_told_apart(bed: Bed) {
    let (slack, stripe) = (manifest("slack", "1.0.0", 3), manifest("stripe", "1.0.0", 1));
    bed.seed(vec![create("slack", &slack), create("stripe", &stripe)]).await.unwrap();
    bed.run("UPDATE action_registry SET name = 'by hand', category = NULL WHERE id = 'slack/act-1'").await;
    bed.run("UPDATE trigger_registry SET definition = '{\"id\": \"done\"}' WHERE id = 'slack/done'").await;
    bed.run("UPDATE integration_definitions SET status = 'draft', author = NULL WHERE id = 'stripe'").await;
    bed.run("DELETE FROM action_registry WHERE id = 'slack/act-2'").await;
    bed.run(
        "INSERT INTO connection_registry (id, integration_id, identifier, name, definition, environment) \
         VALUES ('slack/mine', 'slack', 'mine', 'by hand', '{}', 'production')",
    )
    .await;
    assert_eq!(
        found(&bed).await,
        [
            "action slack/act-1 Changed([\"name\", \"category\"])",
            "action slack/act-2 Missing",
            "trigger slack/done Changed([\"definition\"])",
            "connection slack/mine Foreign(Beside)",
            "integration stripe Changed([\"author\", \"status\"])",
        ]
    );
    assert_eq!(bed.store.drift("staging", &Ignored::default()).await.unwrap(), Drift::default());
}

async fn a_definition_that_went_is_missing_with_its_rows(bed: Bed) {
    let (slack, other) = (manifest("slack", "1.0.0", 1), manifest("other", "1.0.0", 1));
    bed.seed(vec![create("slack", &slack), create("other", &other)]).await.unwrap();
    for table in ["action_registry", "trigger_registry", "connection_registry", "event_registry"] {
        bed.run(&format!("DELETE FROM {table} WHERE integration_id = 'slack'")).await;
    }
    bed.run("DELETE FROM integration_definitions WHERE id = 'slack'").await;
    let missing = [
        "integration slack Missing",
        "action slack/act-0 Missing",
        "trigger slack/done Missing",
        "connection slack/key Missing",
        "event slack/task.completed Missing",
    ];
    assert_eq!(found(&bed).await, missing);

    // Somebody else's in its place.
    bed.run(
        "INSERT INTO integration_definitions (id, name, version, manifest, environment) \
         VALUES ('slack', 'by hand', '9.0.0', '{}', 'production')",
    )
    .await;
    let found = found(&bed).await;
    assert_eq!(
        (&*found[0], &found[1..]),
        ("integration slack Foreign(InPlace)", &missing.map(str::to_owned)[1..])
    );
}

async fn a_row_that_strayed_is_changed_and_not_missing(bed: Bed) {
    let (slack, other) = (manifest("slack", "1.0.0", 1), manifest("other", "1.0.0", 1));
    bed.seed(vec![create("slack", &slack), create("other", &other)]).await.unwrap();
    bed.run("UPDATE action_registry SET integration_id = 'other' WHERE id = 'slack/act-0'").await;
    assert_eq!(found(&bed).await, ["action slack/act-0 Changed([\"integration_id\"])"]);
}

async fn what_claims_a_seeding_is_foreign(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 1);
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    let columns = "integration_id, identifier, name, category, definition, environment, source, revision, path, checksum, row_hash, seeding";
    bed.run(&format!(
        "INSERT INTO action_registry (id, {columns}) SELECT 'slack/copy', {columns} FROM action_registry"
    ))
    .await;
    assert_eq!(found(&bed).await, ["action slack/copy Foreign(Claiming)"]);
    bed.run("DELETE FROM action_registry WHERE id = 'slack/act-0'").await;
    assert_eq!(found(&bed).await, ["action slack/act-0 Missing", "action slack/copy Foreign(Claiming)"]);
}

async fn a_manifest_of_any_form_is_looked_at(bed: Bed) {
    let (slack, other) = (manifest("slack", "1.0.0", 1), manifest("other", "1.0.0", 1));
    bed.seed(vec![create("slack", &slack), create("other", &other)]).await.unwrap();
    for manifest in
        ["[1]", "\"text\"", "null", "{\"actions\": 3}", "{\"actions\": [\"\\u0000\"], \"events\": {}}"]
    {
        bed.run(&format!("UPDATE integration_definitions SET manifest = '{manifest}' WHERE id = 'slack'"))
            .await;
        bed.run(&format!(
            "UPDATE event_registry SET definition = '{manifest}' WHERE integration_id = 'slack'"
        ))
        .await;
        assert_eq!(
            found(&bed).await,
            [
                "integration slack Changed([\"manifest\"])",
                "event slack/task.completed Changed([\"definition\"])"
            ],
            "{manifest}"
        );
    }
}

async fn what_was_taken_out_has_not_drifted(bed: Bed) {
    let odd = odd("slack");
    let new = manifest("slack", "2.0.0", 2);
    bed.seed(vec![create("slack", &odd)]).await.unwrap();
    bed.seed(vec![update("slack", &odd, &new)]).await.unwrap();
    assert_eq!(found(&bed).await, [""; 0]);
    bed.seed(vec![update("slack", &new, &odd)]).await.unwrap();
    assert_eq!(found(&bed).await, [""; 0]);
    bed.run(
        "INSERT INTO action_registry (id, integration_id, identifier, name, definition, environment) \
         VALUES ('mine', 'slack', 'mine', 'by hand', '{}', 'production')",
    )
    .await;
    bed.seed(vec![remove("slack", &odd)]).await.unwrap();
    assert_eq!(found(&bed).await, ["action mine Foreign(Beside)"]);
    assert_eq!(bed.store.drift(ENV, &Ignored::default()).await.unwrap().integrations, 0);

    // Brought back, and taken out, by hand.
    bed.run("UPDATE integration_definitions SET status = 'deprecated', removed_at = NULL").await;
    assert_eq!(found(&bed).await[0], "integration slack Changed([\"status\"])");
    bed.seed(vec![create("slack", &odd)]).await.unwrap();
    bed.run("UPDATE integration_definitions SET status = 'removed', removed_at = updated_at").await;
    assert_eq!(found(&bed).await, ["integration slack Changed([\"status\"])", "action mine Foreign(Beside)"]);

    bed.run("DELETE FROM action_registry WHERE id = 'mine'").await;
    bed.seed(vec![create("slack", &odd)]).await.unwrap();
    assert_eq!(found(&bed).await, [""; 0]);
}

async fn an_environment_that_was_never_seeded_has_foreign_rows_alone(bed: Bed) {
    assert_eq!(bed.store.drift(ENV, &Ignored::default()).await.unwrap(), Drift::default());
    bed.run(
        "INSERT INTO integration_definitions (id, name, version, manifest, environment) \
         VALUES ('mine', 'by hand', '9.0.0', '{}', 'production')",
    )
    .await;
    assert_eq!(found(&bed).await, ["integration mine Foreign(Beside)"]);
    assert_eq!(bed.store.drift(ENV, &Ignored::default()).await.unwrap().seeding, None);
}
