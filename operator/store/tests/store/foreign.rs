//! Rows that Sower did not write.

use sower_core::rows::Kind;
use sower_store::*;

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(
    a_definition_of_somebody_else_is_never_touched,
    a_registry_row_of_somebody_else_is_never_touched,
    a_definition_with_rows_of_others_is_marked_as_removed,
    a_deleted_environment_leaves_them,
);

const DEFINITION: &str = "INSERT INTO integration_definitions (id, name, version, manifest, environment) \
     VALUES ('slack', 'by hand', '9.0.0', '{}', 'production')";

fn action(id: &str) -> String {
    format!(
        "INSERT INTO action_registry (id, integration_id, identifier, name, definition, environment) \
         VALUES ('{id}', 'slack', 'mine', 'by hand', '{{}}', 'production')"
    )
}

async fn a_definition_of_somebody_else_is_never_touched(bed: Bed) {
    bed.run(DEFINITION).await;
    let before = bed.ask("SELECT name || version || updated_at FROM integration_definitions").await;
    assert!(bed.store.state(ENV).await.unwrap().state.foreign.contains("slack"));

    let (slack, other) = (manifest("slack", "1.0.0", 1), manifest("other", "1.0.0", 1));
    let seeding = bed.begin().await.unwrap();
    assert!(bed.store.state(ENV).await.unwrap().state.foreign.contains("slack"));
    let error =
        bed.apply(&seeding, vec![create("other", &other), create("slack", &slack)]).await.unwrap_err();
    assert_eq!(error.to_string(), "rows that Sower did not write hold ids of slack");
    assert_eq!(error.code(), "foreign-row");
    bed.store.fail(&seeding, error.code(), &error.to_string()).await.unwrap();
    bed.seed(vec![remove("slack", &slack), create("other", &other)]).await.unwrap();
    assert_eq!(
        bed.ask("SELECT name || version || updated_at FROM integration_definitions WHERE id = 'slack'").await,
        before
    );
    let listed = bed.store.integrations(Some(ENV)).await.unwrap();
    assert_eq!((&*listed[1].id, &listed[1].checksum, listed[1].seeding), ("slack", &None, None));
}

async fn a_registry_row_of_somebody_else_is_never_touched(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 1);
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    bed.run(&action("slack/act-1")).await;
    let here = bed.store.state(ENV).await.unwrap();
    assert_eq!(here.foreign_rows, [(Kind::Action, "slack/act-1".to_owned())].into());
    let wants_it = manifest("slack", "1.1.0", 2);
    assert!(sower_core::rows::rows(&wants_it).unwrap().collides(&here.foreign_rows));
    let error = bed.seed(vec![update("slack", &slack, &wants_it)]).await.unwrap_err();
    assert!(
        matches!(error, StoreError::ForeignRow { ref integrations } if integrations == &["slack"]),
        "{error}"
    );
    assert_eq!(bed.ask("SELECT version FROM integration_definitions").await, ["1.0.0"]);

    // What does not want it is written beside it.
    let beside = manifest("slack", "1.2.0", 1);
    bed.seed(vec![update("slack", &slack, &beside)]).await.unwrap();
    assert_eq!(bed.ask("SELECT name FROM action_registry WHERE id = 'slack/act-1'").await, ["by hand"]);
}

async fn a_definition_with_rows_of_others_is_marked_as_removed(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 2);
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    bed.run(&action("mine")).await;
    bed.seed(vec![remove("slack", &slack)]).await.unwrap();
    assert_eq!(bed.ask("SELECT status FROM integration_definitions").await, ["removed"]);
    assert_eq!(bed.ask("SELECT id FROM action_registry").await, ["mine"]);
    assert!(bed.store.state(ENV).await.unwrap().state.rows["slack"].removed);
    assert!(bed.store.integrations(Some(ENV)).await.unwrap().is_empty());
    assert!(bed.store.integration(ENV, "slack").await.unwrap().is_none());

    let applied = bed.seed(vec![create("slack", &slack)]).await.unwrap();
    assert_eq!(applied.counts.actions_created, 2);
    assert_eq!(bed.ask("SELECT status FROM integration_definitions").await, ["published"]);
    assert_eq!(bed.count("action_registry").await, 3);
}

async fn a_deleted_environment_leaves_them(bed: Bed) {
    let (slack, other) = (manifest("slack", "1.0.0", 2), manifest("other", "1.0.0", 2));
    bed.seed(vec![create("slack", &slack), create("other", &other)]).await.unwrap();
    bed.run(&action("mine")).await;
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let stale = Fence { base: 0, ..fence.clone() };
    assert!(matches!(bed.store.delete_environment(&stale).await, Err(StoreError::Stale { .. })));
    bed.store.delete_environment(&fence).await.unwrap();
    assert_eq!(bed.store.environment(ENV).await.unwrap(), None);
    assert_eq!(bed.ask("SELECT id || status FROM integration_definitions").await, ["slackremoved"]);
    assert_eq!(bed.ask("SELECT id FROM action_registry").await, ["mine"]);
    for table in ["trigger_registry", "integration_versions", "seeding_logs", "seeding_changes"] {
        assert_eq!(bed.count(table).await, 0, "{table}");
    }
    // An environment of that name begins anew.
    assert_eq!(bed.seed(vec![create("other", &other)]).await.unwrap().seq, 1);
}
