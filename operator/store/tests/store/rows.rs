//! What a seeding writes, row by row.

use sower_core::plan::Verb;
use sower_store::LogStatus;

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(
    a_seeding_writes_the_rows_of_its_manifests,
    an_update_writes_only_rows_that_differ,
    a_move_changes_where_rows_come_from,
    a_removal_takes_all_rows_and_keeps_the_history,
    a_manifest_that_was_not_handed_over_is_looked_up,
    reseeding_writes_unchanged_rows_again,
    hashes_are_the_same_everywhere,
    an_environment_answers_after_a_seeding,
);

async fn a_seeding_writes_the_rows_of_its_manifests(bed: Bed) {
    let (slack, stripe) = (manifest("slack", "1.0.0", 3), manifest("stripe", "2.0.0", 2));
    let applied = bed.seed(vec![create("slack", &slack), create("stripe", &stripe)]).await.unwrap();
    assert_eq!((applied.seq, applied.counts.created, applied.counts.actions_created), (1, 2, 5));
    assert_eq!((applied.counts.triggers_created, applied.counts.connections_created), (2, 2));
    for (table, rows) in [
        ("integration_definitions", 2),
        ("action_registry", 5),
        ("trigger_registry", 2),
        ("connection_registry", 2),
        ("event_registry", 2),
        ("integration_versions", 2),
        ("seeding_changes", 2),
        ("seeding_logs", 1),
    ] {
        assert_eq!(bed.count(table).await, rows, "{table}");
    }
    assert_eq!(
        bed.ask("SELECT manifest FROM integration_definitions ORDER BY id").await,
        [&*slack, &*stripe]
    );
    assert_eq!(
        bed.ask("SELECT id || '|' || name || '|' || category || '|' || path FROM action_registry ORDER BY id LIMIT 1").await,
        ["slack/act-0|Act 0|tasks|integrations/slack/integration.yaml"]
    );
    let log = bed.store.history(Some(ENV), 10).await.unwrap();
    assert_eq!((log.len(), log[0].seq, log[0].status), (1, Some(1), LogStatus::Completed));
    assert_eq!((log[0].count("created"), log[0].processed, log[0].actions_created), (2, 2, 5));
    assert_eq!(log[0].id, applied.id);
    assert_eq!(bed.ask("SELECT DISTINCT seeding FROM event_registry").await, [applied.id]);

    let here = bed.store.state(ENV).await.unwrap();
    assert_eq!(here.state.base, 1);
    assert_eq!(here.state.rows["slack"].content, content(&slack));
    let whole = bed.store.definitions(ENV, &["stripe", "nowhere", "slack"]).await.unwrap();
    let whole: Vec<(&str, &str)> = whole.iter().map(|one| (&*one.listed.id, &*one.manifest)).collect();
    assert_eq!(whole, [("slack", &*slack), ("stripe", &*stripe)]);
    assert!(bed.store.definitions(ENV, &[]).await.unwrap().is_empty());
    assert!(here.state.foreign.is_empty() && here.foreign_rows.is_empty());
}

async fn an_update_writes_only_rows_that_differ(bed: Bed) {
    let old = manifest("slack", "1.0.0", 3);
    bed.seed(vec![create("slack", &old), create("other", &manifest("other", "1.0.0", 3))]).await.unwrap();
    let before = bed.ask("SELECT id || updated_at || seeding FROM action_registry ORDER BY id").await;
    let created = bed.ask("SELECT created_at FROM integration_definitions ORDER BY id").await;

    // One action is renamed, one is new, none of the others changes.
    let new = manifest("slack", "1.1.0", 4).replace("\"Act 1\"", "\"Act one\"").into();
    let applied = bed.seed(vec![update("slack", &old, &new)]).await.unwrap();
    // The definition and two actions.
    assert_eq!((applied.counts.rows_written, applied.counts.actions_created), (3, 1));
    let after = bed.ask("SELECT id || updated_at || seeding FROM action_registry ORDER BY id").await;
    let same = before.iter().filter(|row| after.contains(row)).count();
    assert_eq!((same, after.len()), (5, 7));
    assert_eq!(bed.ask("SELECT created_at FROM integration_definitions ORDER BY id").await, created);
    assert_eq!(bed.count("integration_versions").await, 3);

    // An action goes again.
    let applied = bed.seed(vec![update("slack", &new, &old)]).await.unwrap();
    assert_eq!((applied.counts.rows_written, applied.counts.actions_created), (3, 0));
    assert_eq!(bed.count("action_registry").await, 6);
    assert_eq!(bed.count("integration_versions").await, 3);
    assert_eq!(
        bed.store
            .carried(ENV, &[("slack".into(), content(&new).checksum), ("slack".into(), "v1:0".into())])
            .await
            .unwrap()
            .len(),
        1
    );
}

async fn a_move_changes_where_rows_come_from(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 2);
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    let mut moved = operation(Verb::Move, "slack", Some(&slack), Some(&slack));
    moved.0.place.as_mut().unwrap().path = "apps/slack/integration.yaml".into();
    moved.1 = None;
    let applied = bed.seed(vec![moved]).await.unwrap();
    assert_eq!((applied.counts.updated, applied.counts.rows_written), (1, 6));
    assert_eq!(bed.ask("SELECT DISTINCT path FROM action_registry").await, ["apps/slack/integration.yaml"]);
    assert_eq!(bed.count("integration_versions").await, 1);
    assert_eq!(bed.ask("SELECT operation FROM seeding_changes ORDER BY seq").await, ["create", "move"]);
}

