//! Tables of another program, taken over.

use sower_store::*;

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(
    tables_of_somebody_else_make_way_and_their_rows_are_copied,
    a_dry_run_changes_nothing,
    what_cannot_be_taken_over_is_named_and_left,
);

/// What another program has: two tables of the plain shape, with more columns, an index of a name that we want, and a log.
async fn theirs(bed: &Bed) {
    bed.forget_tables().await;
    let (json, time) = match bed.url.engine() {
        Engine::Postgres => ("jsonb", "timestamp"),
        Engine::Sqlite => ("TEXT", "TEXT"),
    };
    bed.run(&format!(
        "CREATE TABLE integration_definitions (id varchar(64) PRIMARY KEY, name text NOT NULL, version text NOT NULL, author text, \
           manifest {json} NOT NULL, status text, tenant text, created_at {time} NOT NULL); \
         CREATE TABLE action_registry (id text PRIMARY KEY, integration_id varchar(64) NOT NULL REFERENCES integration_definitions (id), \
           identifier text NOT NULL, name text NOT NULL, category text, definition {json} NOT NULL); \
         CREATE INDEX action_registry_integration ON action_registry (integration_id); \
         CREATE TABLE seeding_logs (id text PRIMARY KEY, what text); \
         INSERT INTO seeding_logs VALUES ('1', 'theirs'); \
         INSERT INTO integration_definitions VALUES \
           ('slack', 'Slack', '1.0.0', NULL, '{{\"b\": 1, \"a\": [1, 2]}}', NULL, 'acme', '2020-01-02 03:04:05'), \
           ('stripe', 'Stripe', '2.0.0', 'AUTHOR', '{{}}', 'draft', NULL, '2021-01-02 03:04:05'); \
         INSERT INTO action_registry VALUES ('slack/post', 'slack', 'post', 'Post', NULL, '{{\"id\": \"post\"}}')"
    ))
    .await;
}

async fn take_over(bed: &Bed, dry: bool) -> Result<TakenOver, StoreError> {
    Store::take_over(&bed.url, &Options::default(), ENV, dry).await
}

async fn tables_of_somebody_else_make_way_and_their_rows_are_copied(bed: Bed) {
    theirs(&bed).await;
    assert!(matches!(
        Store::open(&bed.url, &Options::default()).await,
        Err(StoreError::SchemaForeign { .. })
    ));
    let taken = take_over(&bed, false).await.unwrap();
    let told: Vec<_> =
        taken.tables.iter().map(|one| (&*one.table, &*one.kept_as, one.rows, one.left.join(","))).collect();
    assert_eq!(
        told,
        [
            ("action_registry", "action_registry_before_sower", Some(1), String::new()),
            ("integration_definitions", "integration_definitions_before_sower", Some(2), "tenant".to_owned()),
            ("seeding_logs", "seeding_logs_before_sower", None, String::new()),
        ]
    );
    assert!(taken.rows.is_empty());
    // Theirs are as they were.
    assert_eq!(
        bed.ask("SELECT tenant FROM integration_definitions_before_sower ORDER BY id").await,
        ["acme", ""]
    );
    assert_eq!(bed.ask("SELECT what FROM seeding_logs_before_sower").await, ["theirs"]);
    // Ours hold what theirs said, as rows of somebody else's.
    let store = Store::open(&bed.url, &Options::default()).await.unwrap();
    assert_eq!(bed.count("sower_migrations").await, SCHEMA);
    let strangers = store.strangers(ENV).await.unwrap();
    assert_eq!(
        (strangers.definitions.as_slice(), strangers.rows.len()),
        (["slack".to_owned(), "stripe".to_owned()].as_slice(), 1)
    );
    let hand = store.hand_made(ENV, &["slack", "stripe"]).await.unwrap();
    assert_eq!((&*hand[0].definition.status, &*hand[1].definition.status), ("published", "draft"));
    assert_eq!(hand[0].rows[0].identifier, "post");
    let listed = store.integration(ENV, "slack").await.unwrap().unwrap();
    assert_eq!(listed.created_at.to_string(), "2020-01-02T03:04:05Z");
    assert_eq!(bed.ask("SELECT count(*) FROM seeding_logs").await, ["0"]);
    // A second time there is nothing to take over.
    let error = take_over(&bed, false).await.unwrap_err();
    assert!(error.to_string().contains("its tables are Sower's own"), "{error}");
}

async fn a_dry_run_changes_nothing(bed: Bed) {
    theirs(&bed).await;
    let taken = take_over(&bed, true).await.unwrap();
    assert_eq!((taken.tables.len(), taken.rows.len()), (3, 2));
    assert_eq!(taken.rows[0].rows.len(), 1);
    assert_eq!(bed.ask("SELECT tenant FROM integration_definitions ORDER BY id").await, ["acme", ""]);
    assert_eq!(bed.ask("SELECT what FROM seeding_logs").await, ["theirs"]);
    assert!(matches!(
        Store::open(&bed.url, &Options::default()).await,
        Err(StoreError::SchemaForeign { .. })
    ));
}

async fn what_cannot_be_taken_over_is_named_and_left(bed: Bed) {
    for (hand, why) in [
        (
            "ALTER TABLE action_registry RENAME COLUMN definition TO body",
            "`action_registry` has no column `definition`",
        ),
        (
            "CREATE TABLE action_registry_before_sower (id text)",
            "it has `action_registry_before_sower` already",
        ),
        (
            "UPDATE integration_definitions SET status = 'archived' WHERE id = 'slack'",
            "copying integration_definitions",
        ),
        ("CREATE VIEW event_registry AS SELECT id FROM action_registry", "`event_registry` is no table"),
    ] {
        theirs(&bed).await;
        bed.run(hand).await;
        let error = take_over(&bed, false).await.unwrap_err();
        assert!(matches!(error, StoreError::Unadoptable { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(error.kind(), ErrorKind::Stalled);
        assert_eq!(bed.ask("SELECT count(*) FROM integration_definitions").await, ["2"]);
        assert_eq!(bed.ask("SELECT what FROM seeding_logs").await, ["theirs"]);
        if hand.contains("VIEW") {
            bed.run("DROP VIEW event_registry").await;
        }
        if hand.contains("before_sower") {
            bed.run("DROP TABLE action_registry_before_sower").await;
        }
        bed.run("DROP TABLE action_registry").await;
        bed.run("DROP TABLE integration_definitions").await;
        bed.run("DROP TABLE seeding_logs").await;
        let store = Store::open(&bed.url, &Options::default()).await.unwrap();
        store.close().await;
    }
    // Rows of an integration that is none.
    bed.forget_tables().await;
    bed.run(
        "CREATE TABLE action_registry (id text, integration_id text, identifier text, name text, definition text); \
         INSERT INTO action_registry VALUES ('a/b', 'a', 'b', 'B', '{}')",
    )
    .await;
    let error = take_over(&bed, false).await.unwrap_err();
    assert!(
        error.to_string().contains("`action_registry` has rows of `a`, which is no integration"),
        "{error}"
    );
    assert_eq!(bed.count("action_registry").await, 1);
}