async fn a_removal_takes_all_rows_and_keeps_the_history(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 2);
    bed.seed(vec![create("slack", &slack), create("other", &manifest("other", "1.0.0", 1))]).await.unwrap();
    let applied = bed.seed(vec![remove("slack", &slack)]).await.unwrap();
    assert_eq!((applied.counts.deleted, applied.counts.rows_written), (1, 6));
    assert_eq!(bed.ask("SELECT id FROM integration_definitions WHERE status <> 'removed'").await, ["other"]);
    assert_eq!(bed.ask("SELECT integration_id FROM action_registry").await, ["other"]);
    assert_eq!(bed.count("integration_versions").await, 2);
    let asked = [("slack".to_owned(), content(&slack).checksum)];
    assert_eq!(bed.store.carried(ENV, &asked).await.unwrap().len(), 1);
}

async fn a_manifest_that_was_not_handed_over_is_looked_up(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 2);
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let document = found("slack", &slack);
    let manifests = sower_store::ManifestDelta { upsert: vec![&document], delete: Vec::new() };
    let applied = applied("a");
    let settle = sower_store::Settle {
        fence: &fence,
        conflicts: &[],
        manifests,
        applied: &applied,
        selection_hash: None,
        summary: &serde_json::Value::Null,
        quarantine: sower_store::QuarantineDelta::default(),
        promotion: sower_store::PromotionDelta::default(),
    };
    bed.store.settle(settle).await.unwrap();
    assert_eq!(bed.ask("SELECT status FROM integration_manifests").await, ["validated"]);

    bed.seed(
        vec![operation(Verb::Create, "slack", None, Some(&slack)).0].into_iter().map(|o| (o, None)).collect(),
    )
    .await
    .unwrap();
    assert_eq!(bed.ask("SELECT manifest FROM integration_definitions").await, [&*slack]);
    assert_eq!(bed.ask("SELECT status FROM integration_manifests").await, ["seeded"]);

    let unknown = manifest("slack", "2.0.0", 2);
    let mut operation = update("slack", &slack, &unknown);
    operation.1 = None;
    let error = bed.seed(vec![operation]).await.unwrap_err().to_string();
    assert_eq!(error, "the manifest of slack cannot be read: nobody holds it");
}

async fn reseeding_writes_unchanged_rows_again(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 2);
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    bed.run("UPDATE action_registry SET name = 'by hand'").await;
    let seeding = bed.begin().await.unwrap();
    let applied = applied("a");
    let again = [update("slack", &slack, &slack)];
    let mut write = write(&again, &applied, &serde_json::Value::Null);
    write.reseed = true;
    let applied = bed.store.apply(&seeding, write).await.unwrap();
    assert_eq!((applied.counts.rows_written, applied.counts.actions_created), (6, 0));
    assert_eq!(bed.ask("SELECT name FROM action_registry ORDER BY id").await, ["Act 0", "Act 1"]);
}

async fn hashes_are_the_same_everywhere(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 1);
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    let hex = |table: &str| match bed.url.engine() {
        sower_store::Engine::Postgres => format!("SELECT encode(row_hash, 'hex') FROM {table}"),
        sower_store::Engine::Sqlite => format!("SELECT lower(hex(row_hash)) FROM {table}"),
    };
    assert_eq!(
        bed.ask(&hex("integration_definitions")).await,
        ["902ba4bc71127ca07cadb5092a3bbf79b14b07b6ce26d64a23ee6a4b10b371ea"]
    );
    assert_eq!(
        bed.ask(&hex("action_registry")).await,
        ["fd32d1f7e5d7e4e58fc5bec2ed16e66e4a0897619d6a61c66ed2a6c17a9f81de"]
    );
    assert_eq!(
        bed.ask("SELECT checksum FROM event_registry").await,
        ["v1:d14e003b830e6ef37fa12691732ba1ffe6f79309b733ff2442d974c12945a07c"]
    );
}

async fn an_environment_answers_after_a_seeding(bed: Bed) {
    assert_eq!(bed.store.environment(ENV).await.unwrap(), None);
    assert_eq!(bed.store.environment("x' OR '1'='1").await.unwrap(), None);
    let slack = manifest("slack", "1.0.0", 2);
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    let row = bed.store.environment(ENV).await.unwrap().unwrap();
    assert_eq!((row.keeper.as_deref(), row.seq, row.epoch), (Some(KEEPER), 1, 0));
    assert_eq!(row.applied, applied("a"));
    assert_eq!((row.selection_hash.as_deref(), row.running), (Some("selection"), None));
    assert!(row.seeded_at.is_some());

    let listed = bed.store.integrations(Some(ENV)).await.unwrap();
    assert_eq!((listed[0].actions, listed[0].triggers, listed[0].seeding), (2, 1, Some(1)));
    assert_eq!(listed[0].revision.as_ref().unwrap().to_string(), "main@3f2c1a9");
    assert_eq!(bed.store.integrations(None).await.unwrap(), listed);
    let whole = bed.store.integration(ENV, "slack").await.unwrap().unwrap();
    assert_eq!((&whole.manifest, &whole.listed), (&slack.to_string(), &listed[0]));
    assert_eq!(bed.store.manifests(ENV, &["slack", "none"]).await.unwrap()["slack"], slack);
    assert_eq!(bed.store.environments().await.unwrap().len(), 1);
}
